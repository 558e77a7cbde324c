"""A Celery application on SQS: ``celery -A celery_app worker``, or ``python celery_app.py NUMBER...`` to send."""

import os
import sys

import celery

app = celery.Celery("celery_app", broker="sqs://local:local@")
app.conf.update(
    broker_transport_options={"region": "us-east-1", "is_secure": False, "wait_time_seconds": 2},
    task_default_queue=os.environ["QUEUE"],
    task_acks_late=True,
    worker_enable_remote_control=False,
)


@app.task
def note(number: int) -> None:
    """Say that a number arrived."""
    print(f"noted {number}", flush=True)


if __name__ == "__main__":
    for text in sys.argv[1:]:
        note.delay(int(text))
