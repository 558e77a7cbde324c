"""Typed events in a worker: what listeners are told, and what becomes of those that fail."""

from __future__ import annotations

from typing import Any

import pytest
from support.celery import site_packages
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

LISTENING = """
import dataclasses
from journal import note
from pyqs import events

def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, (int, float, str, dict, type(None))) else repr(value)

@events.on(events.Event)
def hear(event):
    facts = {name: plain(getattr(event, name)) for name in [field.name for field in dataclasses.fields(event)]}
    facts["process"] = facts.pop("pid", None)
    note(type(event).__name__, **facts)
"""

VARIED = """
import asyncio, os
from journal import note
from pyqs import Discard, Retry, events, task

def tell(event):
    note("own", value=type(event).__name__, task=event.task)

@task(queue="unused", on_success=tell, on_failure=tell)
def give(value):
    return {"given": value}

@task(queue="unused", on_success=tell, on_failure=tell)
async def give_soon(value):
    await asyncio.sleep(0)
    return {"given": value}

@task(queue="unused", on_success=tell, on_failure=tell)
def fail(value):
    raise ValueError(f"no luck with {value}")

@task(queue="unused", retries=1, backoff=[0], dead_letter="{dead}", on_failure=tell)
def fail_twice(value):
    raise ValueError(f"no luck with {value}")

@task(queue="unused", retries=0)
def fail_once(value):
    raise ValueError(f"no luck with {value}")

@task(queue="unused")
def drop(value):
    raise Discard("it is gone")
"""

ENDS = ["TaskSucceeded", "TaskFailed", "TaskRetried", "TaskDiscarded"]


@pytest.fixture
def dead(ours_queue: Queue) -> str:
    return Queue(ours_queue.client, new_name()).name


@pytest.fixture
def project(ours_project: Project, dead: str) -> Project:
    ours_project.write("listening.py", LISTENING)
    ours_project.write("varied.py", VARIED.replace("{dead}", dead))
    return ours_project


@pytest.fixture
def queue(ours_queue: Queue) -> Queue:
    return Queue(ours_queue.client, new_name(), VisibilityTimeout="60")


def run(project: Project, queue: Queue, task: str, ends: int = 1, *options: str) -> tuple[str, list[dict[str, Any]]]:
    """Send a task and wait for so many of its runs: the message's id, and all that was told of it."""
    sent = queue.send_task(task, 7)
    project.worker(queue.name, "--import", "listening", *options)
    eventually(lambda: len([note for note in project.notes() if note["what"] in ENDS]) >= ends, f"{ends} ends")
    told = [note for note in project.notes() if note["what"].startswith("Task")]
    for note in told:
        assert note["message_id"] == sent
        assert note["task"] == task
        assert note["queue"] == queue.name
    return sent, told


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("name", ["give", "give_soon"])
def test_of_a_task_that_succeeds(project: Project, queue: Queue, name: str, threads: str) -> None:
    _, told = run(project, queue, f"varied.{name}", 1, "--threads", threads)

    assert [note["what"] for note in told] == ["TaskReceived", "TaskStarted", "TaskSucceeded"]
    assert [note["receive_count"] for note in told] == [1, 1, 1]
    for note in told[1:]:
        assert (note["args"], note["kwargs"], note["retries"]) == ([7], {}, 0)
    assert told[2]["result"] == {"given": 7}
    assert 0 < told[2]["duration"] < 60
    assert project.notes("own")[0]["value"] == "TaskSucceeded"
    assert len({note["pid"] for note in [*told, *project.notes("own")]}) == 1, "in the task process"


def test_of_a_task_that_fails(project: Project, queue: Queue) -> None:
    _, told = run(project, queue, "varied.fail")

    assert [note["what"] for note in told] == ["TaskReceived", "TaskStarted", "TaskFailed"]
    assert told[2]["exception"] == "ValueError('no luck with 7')"
    assert (told[2]["outcome"], told[2]["dead_letter"]) == ("failed", None)
    assert project.values("own") == ["TaskFailed"]


def test_of_one_that_is_retried_and_then_dead_lettered(project: Project, queue: Queue, dead: str) -> None:
    _, told = run(project, queue, "varied.fail_twice", 2)

    assert [note["what"] for note in told] == [
        *("TaskReceived", "TaskStarted", "TaskRetried"),
        *("TaskReceived", "TaskStarted", "TaskFailed"),
    ]
    assert told[2]["delay"] == 0
    assert told[2]["exception"] == "ValueError('no luck with 7')"
    assert [note.get("retries") for note in told] == [None, 0, 0, None, 1, 1]
    assert (told[5]["outcome"], told[5]["dead_letter"]) == ("dead_letter", dead)
    assert project.values("own") == ["TaskFailed"], "a retry is no failure"


def test_of_one_without_a_retry_left(project: Project, queue: Queue) -> None:
    _, told = run(project, queue, "varied.fail_once")

    assert (told[2]["what"], told[2]["outcome"], told[2]["dead_letter"]) == ("TaskFailed", "exhausted", None)


def test_of_one_that_is_discarded(project: Project, queue: Queue) -> None:
    _, told = run(project, queue, "varied.drop")

    assert [note["what"] for note in told] == ["TaskReceived", "TaskStarted", "TaskDiscarded"]
    assert told[2]["exception"] == "Discard('it is gone')"


def test_a_message_that_cannot_be_run_was_only_received(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name, "--import", "listening")
    queue.send_task("varied.unknown", 1)
    queue.send_task("varied.give", 2)
    project.wait_for_notes("TaskSucceeded")

    worker.wait_for("varied.unknown")
    assert len(project.notes("TaskReceived")) == 2
    assert len(project.notes("TaskStarted")) == 1


def test_listeners_that_fail_harm_no_task(project: Project, queue: Queue) -> None:
    project.write(
        "failing.py",
        """
import sys
from pyqs import events, task
from journal import note

@events.on(events.TaskReceived)
@events.on(events.TaskStarted)
@events.on(events.TaskSucceeded)
def stumble(event):
    raise RuntimeError("the listener fails")

@events.on(events.Event)
def leave(event):
    sys.exit(3)

@events.on(events.ProcessStarted)
def start(event):
    raise KeyboardInterrupt

@task(queue="unused", on_success=leave)
def work(value):
    note("work", value=value)
""",
    )
    worker = project.worker(queue.name, "--import", "failing", "--import", "listening")
    queue.send_tasks("failing.work", [[1], [2]])
    project.wait_for_notes("TaskSucceeded", 2)
    queue.wait_until_empty()

    assert sorted(project.values("work")) == [1, 2], "each ran once"
    assert len({note["pid"] for note in project.notes("work")}) == 1, "no process ended"
    worker.wait_for(r"^\[ERROR\]: failing\.stumble raised when it was told of TaskStarted", 2)
    worker.wait_for(r"^\[ERROR\]: failing\.leave raised when it was told of TaskSucceeded", 4)
    worker.wait_for("RuntimeError: the listener fails", 6)


def test_a_listener_that_is_late_is_no_reason_for_a_second_run(project: Project, queue: Queue) -> None:
    project.write(
        "slow.py",
        """
from journal import note, wait_for_gate
from pyqs import events

@events.on(events.TaskSucceeded)
def linger(event):
    note("lingers")
    wait_for_gate("go")
""",
    )
    worker = project.worker(queue.name, "--import", "slow", "--import", "listening")
    queue.send_task("tasks.work", 1)
    project.wait_for_notes("lingers")
    queue.wait_until_empty()
    project.open_gate("go")

    project.wait_for_notes("TaskSucceeded")
    assert worker.stop() == 0
    assert project.values("work") == [1]


def test_a_task_process_tells_of_its_start_and_of_its_end(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name, "--import", "listening", "--max-tasks-per-child", "1")
    queue.send_tasks("tasks.work", [[1], [2]])
    project.wait_for_notes("work", 2)
    assert worker.stop() == 0

    started, stopped = project.notes("ProcessStarted"), project.notes("ProcessStopped")
    assert all(note["process"] == note["pid"] for note in [*started, *stopped])
    assert {note["pid"] for note in stopped} == {note["pid"] for note in started}
    assert {note["pid"] for note in project.notes("work")} <= {note["pid"] for note in started}


DEADLY = """
import os, signal, time
from pyqs import task

@task(queue="unused")
def die(value):
    os.kill(os.getpid(), signal.SIGKILL)

@task(queue="unused", retries=1, backoff=[3], dead_letter="{dead}")
def leave(value):
    os._exit(5)

@task(queue="unused", retries=0, time_limit=0.5)
def hang(value):
    time.sleep(1000)
"""


def crashes(project: Project, queue: Queue, name: str, count: int = 1) -> tuple[str, int, list[dict[str, Any]]]:
    """Send a task that ends its process: the message's id, the supervisor's pid, and what was told."""
    sent = queue.send_task(f"deadly.{name}", 7)
    worker = project.worker(queue.name, "--preload", "listening")
    found = project.wait_for_notes("TaskCrashed", count)
    for note in found:
        assert (note["message_id"], note["task"], note["queue"]) == (sent, f"deadly.{name}", queue.name)
        assert note["pid"] == worker.pid, "in the supervisor"
        assert note["process"] != worker.pid
    started = [note["pid"] for note in project.notes("TaskStarted")]
    assert [note["process"] for note in found] == started[:count], "the task's process"
    return sent, worker.pid, found


@pytest.fixture
def deadly(project: Project, dead: str) -> Project:
    project.write("deadly.py", DEADLY.replace("{dead}", dead))
    return project


def test_of_a_task_whose_process_is_killed(deadly: Project, queue: Queue) -> None:
    (note,) = crashes(deadly, queue, "die")[2]

    assert (note["signal"], note["exit_code"], note["time_limit"]) == (9, None, None)
    assert (note["outcome"], note["delay"], note["dead_letter"]) == ("failed", None, None)
    assert note["receive_count"] == 1


def test_of_a_task_that_is_killed_at_its_limit(deadly: Project, queue: Queue) -> None:
    (note,) = crashes(deadly, queue, "hang")[2]

    assert (note["signal"], note["time_limit"], note["outcome"]) == (9, 0.5, "exhausted")


def test_of_a_crash_with_rules_of_the_tasks(deadly: Project, queue: Queue, dead: str) -> None:
    first, last = crashes(deadly, queue, "leave", 2)[2]

    assert (first["signal"], first["exit_code"]) == (None, 5)
    assert (first["outcome"], first["delay"], first["dead_letter"]) == ("retry", 3, None)
    assert (last["outcome"], last["delay"], last["dead_letter"]) == ("dead_letter", None, dead)
    assert last["receive_count"] == 2


def test_a_worker_tells_of_its_start_and_of_its_end(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name, "-c", "2", "--threads", "3", "--preload", "listening")
    (started,) = project.wait_for_notes("WorkerStarted")
    assert worker.stop() == 0

    assert (started["process"], started["queues"]) == (worker.pid, f"('{queue.name}',)")
    assert (started["concurrency"], started["threads"]) == (2, 3)
    (stopped,) = project.notes("WorkerStopped")
    assert (stopped["process"], stopped["pid"], stopped["error"]) == (worker.pid, worker.pid, None)
    assert project.notes()[-1] == stopped


def test_a_worker_that_cannot_go_on_says_why(project: Project, queue: Queue) -> None:
    project.write("broken.py", "raise RuntimeError('no settings')")
    worker = project.start_pyqs(queue.name, "--preload", "listening", "--import", "broken")

    assert worker.wait() == 1
    assert "no settings" in project.notes("WorkerStopped")[0]["error"]


def test_listeners_that_fail_harm_no_worker(deadly: Project, queue: Queue) -> None:
    deadly.write(
        "failing.py",
        """
import sys
from pyqs import events

@events.on(events.Event)
def leave(event):
    sys.exit(3)
""",
    )
    queue.send_task("deadly.die", 1)
    worker = deadly.worker(queue.name, "--preload", "failing", "--preload", "listening")
    deadly.wait_for_notes("TaskCrashed")
    queue.send_task("tasks.work", 2)
    deadly.wait_for_notes("work")

    assert worker.stop() == 0
    for kind in ("WorkerStarted", "ProcessStarted", "TaskCrashed", "TaskStarted", "ProcessStopped", "WorkerStopped"):
        worker.wait_for(rf"^\[ERROR\]: failing\.leave raised when it was told of {kind}")


def test_a_listener_that_will_never_hear_is_named(project: Project, queue: Queue) -> None:
    project.write(
        "deaf.py",
        """
from pyqs import events
@events.on(events.TaskCrashed)
def alert(event): ...
""",
    )
    worker = project.worker(queue.name, "--import", "deaf", loglevel="WARN")

    worker.wait_for(r"^\[WARNING\]: deaf\.alert listens to TaskCrashed, .*--preload")


def test_of_tasks_of_celerys(project: Project, queue: Queue) -> None:
    """They are told of as others are; a retry that is a message of its own is a retry."""
    project.write(
        "shop.py",
        """
from celery import Celery
app = Celery("shop", broker="sqs://", backend=None)

@app.task(bind=True)
def grow(self, value):
    if value < 8:
        raise self.retry(args=[value + 1], countdown=0)
    return value
""",
    )
    queue.send_task("shop.grow", 7)
    worker = project.worker(queue.name, "--import", "listening", PYTHONPATH=site_packages())
    (succeeded,) = project.wait_for_notes("TaskSucceeded")
    (retried,) = project.notes("TaskRetried")

    assert worker.stop() == 0
    assert (retried["task"], retried["args"], retried["delay"]) == ("shop.grow", [7], 0)
    assert (succeeded["args"], succeeded["result"], succeeded["retries"]) == ([8], 8, 1)
    assert project.notes("TaskDiscarded") == []


def test_of_messages_that_are_no_tasks(project: Project, queue: Queue) -> None:
    """A handler is told of as a task is: by its name, with the message as its argument."""
    project.write(
        "handlers.py",
        f"""
import os
import pyqs
from journal import note
from pyqs import Message, on_message

@on_message(queue="{queue.name}", retries=1, backoff=[0])
def handle(message: Message):
    note("handled", id=pyqs.current().request.id, name=pyqs.current().name)
    if message.body == "die":
        os._exit(5)
    return len(message.body)
""",
    )
    worker = project.worker(queue.name, "--preload", "listening", "--preload", "handlers")
    sent = queue.send("some text")
    (succeeded,) = project.wait_for_notes("TaskSucceeded")
    fatal = queue.send("die")
    crashed = project.wait_for_notes("TaskCrashed", 2)

    assert worker.stop() == 0
    assert (succeeded["message_id"], succeeded["task"], succeeded["result"]) == (sent, "handlers.handle", 9)
    assert [note["outcome"] for note in crashed] == ["retry", "exhausted"]
    assert {(note["message_id"], note["task"]) for note in crashed} == {(fatal, "handlers.handle")}
    assert [(note["id"], note["name"]) for note in project.notes("handled")] == [
        (sent, "handlers.handle"),
        *[(fatal, "handlers.handle")] * 2,
    ]
