"""Messages in Celery's format, which real Celery workers run."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from support.peers import python_peer
from support.processes import Process
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

HERE = Path(__file__).parent
PEERS = {
    "celery": HERE.parent / "endpoint" / "peers" / "celery.txt",
    "celery-5.2": HERE / "peers" / "celery-5.2.txt",
}

CELERY_APP = """
import os, time
import celery
from journal import note

app = celery.Celery("celery_app", broker="sqs://local:local@")
app.conf.update(
    broker_transport_options={"region": "us-east-1", "is_secure": False, "wait_time_seconds": 2},
    task_default_queue=os.environ["QUEUE"],
    task_acks_late=True,
    worker_enable_remote_control=False,
)

@app.task(name="shop.tasks.ship", bind=True)
def ship(self, *args, **kwargs):
    headers = {name: value for name, value in vars(self.request).items() if name.startswith("x-")}
    note("ran", value=repr(args), kwargs=repr(kwargs), now=time.time(), limits=self.request.timelimit, headers=headers)
"""

OURS = """
import datetime, decimal, sys, uuid
from pyqs import task

@task(queue="{queue}", format="celery", custom_function_path="shop.tasks.ship", time_limit=60, soft_time_limit=50)
def ship(*args, **kwargs): ...
"""


@pytest.fixture(params=list(PEERS))
def peer(request: pytest.FixtureRequest) -> str:
    """Each of the Celery releases in turn."""
    return str(request.param)


@pytest.fixture
def shop(ours_project: Project, ours_queue: Queue) -> Project:
    """A project whose task is Celery's."""
    ours_project.write("celery_app.py", CELERY_APP)
    ours_project.write("ours.py", OURS.format(queue=ours_queue.name))
    return ours_project


def celery_worker(shop: Project, queue: Queue, peer: str) -> Process:
    """Start a Celery worker."""
    program = str(python_peer(peer, PEERS[peer]) / "celery")
    options = ["--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "info"]
    return shop.start([program, "-A", "celery_app", "worker", *options], QUEUE=queue.name, PYTHONPATH=".")


def ran(shop: Project, count: int) -> dict[Any, dict[str, Any]]:
    """What has run, by its first argument."""
    notes = shop.wait_for_notes("ran", count)
    return {ast.literal_eval(note["value"])[0]: note for note in notes}


def test_a_celery_worker_runs_what_is_written(shop: Project, ours_queue: Queue, peer: str) -> None:
    shop.python(
        """
from ours import *
ship.delay("plain")
ship.delay("values", None, True, -1, 2**70, 1.5, [1, [2]], {"a": {"b": None}}, (3, 4))
ship.delay("kwargs", to="ada", options={"fast": True})
ship.delay("unicode", "Grüße 😀\\x00", **{"größe": "\\ud800"})
ship.apply_async(["headers"], headers={"x-tenant": "blue", "x-number": 7})
"""
    )
    celery_worker(shop, ours_queue, peer)
    notes = ran(shop, 5)
    ours_queue.wait_until_empty()

    arguments = {name: note["value"] for name, note in notes.items()}
    assert arguments == {
        "plain": "('plain',)",
        "values": repr(("values", None, True, -1, 2**70, 1.5, [1, [2]], {"a": {"b": None}}, [3, 4])),
        "kwargs": "('kwargs',)",
        "unicode": repr(("unicode", "Grüße 😀\x00")),
        "headers": "('headers',)",
    }
    assert notes["kwargs"]["kwargs"] == repr({"to": "ada", "options": {"fast": True}})
    assert notes["unicode"]["kwargs"] == repr({"größe": "\ud800"})
    assert notes["headers"]["headers"] == {"x-tenant": "blue", "x-number": 7}
    assert notes["plain"]["limits"] == [60, 50]


def test_a_celery_worker_keeps_eta_and_expires(shop: Project, ours_queue: Queue, peer: str) -> None:
    printed = shop.python(
        """
from ours import *
import time
now = datetime.datetime.now(datetime.timezone.utc)
seconds = lambda count: datetime.timedelta(seconds=count)
print(time.time())
ship.apply_async(["countdown"], countdown=3)
ship.apply_async(["eta"], eta=now + seconds(3))
ship.apply_async(["past eta"], eta=now - seconds(3))
ship.apply_async(["expired"], expires=now - seconds(1))
ship.apply_async(["in time"], expires=600)
"""
    )
    worker = celery_worker(shop, ours_queue, peer)
    notes = ran(shop, 4)
    ours_queue.wait_until_empty()

    assert set(notes) == {"countdown", "eta", "past eta", "in time"}
    assert notes["countdown"]["now"] >= float(printed) + 3
    assert notes["eta"]["now"] >= float(printed) + 2.9
    worker.wait_for("(?i)(discarding|expired)")


def test_a_celery_worker_gets_values_that_json_lacks(shop: Project, ours_queue: Queue, peer: str) -> None:
    shop.python(
        """
from ours import *
utc = datetime.timezone.utc
ship.delay(
    "typed",
    datetime.datetime(2026, 1, 2, 3, 4, 5, 6, utc),
    datetime.date(2026, 1, 2),
    decimal.Decimal("1.10"),
    uuid.UUID(int=7),
    b"\\x00\\xff",
    text=b"text",
)
"""
    )
    celery_worker(shop, ours_queue, peer)
    (note,) = shop.wait_for_notes("ran")

    if peer == "celery-5.2":  # kombu has typed values from 5.3 on
        assert "{'__type__': 'decimal', '__value__': '1.10'}" in note["value"]
        return
    assert note["value"] == (
        "('typed', datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc), "
        "datetime.date(2026, 1, 2), Decimal('1.10'), UUID('00000000-0000-0000-0000-000000000007'), b'\\x00\\xff')"
    )
    assert note["kwargs"] == "{'text': b'text'}"


@pytest.mark.parametrize("setting", ["variable", "configure", "parameter"])
def test_the_format_is_set_for_all_tasks_or_for_one(shop: Project, ours_queue: Queue, setting: str) -> None:
    parameter = ', format="celery"' if setting == "parameter" else ""
    configure = 'pyqs.configure(format="celery")' if setting == "configure" else ""
    shop.python(
        f"""
import pyqs, tasks
{configure}
pyqs.task(queue="{ours_queue.name}"{parameter})(tasks.work).delay("celerys")
pyqs.task(queue="{ours_queue.name}", format="pyqs")(tasks.work).delay("pyqss")
""",
        PYQS_FORMAT="celery" if setting == "variable" else None,
    )
    bodies = [message["Body"] for message in ours_queue.take(2)]
    native = [json.loads(body) for body in bodies if body.startswith("{")]

    assert native == [{"task": "tasks.work", "args": ["pyqss"], "kwargs": {}}]
    for body in bodies:
        ours_queue.send(body)
    shop.worker(ours_queue.name)
    shop.wait_for_notes("work", 2)
    assert sorted(shop.values("work")) == ["celerys", "pyqss"], "our workers run both"


def test_what_a_task_sends_in_a_worker_has_the_workers_format(shop: Project, ours_queue: Queue) -> None:
    """Its endpoint and region stay as the worker has them."""
    shop.write(
        "chained.py",
        f"""
import tasks
from pyqs import task

send = task(queue="{ours_queue.name}-next")(tasks.work).delay

@task
def first():
    send("next")
""",
    )
    ours_queue.send_task("chained.first")
    shop.worker(ours_queue.name, PYQS_FORMAT="celery")
    following = Queue(ours_queue.client, f"{ours_queue.name}-next")

    assert not following.take()[0]["Body"].startswith("{")


@pytest.mark.parametrize("where", ["parameter", "configure", "variable"])
def test_a_format_that_is_none_is_refused(ours_project: Project, ours_queue: Queue, where: str) -> None:
    parameter = ', format="json"' if where == "parameter" else ""
    configure = 'pyqs.configure(format="json")' if where == "configure" else ""
    printed = ours_project.python(
        f"""
import pyqs, tasks
try:
    {configure}
    pyqs.task(queue="{ours_queue.name}"{parameter})(tasks.work).delay(1)
except pyqs.errors.SettingsInvalid as error:
    print(error)
""",
        PYQS_FORMAT="json" if where == "variable" else None,
    )

    name = "PYQS_FORMAT" if where == "variable" else "format="
    assert printed == f"{name} is 'json'; the formats are 'pyqs' (the default) and 'celery'\n"
    assert ours_queue.counts() == (0, 0)


def test_a_long_delay_waits_at_sqs_first(shop: Project, ours_queue: Queue) -> None:
    shop.python("from ours import *; ship.apply_async([1], countdown=86400)")

    eventually(lambda: ours_queue.delayed() == 1, "it is delayed")
