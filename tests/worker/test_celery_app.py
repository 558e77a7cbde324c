"""``--celery-app``: names, queues and accepted content of an application, with the real Celery."""

from __future__ import annotations

import base64
import json
import pickle
import sys
from typing import Any, Optional

import pytest
from pyqs.utils import decode_message
from support.celery import python, site_packages
from support.processes import Process
from support.projects import Project
from support.queues import Queue, new_name

APP = """
from celery import Celery
from kombu import Queue

app = Celery("proj", broker="sqs://local:local@", include=["proj.jobs"])
app.conf.update(
    broker_transport_options={
        "region": "us-east-1", "is_secure": False, "wait_time_seconds": 2, "queue_name_prefix": "PREFIX-",
        **OPTIONS,
    },
    worker_enable_remote_control=False,
    task_default_queue="shop.orders",
    task_queues=QUEUES,
    task_routes={"mail.*": {"queue": "mail@eu"}, "proj.jobs.slow": "slow"},
    accept_content=["json"],
)
"""

JOBS = """
from celery import shared_task
from journal import note

from .celery import app

@app.task(name="mail.send", bind=True)
def send(self, to):
    note("sent", to=to, retries=self.request.retries, id=self.request.id)
    if not self.request.retries:
        raise self.retry(countdown=0)

@shared_task(name="orders.pay")
def pay(amount):
    note("paid", amount=amount)

@shared_task(queue="own")
def slow(): ...
"""


@pytest.fixture
def prefix() -> str:
    return new_name()


@pytest.fixture
def project(ours_project: Project, prefix: str) -> Project:
    write(ours_project, prefix)
    ours_project.write("proj/__init__.py", "")
    ours_project.write("proj/jobs.py", JOBS)
    return ours_project


def write(
    project: Project, prefix: str, queues: str = '[Queue("shop.orders"), Queue("mail@eu")]', **options: Any
) -> None:
    text = APP.replace("PREFIX", prefix).replace("OPTIONS", repr(options)).replace("QUEUES", queues)
    project.write("proj/celery.py", text)


def start(project: Project, *options: str) -> Process:
    return project.worker(*options, "--celery-app", "proj.celery:app", PYTHONPATH=site_packages())


def send(project: Project, code: str) -> None:
    """Run code in the project with the real Celery."""
    project.write("send.py", code)
    done = project.run([str(python()), "send.py"])
    assert done.returncode == 0, done.stderr


def test_what_celery_sends_is_run(project: Project, prefix: str, ours_queue: Queue) -> None:
    orders = Queue(ours_queue.client, f"{prefix}-shop-orders")
    mail = Queue(ours_queue.client, f"{prefix}-mail_eu")
    send(project, "from proj.jobs import *\nprint(send.delay('ada'), pay.delay(12))")
    worker = start(project)

    worker.wait_for(rf"\[Queue\]\t{orders.name}")
    project.wait_for_notes("sent", 2)
    project.wait_for_notes("paid")
    orders.wait_until_empty()
    mail.wait_until_empty()
    assert [note["retries"] for note in project.notes("sent")] == [0, 1]
    assert len({note["id"] for note in project.notes("sent")}) == 1


def test_what_follows_a_task_goes_by_the_applications_routes(project: Project, prefix: str, ours_queue: Queue) -> None:
    orders = Queue(ours_queue.client, f"{prefix}-shop-orders")
    mail = Queue(ours_queue.client, f"{prefix}-mail_eu")
    send(project, "from proj.jobs import *\n(pay.si(12) | send.si('ada')).apply_async()")
    start(project, orders.name)

    project.wait_for_notes("paid")
    orders.wait_until_empty()
    (message,) = mail.receive()
    assert decode_message(message)["task"] == "mail.send"


def test_queues_that_are_named_are_worked_on_alone(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(body("orders.pay", [3]))
    worker = start(project, ours_queue.name)

    project.wait_for_notes("paid")
    assert worker.output.count("[Queue]\t") == 1


def test_celerys_own_tasks(project: Project, ours_queue: Queue) -> None:
    signature = {
        "task": "orders.pay",
        "args": [],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": False,
    }
    ours_queue.send(body("celery.starmap", [], kwargs={"task": signature, "it": [[1], [2]]}))
    ours_queue.send(body("celery.chord_unlock", ["g-1", signature]))
    worker = start(project, ours_queue.name)

    assert [note["amount"] for note in project.wait_for_notes("paid", 2)] == [1, 2]
    worker.wait_for("celery.chord_unlock may not run: it waits for the results of other tasks")


def test_only_what_the_application_accepts_is_read(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(body("orders.pay", [4], "application/x-python-serialize"))
    ours_queue.send(body("orders.pay", [5]))
    worker = start(project, ours_queue.name)

    (note,) = project.wait_for_notes("paid")
    assert note["amount"] == 5
    worker.wait_for('content type "application/x-python-serialize" is none of those accepted: application/json')


def body(
    task: str, args: list[Any], content_type: str = "application/json", kwargs: Optional[dict[str, Any]] = None
) -> str:
    payload: Any = (args, kwargs or {}, {})
    data = json.dumps(payload).encode() if content_type == "application/json" else pickle.dumps(payload)
    envelope = {
        "body": base64.b64encode(data).decode(),
        "content-type": content_type,
        "headers": {"task": task, "id": "c-1"},
        "properties": {"delivery_info": {}, "body_encoding": "base64"},
    }
    return json.dumps(envelope)


@pytest.mark.parametrize(
    ("app", "files", "words"),
    [
        ("proj.celery:app", {"proj/celery.py": "1 / 0"}, "ZeroDivisionError: division by zero"),
        ("proj.celery:app", {"proj/jobs.py": "import sys; sys.exit(3)"}, "SystemExit: 3"),
        ("proj.celery:gone", {}, "gone"),
        ("nowhere:app", {}, "No module named 'nowhere'"),
        ("proj.celery:Queue", {}, "no Celery application"),
    ],
)
def test_an_application_that_can_not_be_loaded(project: Project, app: str, files: dict[str, str], words: str) -> None:
    for name, text in files.items():
        project.write(name, text)
    done = project.pyqs("--celery-app", app, PYTHONPATH=site_packages())
    assert done.returncode == 1
    assert f"can't load {app}, which --celery-app names: " in done.stderr
    assert words in done.stderr


def test_without_celery_it_says_so(project: Project) -> None:
    done = project.pyqs("--celery-app", "proj.celery:app")
    assert done.returncode == 1
    assert "Celery can't be imported" in done.stderr


DESCRIBE = """
import json
from pyqs._celery_app import described_by_child
print(json.dumps(described_by_child("proj.celery")._asdict()))
"""


def described(project: Project) -> dict[str, Any]:
    done = project.run([sys.executable, "-c", DESCRIBE], PYTHONPATH=site_packages())
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_read_of_an_application(project: Project, prefix: str) -> None:
    assert described(project) == {
        "queues": {"shop.orders": f"{prefix}-shop-orders", "mail@eu": f"{prefix}-mail_eu"},
        "accepted": ["application/json"],
        "default_queue": "shop.orders",
        "routes": {"mail.send": "mail@eu", "proj.jobs.slow": "own"},
        "prefix": f"{prefix}-",
        "predefined": {},
        "cert_store": None,
    }


def test_queues_that_are_predefined_have_the_names_of_their_urls(project: Project) -> None:
    base = "https://sqs.eu-west-1.amazonaws.com/123456789012"
    urls = {"orders": {"url": f"{base}/Orders_live"}, "hot.fifo": {"url": f"{base}/hot-live.fifo"}}
    write(project, "p", "[Queue('orders'), Queue('hot.fifo')]", queue_name_prefix="", predefined_queues=urls)
    assert described(project)["queues"] == {"orders": "Orders_live", "hot.fifo": "hot-live.fifo"}


def test_without_task_queues_it_is_the_default_queue(project: Project, prefix: str) -> None:
    write(project, prefix, "None")
    assert described(project)["queues"] == {"shop.orders": f"{prefix}-shop-orders"}


def test_queues_are_named_as_kombu_does(project: Project) -> None:
    code = """
from kombu.transport.SQS import Channel
from pyqs._pyqs import kombu_name
import string
for name in ("a.b", "a.b.fifo", "A-b_c", "ö ä", "a" + string.punctuation, string.punctuation + ".fifo", ".fifo"):
    assert kombu_name(name) == Channel.entity_name(None, name), name
"""
    done = project.run([sys.executable, "-c", code], PYTHONPATH=site_packages())
    assert done.returncode == 0, done.stderr
