"""Time limits: a task that runs for too long is told, and then ended, whatever it does."""

from __future__ import annotations

import base64
import json

import pytest
from support.endpoints import pyqs_command
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

LONG = """
import ctypes, signal, time
from journal import note
from pyqs import task
from pyqs.errors import SoftTimeLimitExceeded

@task(queue="unused", time_limit=0.5)
def ignore_everything(value=None):
    note("began", value=value)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    # Unlike CDLL, PyDLL keeps the interpreter lock while it is in a C function.
    ctypes.PyDLL(None).sleep(1000)

def spin(value=None):
    note("began", value=value)
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass

@task(queue="unused", soft_time_limit=0.3)
def give_in(value=None):
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded as told:
        note("told", value=value, words=str(told))

@task(queue="unused", soft_time_limit=0.3)
def fall(value=None):
    note("began", value=value)
    time.sleep(1000)

@task(queue="unused", soft_time_limit=0.3, time_limit=0.8)
def go_on(value=None):
    try:
        time.sleep(1000)
    except SoftTimeLimitExceeded:
        note("told", value=value)
    time.sleep(1000)
"""


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("long.py", LONG)
    return ours_project


@pytest.fixture
def queue(ours_queue: Queue) -> Queue:
    """What failed stays hidden for as long as a test looks."""
    return Queue(ours_queue.client, new_name(), VisibilityTimeout="60")


def test_a_task_that_ignores_everything_is_ended_and_its_neighbours_run(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.work", [[number] for number in range(5)])
    queue.send_task("long.ignore_everything", "culprit")
    queue.send_tasks("tasks.work", [[number] for number in range(5, 10)])
    worker = project.worker(queue.name)
    project.wait_for_notes("work", 10)

    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")
    assert project.values("began") == ["culprit"]
    assert sorted(project.values("work")) == list(range(10))
    line = worker.wait_for(r"^\[ERROR\]: .*long\.ignore_everything.* has run for longer than .*$").group(0)
    assert "its time limit of 0.5 s: task process" in line
    assert "died by" not in worker.output, "it is no unexplained crash"


def test_the_workers_limit_holds_for_every_task(project: Project, queue: Queue) -> None:
    queue.send_task("long.spin", 1)
    worker = project.worker(queue.name, "--time-limit", "0.7")

    worker.wait_for(r"long\.spin.* time limit of 0\.7 s")
    queue.send_task("tasks.work", 2)
    project.wait_for_notes("work")
    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")


def test_the_limit_of_a_celery_message_holds(project: Project, queue: Queue) -> None:
    payload = base64.b64encode(json.dumps([["value"], {}, {}]).encode()).decode()
    message = {
        "body": payload,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "long.spin", "id": "c0ffee", "lang": "py", "timelimit": [0.6, None]},
        "properties": {"body_encoding": "base64", "correlation_id": "c0ffee", "delivery_info": {}},
    }
    queue.send(json.dumps(message))
    worker = project.worker(queue.name, "--time-limit", "1000")

    worker.wait_for(r"long\.spin.* time limit of 0\.6 s")


def test_the_soft_limit_is_an_exception_that_the_task_may_take(project: Project, queue: Queue) -> None:
    queue.send_task("long.give_in", 1)
    queue.send_task("long.give_in", 2)
    project.worker(queue.name)
    told = project.wait_for_notes("told", 2)
    queue.wait_until_empty()

    assert "soft time limit" in told[0]["words"]
    assert told[0]["pid"] == told[1]["pid"]


def test_a_task_that_does_not_take_it_has_failed(project: Project, queue: Queue) -> None:
    queue.send_task("long.fall", 1)
    queue.send_task("tasks.work", 2)
    worker = project.worker(queue.name, "--soft-time-limit", "500")

    worker.wait_for(r"Task long\.fall raised error in 0\.\d+ seconds.*: SoftTimeLimitExceeded")
    project.wait_for_notes("work")
    eventually(lambda: queue.counts() == (0, 1), "the one that failed is left")
    assert project.notes("began")[0]["pid"] == project.notes("work")[0]["pid"]


def test_a_task_that_takes_the_soft_limit_and_goes_on_is_ended_by_the_hard_one(project: Project, queue: Queue) -> None:
    queue.send_task("long.go_on", 1)
    worker = project.worker(queue.name)

    project.wait_for_notes("told")
    worker.wait_for(r"long\.go_on.* time limit of 0\.8 s")
    eventually(lambda: queue.counts() == (0, 1), "it counts as failed")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--time-limit", "0"], "above 0"),
        (["--time-limit", "-1"], "seconds are 0 or more"),
        (["--soft-time-limit", "soon"], "seconds are a number"),
        (["--time-limit", "5", "--soft-time-limit", "5"], "lower the soft one or raise the other"),
        (["--max-memory-per-child", "512"], "as 512M or 2G"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_limits_that_make_no_sense_are_refused(project: Project, options: list[str], words: str) -> None:
    done = project.run([*pyqs_command(), "some-queue", *options])
    assert done.returncode == 2
    assert words in done.stderr


def test_a_process_that_has_grown_is_replaced_after_its_task(project: Project, queue: Queue) -> None:
    project.write(
        "hoard.py",
        """
from journal import note
kept = []
def hoard(value):
    kept.append(bytearray(b"x") * (200 * 1024 * 1024))
    note("hoarded", value=value)
""",
    )
    queue.send_task("hoard.hoard", 1)
    worker = project.worker(queue.name, "--max-memory-per-child", "150M")
    large = project.wait_for_notes("hoarded")[0]["pid"]

    worker.wait_for(rf"task process {large} uses \d+ MiB of memory, more than it may; replacing it")
    eventually(lambda: large not in worker.children(), "the large process has left")
    queue.send_task("tasks.work", 2)
    assert project.wait_for_notes("work")[0]["pid"] != large
    queue.wait_until_empty()
