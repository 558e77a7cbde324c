"""``@task(bind=True)``: what a task knows of its message, and what it asks for."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue

BOUND = """
import asyncio, time
from journal import note
from pyqs import BoundTask, task
from pyqs.errors import SoftTimeLimitExceeded

def tell(self, what, **facts):
    request = self.request
    note(what, id=request.id, retries=request.retries, receive_count=request.receive_count, queue=request.queue,
         args=request.args, kwargs=request.kwargs, deadline=request.deadline, name=self.name,
         attributes={name: str(value) for name, value in request.attributes.items()}, **facts)

@task(queue="unused", bind=True)
def plain(self: BoundTask, *args, **kwargs):
    tell(self, "plain")

@task(queue="unused", bind=True)
async def soon(self: BoundTask, *args, **kwargs):
    await asyncio.sleep(0)
    tell(self, "soon")

@task(queue="unused", bind=True, time_limit=100)
def again(self: BoundTask, value):
    tell(self, "again")
    if not self.request.retries:
        self.retry(after=1)

@task(queue="unused", bind=True, time_limit=2)
def long(self: BoundTask, asks):
    end = time.monotonic() + 3
    deadline = self.request.deadline
    if asks:
        note("moved", by=self.extend(20) - deadline)
    while time.monotonic() < end:
        time.sleep(0.01)
    note("ended", value=asks)

@task(queue="unused", bind=True, soft_time_limit=0.5, time_limit=30)
async def soft(self: BoundTask):
    self.extend(2)
    began = time.monotonic()
    try:
        await asyncio.sleep(1000)
    except SoftTimeLimitExceeded:
        note("told", after=time.monotonic() - began)
"""


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("bound.py", BOUND)
    return ours_project


@pytest.mark.parametrize("name", ["plain", "soon"])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_task_knows_its_message(project: Project, ours_queue: Queue, name: str, threads: str) -> None:
    attributes: dict[str, Any] = {
        "tenant": {"DataType": "String", "StringValue": "blue"},
        "number": {"DataType": "Number", "StringValue": "12"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\xff"},
    }
    body = json.dumps({"task": f"bound.{name}", "args": [1], "kwargs": {"a": 2}})
    sent = ours_queue.send(body, MessageAttributes=attributes)
    project.worker(ours_queue.name, "--threads", threads, "--time-limit", "60")

    (note,) = project.wait_for_notes(name)
    ours_queue.wait_until_empty()
    assert (note["id"], note["queue"], note["name"]) == (sent, ours_queue.name, f"bound.{name}")
    assert (note["retries"], note["receive_count"]) == (0, 1)
    assert (note["args"], note["kwargs"]) == ([1], {"a": 2})
    assert note["attributes"] == {"tenant": "blue", "number": "12", "bytes": "b'\\xff'"}
    assert -30 < note["deadline"] - (time.time() + 60) < 1, "the worker's time limit"


def test_without_a_time_limit_the_deadline_is_sqs_own(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("bound.plain")
    project.worker(ours_queue.name)

    (note,) = project.wait_for_notes("plain")
    assert -60 < note["deadline"] - (time.time() + 12 * 3600) < 1


def test_without_heartbeats_the_deadline_is_the_visibility_timeouts(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("bound.plain")
    project.worker(ours_queue.name, "--no-extend-visibility")

    (note,) = project.wait_for_notes("plain")
    assert -29 < note["deadline"] - (time.time() + 30) < 1


def test_a_task_asks_for_another_run(project: Project, ours_queue: Queue) -> None:
    sent = ours_queue.send_task("bound.again", 1)
    project.worker(ours_queue.name)

    first, second = project.wait_for_notes("again", 2)
    ours_queue.wait_until_empty()
    assert second["at"] - first["at"] >= 1
    assert (first["retries"], second["retries"]) == (0, 1)
    assert (first["id"], second["id"]) == (sent, sent)
    assert second["receive_count"] == 2


def test_a_task_asks_for_more_time(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("bound.long", 1)
    ours_queue.send_task("bound.long", 0)
    worker = project.worker(ours_queue.name, "--concurrency", "2")

    project.wait_for_notes("ended")
    worker.wait_for(r"bound.long .* time limit of 2")
    assert [note["by"] for note in project.notes("moved")] == [20]
    assert project.values("ended") == [1]


def test_the_soft_limit_moves_too(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("bound.soft")
    project.worker(ours_queue.name)

    (note,) = project.wait_for_notes("told")
    assert note["after"] >= 1, "it began soon after its limit of half a second did"


def test_celerys_retries_count(project: Project, ours_queue: Queue) -> None:
    headers = {"task": "bound.again", "id": "c-1", "retries": 3}
    envelope = {
        "body": "[[1], {}, {}]",
        "content-type": "application/json",
        "headers": headers,
        "properties": {"delivery_info": {}},
    }
    ours_queue.send(json.dumps(envelope))
    project.worker(ours_queue.name)

    (note,) = project.wait_for_notes("again")
    assert note["retries"] == 3
