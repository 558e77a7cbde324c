"""What the newest Celery sends is run by our worker, and goes on as Celery would have it: links, chains, groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.endpoints import Endpoint
from support.peers import python_peer
from support.processes import Process
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

PEERS = Path(__file__).resolve().parents[1] / "endpoint" / "peers"

SHOP = """
import os
from journal import note
from pyqs import task

def add(a, b=2):
    note("add", sum=a + b)
    return a + b

def double(value):
    note("double", value=value)
    return value * 2

def tell(*args, **kwargs):
    note("tell", args=list(args), kwargs=kwargs)

async def later(value):
    return value + 1

def refuse(value=None):
    note("refuse", value=value)
    raise ValueError("no luck")

def strange():
    note("strange")
    return object()

@task(queue="unused", retries=1, backoff=0)
def shaky(value):
    note("shaky", value=value)
    raise ValueError("no luck again")

def values(when, price, key, blob):
    note("values", types=[type(value).__name__ for value in (when, price, key, blob)])
"""

APP = """
import os, sys
from celery import Celery, chain, chord, group, signature
from kombu import Queue

app = Celery("sender", broker="sqs://local:local@")
app.conf.update(
    broker_transport_options={"region": "us-east-1", "is_secure": False, "wait_time_seconds": 1},
    task_default_queue=os.environ["QUEUE"],
    worker_enable_remote_control=False,
    task_create_missing_queues=True,
)
HERE = os.environ["QUEUE"]

def sig(name, *args, **options):
    immutable = options.pop("immutable", False)
    return signature(f"shop.{name}", args=args, app=app, immutable=immutable).set(queue=HERE).set(**options)

@app.task(name="away.square")
def square(value):
    print(f"squared {value}", flush=True)
    return value * value
"""


class Celery:
    """The peer: a program that sends, and a worker."""

    def __init__(self, project: Project, queue: Queue) -> None:
        self.project, self.queue = project, queue
        self.programs = python_peer("celery", PEERS / "celery.txt")
        project.write("shop.py", SHOP)
        project.write("sender.py", APP)
        self.environment = {"QUEUE": queue.name, "PYTHONPATH": str(project.folder)}

    def send(self, program: str) -> None:
        """Run a program with the application at hand."""
        text = f"from sender import *\nimport datetime, decimal, uuid\n{program}\n"
        done = self.project.run([str(self.programs / "python"), "-c", text], **self.environment)
        assert done.returncode == 0, done.stderr

    def worker(self, queue: str) -> Process:
        """A Celery worker."""
        options = ["--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "info"]
        command = [str(self.programs / "celery"), "-A", "sender", "worker", "-Q", queue, *options]
        return self.project.start(command, **self.environment)

    def notes(self, what: str) -> list[dict[str, Any]]:
        """What our tasks have told."""
        return [note for note in self.project.notes() if note["what"] == what]

    def wait_for(self, what: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until our tasks have told so much."""

        def all_there() -> list[dict[str, Any]]:
            notes = self.notes(what)
            return notes if len(notes) >= count else []

        return eventually(all_there, f"{count} notes of {what}")


@pytest.fixture
def celery(ours_project: Project, ours_queue: Queue) -> Celery:
    return Celery(ours_project, ours_queue)


def test_what_celery_sends_runs_and_is_followed(celery: Celery) -> None:
    worker = celery.project.worker(celery.queue.name)
    celery.send(
        """
sig("add", 1, 2).apply_async()
sig("tell", "eta").apply_async(countdown=1)
sig("tell", "expired").apply_async(countdown=1, expires=0.5)
chain(sig("add", 10), sig("double"), sig("later"), sig("tell", "chained")).apply_async()
sig("add", 20).apply_async(link=sig("tell", "linked", immutable=True))
sig("add", 21).apply_async(link=[sig("tell", "l1"), group(sig("tell", "g1"), sig("tell", "g2"))])
group(sig("add", n) for n in (30, 31)).apply_async()
when = datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)
values = (when, decimal.Decimal("1.5"), uuid.uuid4(), b"\\xff")
sig("values", *values).apply_async()
sig("values", *values).apply_async(serializer="pickle")
chain(sig("add", 40), sig("tell", "pickled")).apply_async(serializer="pickle")
"""
    )
    told = celery.wait_for("tell", 7)
    celery.wait_for("values", 2)
    celery.queue.wait_until_empty()
    told = sorted(str(note["args"]) for note in celery.notes("tell"))
    assert told == sorted(
        map(str, [["eta"], [25, "chained"], ["linked"], [23, "l1"], [23, "g1"], [23, "g2"], [42, "pickled"]])
    )
    sums = sorted(note["sum"] for note in celery.notes("add"))
    assert sums == [3, 12, 22, 23, 32, 33, 42]
    assert all(note["types"] == ["datetime", "Decimal", "UUID", "bytes"] for note in celery.notes("values"))
    assert worker.stop() == 0


@pytest.mark.parametrize("option", ["serializer='msgpack'", "compression='zlib'"])
def test_a_chain_in_another_serializer_and_compressed(celery: Celery, option: str) -> None:
    celery.project.worker(celery.queue.name)
    celery.send(f'chain(sig("add", 10), sig("tell", "chained")).apply_async({option})')
    assert celery.wait_for("tell")[0]["args"] == [12, "chained"]
    celery.queue.wait_until_empty()


def test_a_task_in_yaml(celery: Celery) -> None:
    # Celery can't write a chain in YAML.
    celery.project.worker(celery.queue.name)
    celery.send("""sig("tell", "yaml").apply_async(serializer="yaml")""")
    assert celery.wait_for("tell")[0]["args"] == ["yaml"]
    celery.queue.wait_until_empty()


def test_a_chain_goes_from_celerys_worker_to_ours_and_back(celery: Celery, ours: Endpoint) -> None:
    away = Queue(ours.client(), new_name())
    theirs = celery.worker(away.name)
    theirs.wait_for("ready")
    celery.project.worker(celery.queue.name)
    celery.send(f"""
square = signature("away.square", app=app).set(queue={away.name!r})
chain(square.clone((3,)), sig("double"), square, sig("tell", "end")).apply_async()
""")
    assert celery.wait_for("tell")[0]["args"] == [324, "end"]
    theirs.wait_for("squared 18")
    away.wait_until_empty()
    celery.queue.wait_until_empty()


def test_a_chords_header_runs_and_its_body_is_refused_once(celery: Celery) -> None:
    celery.send("""
app.conf.result_backend = "cache+memory://"
chord([sig("add", 1), sig("add", 2), sig("add", 3)], sig("tell", "body")).apply_async()
""")
    worker = celery.project.worker(celery.queue.name, "-c", "2")
    celery.wait_for("add", 3)
    celery.queue.wait_until_empty()
    assert celery.notes("tell") == []
    assert worker.stop() == 0
    warnings = worker.matches(r"shop\.tell, the body of chord .*, will not run: it needs the results")
    assert len(warnings) == 1


def test_a_task_before_a_chord_stays_in_its_queue(celery: Celery) -> None:
    celery.send("""
app.conf.result_backend = "cache+memory://"
chain(sig("add", 1), group(sig("add"), sig("double")), sig("tell")).apply_async()
""")
    worker = celery.project.worker(celery.queue.name)
    worker.wait_for("can't be run: task: a chord's body needs the results of other tasks")
    assert sum(celery.queue.counts()) == 1
    assert celery.notes("add") == []


def test_link_error_is_sent_once_when_no_retry_is_left(celery: Celery, ours: Endpoint) -> None:
    celery.send("""
sig("refuse", 1).apply_async(task_id="first", link_error=sig("tell", "old"), link=sig("tell", "never"))
sig("shaky", 2).apply_async(task_id="second", link_error=[sig("tell", "a"), sig("tell", "b", immutable=True)])
""")
    worker = celery.project.worker(celery.queue.name)
    celery.wait_for("tell", 3)
    celery.queue.wait_until_empty()
    told = sorted(str(note["args"]) for note in celery.notes("tell"))
    assert told == ["['b']", "['first', 'old']", "['second', 'a']"]
    assert len(celery.notes("refuse")) == 1
    assert len(celery.notes("shaky")) == 2
    worker.wait_for("its link_error is sent, and then its message is deleted")


def test_a_return_value_that_cant_go_on_is_the_tasks_failure(celery: Celery) -> None:
    celery.send("""
chain(sig("strange"), sig("tell", "never")).apply_async()
chain(sig("strange"), sig("tell", "anyway", immutable=True)).apply_async()
""")
    worker = celery.project.worker(celery.queue.name)
    worker.wait_for("Object of type object is not JSON serializable")
    assert celery.wait_for("tell")[0]["args"] == ["anyway"]
    assert [note["args"] for note in celery.notes("tell")] == [["anyway"]]
    assert sum(celery.queue.counts()) == 1, "it comes again"


def test_what_has_no_queue_is_sent_once_there_is_one_and_the_task_runs_once(celery: Celery, ours: Endpoint) -> None:
    name = new_name()
    celery.send(f"""
app.conf.task_create_missing_queues = False
sig("add", 1).apply_async(link=signature("shop.tell", app=app).set(queue={name!r}))
""")
    worker = celery.project.worker(celery.queue.name)
    worker.wait_for(r"what is to follow task shop\.add.* can't be sent: .*")
    there = Queue(ours.client(), name)
    message = there.take()[0]
    assert message["Body"]
    celery.queue.wait_until_empty()
    assert len(celery.notes("add")) == 1
    assert len(worker.matches("can't be sent")) == 1
