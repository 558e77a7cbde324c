"""``async def`` tasks: one event loop a process, on which ``--threads N`` of them run at once."""

from __future__ import annotations

import pytest
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

TOGETHER = """
import asyncio, contextvars, ctypes, threading, time
from journal import note
from pyqs import task
from pyqs.errors import SoftTimeLimitExceeded

who = contextvars.ContextVar("who", default="nobody")
left = {}
here = {}

@task(queue="unused")
async def meet(count, value=None):
    here.setdefault(count, []).append(value)
    while len(here[count]) < count:
        await asyncio.sleep(0.01)
    note("met", value=value, threads=threading.active_count())

everybody = asyncio.Event()

@task(queue="unused")
async def wait_for_all(count, value):
    here.setdefault("all", []).append(value)
    if len(here["all"]) == count:
        everybody.set()
        note("all are here", values=sorted(here["all"]), threads=threading.active_count())
    await everybody.wait()

@task(queue="unused")
async def remember(value):
    loop = asyncio.get_running_loop()
    note("found", value=left.get("connection"), same_loop=left.get("loop") in (None, loop), who=who.get())
    who.set(value)
    left.update(connection=value, loop=loop)

@task(queue="unused", time_limit=0.5)
async def hang(value=None):
    try:
        await asyncio.sleep(1000)
    finally:
        note("cleaned", value=value)

@task(queue="unused", time_limit=0.5)
async def block(value=None):
    note("blocks", value=value)
    ctypes.PyDLL(None).sleep(1000)

@task(queue="unused", soft_time_limit=0.3)
async def give_in(value=None):
    async def part():
        try:
            await asyncio.sleep(1000)
        finally:
            note("part ended", value=value)
    try:
        await asyncio.wait_for(part(), 500)
    except SoftTimeLimitExceeded:
        await asyncio.sleep(0.01)
        note("told", value=value)
"""


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("together.py", TOGETHER)
    return ours_project


@pytest.fixture
def queue(ours_queue: Queue) -> Queue:
    """What failed stays hidden for as long as a test looks."""
    return Queue(ours_queue.client, new_name(), VisibilityTimeout="60")


def test_that_many_run_at_once_without_as_many_threads(project: Project, queue: Queue) -> None:
    queue.send_tasks("together.meet", [[40, number] for number in range(40)])
    project.worker(queue.name, "--threads", "40")
    met = project.wait_for_notes("met", 40)
    queue.wait_until_empty()

    assert len({note["pid"] for note in met}) == 1
    assert max(note["threads"] for note in met) <= 3


def test_a_thousand_wait_at_once_in_one_process(project: Project, queue: Queue) -> None:
    queue.send_tasks("together.wait_for_all", [[1000, number] for number in range(1000)])
    project.worker(queue.name, "--threads", "1000", loglevel="WARN")
    (met,) = project.wait_for_notes("all are here", deadline_secs=60)
    queue.wait_until_empty()

    assert met["values"] == list(range(1000))
    assert met["threads"] <= 3


def test_plain_functions_run_beside_them(project: Project, queue: Queue) -> None:
    queue.send_task("tasks.wait", "go", "plain")
    queue.send_tasks("together.meet", [[2, number] for number in range(2)])
    project.worker(queue.name, "--threads", "3")
    project.wait_for_notes("met", 2)
    project.wait_for_notes("began")
    queue.send_tasks("tasks.work", [[number] for number in range(10)])
    queue.send_tasks("together.remember", [[number] for number in range(10)])
    project.wait_for_notes("work", 10)
    project.wait_for_notes("found", 10)
    project.open_gate("go")
    queue.wait_until_empty()

    assert len({note["pid"] for note in project.notes()}) == 1


@pytest.mark.parametrize("threads", ["1", "2"])
def test_what_a_task_leaves_on_the_loop_is_there_for_the_next(project: Project, queue: Queue, threads: str) -> None:
    project.worker(queue.name, "--threads", threads)
    queue.send_task("together.remember", 1)
    project.wait_for_notes("found")
    queue.send_task("together.remember", 2)
    found = project.wait_for_notes("found", 2)

    assert [note["value"] for note in found] == [None, 1]
    assert found[1]["same_loop"]
    assert [note["who"] for note in found] == ["nobody", "nobody"], "context variables are each task's own"


@pytest.mark.parametrize("threads", ["1", "2"])
def test_at_its_time_limit_one_is_cancelled_and_its_process_lives(project: Project, queue: Queue, threads: str) -> None:
    queue.send_task("together.hang", 1)
    worker = project.worker(queue.name, "--threads", threads)
    worker.wait_for(r"Task together\.hang raised error in 0\.\d+ seconds.*: TimeLimitExceeded")
    queue.send_task("tasks.work", 2)
    project.wait_for_notes("work")

    eventually(lambda: queue.counts() == (0, 1), "it has failed")
    assert project.notes("cleaned")[0]["pid"] == project.notes("work")[0]["pid"]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_one_that_blocks_the_loop_is_ended_all_the_same(project: Project, queue: Queue, threads: str) -> None:
    queue.send_task("together.block", 1)
    worker = project.worker(queue.name, "--threads", threads)
    worker.wait_for(r"together\.block.* has run for longer than its time limit of 0\.5 s: task process \d+ is killed")
    queue.send_task("tasks.work", 2)
    project.wait_for_notes("work")

    eventually(lambda: queue.counts() == (0, 1), "it has failed")
    assert len(project.notes("blocks")) == 1


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_soft_limit_is_an_exception_that_the_task_may_take(project: Project, queue: Queue, threads: str) -> None:
    queue.send_task("together.give_in", 1)
    project.worker(queue.name, "--threads", threads)
    project.wait_for_notes("told")
    queue.wait_until_empty()

    assert len(project.notes("part ended")) == 1
