"""``pyqs doctor``: what it says of queues and of a Celery application."""

from __future__ import annotations

import json

from support.celery import site_packages
from support.projects import Project
from support.queues import Queue, new_name, with_dead_letters

APP = """
import sys
from celery import Celery
from kombu import Queue

print("this application is talkative")
app = Celery("proj", broker="sqs://key:hidden@", backend="redis://:hidden@results/0")
app.conf.update(
    task_acks_late=True, worker_concurrency=8, beat_schedule={"a": {"task": "pay", "schedule": 5}},
    task_queues=[Queue("QUEUE")], security_key_password=b"hidden",
)

@app.task(name="pay", rate_limit="10/m")
def pay(): ...
"""


def test_a_queue_with_all_it_needs(ours_project: Project, ours_queue: Queue) -> None:
    name = new_name()
    with_dead_letters(ours_queue.client, name, 5, VisibilityTimeout="77")
    done = ours_project.pyqs("doctor", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"after 5 receives a message goes to {name}-dead" in done.stdout
    assert "visibility timeout 77 s" in done.stdout
    assert "note" not in done.stdout


def test_queues_that_want_something(project: Project, queue: Queue) -> None:
    missing = new_name()
    queue.send("as it was")
    done = project.pyqs("doctor", f"{queue.name},{missing}", "--json")
    assert done.returncode == 1
    assert done.stderr == "pyqs: there is a problem\n"
    found = [
        (f["verdict"], f["about"], f["is"].split(":")[0].split(";")[0]) for f in json.loads(done.stdout)["findings"]
    ]
    assert ("note", f"queue {queue.name}", "no redrive policy") in found
    assert ("PROBLEM", f"queue {missing}", "is not there") in found
    (message,) = queue.receive()
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_a_celery_application(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("proj.py", APP.replace("QUEUE", ours_queue.name))
    done = ours_project.pyqs("doctor", "--celery-app", "proj:app", PYTHONPATH=site_packages())
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    verdicts = {line[1]: line[0] for line in lines if line[0] != "not"}
    assert verdicts["task_acks_late"] == "works"
    assert verdicts["worker_concurrency"] == "option"
    assert verdicts["rate_limit"] == "option"
    assert "not done  beat_schedule" in done.stdout
    assert "not done  result_backend" in done.stdout
    assert f"queue {ours_queue.name}" in done.stdout
    assert "hidden" not in done.stdout + done.stderr
    assert "talkative" not in done.stdout


def test_an_application_that_can_not_be_loaded(ours_project: Project) -> None:
    done = ours_project.pyqs("doctor", "--celery-app", "nowhere:app", PYTHONPATH=site_packages())
    assert done.returncode == 1
    assert "can't load nowhere:app" in done.stderr
    assert done.stderr.count("\n") == 1
