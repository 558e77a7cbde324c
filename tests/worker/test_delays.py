"""Messages that say when they are due: by our own attribute, and by Celery's eta and expires."""

from __future__ import annotations

import base64
import datetime
import json
import time
from typing import Any, Optional

from support.projects import Project
from support.queues import Queue
from support.recorder import Recorder
from support.waiting import eventually


def due(seconds: float) -> dict[str, Any]:
    millis = int((time.time() + seconds) * 1000)
    return {"pyqs.due": {"DataType": "Number", "StringValue": str(millis)}}


def celery(value: Any, eta: Optional[float] = None, expires: Optional[float] = None) -> str:
    def text(seconds: Optional[float]) -> Optional[str]:
        now = datetime.datetime.now(datetime.timezone.utc)
        return None if seconds is None else (now + datetime.timedelta(seconds=seconds)).isoformat()

    headers = {"lang": "py", "task": "tasks.work", "id": "c0ffee", "eta": text(eta), "expires": text(expires)}
    body = base64.b64encode(json.dumps([[value], {}, {}]).encode()).decode()
    properties = {"correlation_id": "c0ffee", "body_encoding": "base64", "delivery_tag": "1", "delivery_info": {}}
    message = {"body": body, "headers": headers, "properties": properties}
    return json.dumps({**message, "content-type": "application/json", "content-encoding": "utf-8"})


def test_a_message_waits_until_it_is_due(project: Project, queue: Queue) -> None:
    blob = {"blob": {"DataType": "Binary.x", "BinaryValue": b"\x00\xff"}}
    sent = time.monotonic()
    queue.send('{"task": "tasks.work", "args": ["later"], "kwargs": {}}', MessageAttributes={**due(6), **blob})
    queue.send_task("tasks.work", "now")
    worker = project.worker(queue.name, loglevel="DEBUG")
    _, later = project.wait_for_notes("work", 2)

    queue.wait_until_empty()
    assert project.values("work") == ["now", "later"]
    assert later["at"] - sent >= 5.9
    worker.wait_for("is not due; it comes back in [1-6] s")


def test_a_delay_above_sqss_is_kept_by_sending_the_message_on(
    project: Project, queue: Queue, recorder: Recorder
) -> None:
    delay = f"import pyqs, tasks; pyqs.task(queue='{queue.name}')(tasks.work).delay('late', _delay_seconds=3600)"
    project.python(delay)
    project.python(delay, AWS_ENDPOINT_URL=recorder.url)
    # As SQS delivers it after the first 900 s.
    sent = recorder.first("SendMessage").json()
    first_id = queue.send(sent["MessageBody"], MessageAttributes=sent["MessageAttributes"])
    queue.send_task("tasks.work", "now")
    worker = project.worker(queue.name, loglevel="DEBUG")
    project.wait_for_notes("work")

    worker.wait_for(f"message {first_id} from .* is not due; it comes back in 900 s")
    eventually(lambda: queue.delayed() == 2 and queue.counts() == (0, 0), "both wait, and the rest is deleted")
    assert project.values("work") == ["now"]


def test_celerys_eta_is_kept(project: Project, queue: Queue) -> None:
    sent = time.monotonic()
    queue.send(celery("eta", eta=3))
    project.worker(queue.name)
    (note,) = project.wait_for_notes("work")

    queue.wait_until_empty()
    assert note["at"] - sent >= 2.9
    assert project.values("work") == ["eta"]


def test_celerys_expired_messages_are_deleted(project: Project, queue: Queue) -> None:
    queue.send(celery("expired", expires=-1))
    queue.send(celery("in time", expires=600))
    worker = project.worker(queue.name)

    project.wait_for_notes("work")
    queue.wait_until_empty()
    assert project.values("work") == ["in time"]
    worker.wait_for("has expired; deleted without running it")
