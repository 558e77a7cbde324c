"""``--threads N``: several tasks at once in one process, and what they have to do with each other."""

from __future__ import annotations

import os
import signal

import pytest
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

TOGETHER = """
import threading, time
from journal import note, wait_for_gate
from pyqs import task
from pyqs.errors import SoftTimeLimitExceeded

barrier = threading.Barrier(4)

@task(queue="unused")
def meet(value=None):
    barrier.wait(20)
    note("met", value=value, thread=threading.get_ident())

@task(queue="unused", time_limit=1)
def hang(value=None):
    note("hung", value=value)
    time.sleep(1000)

@task(queue="unused", soft_time_limit=0.3)
def give_in(value=None):
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
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


def test_that_many_tasks_run_at_once_in_one_process(project: Project, queue: Queue) -> None:
    queue.send_tasks("together.meet", [[number] for number in range(8)])
    project.worker(queue.name, "--threads", "4")
    met = project.wait_for_notes("met", 8)
    queue.wait_until_empty()

    assert len({note["pid"] for note in met}) == 1
    assert len({note["thread"] for note in met}) == 4
    assert sorted(project.values("met")) == list(range(8))


def test_no_more_run_at_once(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.wait", [["go", number] for number in range(5)])
    queue.send_tasks("tasks.work", [[number] for number in range(5)])
    worker = project.worker(queue.name, "--threads", "3", "--concurrency", "1")
    project.wait_for_notes("began", 3)
    worker.wait_for("Running ProcessWorker")

    project.open_gate("go")
    project.wait_for_notes("ended", 5)
    project.wait_for_notes("work", 5)
    running = 0
    for note in project.notes():
        running += {"began": 1, "ended": -1}.get(note["what"], 0)
        assert running <= 3
    queue.wait_until_empty()


def test_processes_are_replaced_by_what_all_threads_have_run(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.work", [[number] for number in range(120)])
    project.worker(queue.name, "--threads", "3", "--max-tasks-per-child", "20")
    notes = project.wait_for_notes("work", 120)
    queue.wait_until_empty()

    assert sorted(project.values("work")) == list(range(120)), "each ran once"
    assert len({note["pid"] for note in notes}) >= 3


def test_a_process_that_is_killed_is_charged_with_what_it_ran(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.wait", [["never", number] for number in range(4)])
    worker = project.worker(queue.name, "--threads", "4")
    pid = project.wait_for_notes("began", 4)[0]["pid"]
    queue.send_tasks("tasks.work", [[number] for number in range(6)])

    os.kill(pid, signal.SIGKILL)

    project.wait_for_notes("work", 6)
    eventually(lambda: queue.counts() == (0, 4), "the four that ran wait out their visibility timeout")
    assert len(project.notes("began")) == 4
    line = worker.wait_for(r"^\[ERROR\]: .*died by SIGKILL while running.*$").group(0)
    assert line.count("tasks.wait") == 4


def test_at_a_time_limit_the_neighbours_end_in_peace(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.wait", [["go", number] for number in range(2)])
    worker = project.worker(queue.name, "--threads", "4")
    old = project.wait_for_notes("began", 2)[0]["pid"]
    queue.send_task("together.hang", "culprit")
    worker.wait_for(r"together\.hang.* takes no more tasks, and is killed when its others have ended")

    queue.send_tasks("tasks.work", [[number] for number in range(5)])
    notes = project.wait_for_notes("work", 5)
    assert old not in {note["pid"] for note in notes}
    project.open_gate("go")
    project.wait_for_notes("ended", 2)
    eventually(lambda: old not in worker.children(), "the process of the culprit is gone")
    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")
    assert len(project.notes("began")) == 2
    assert len(project.notes("hung")) == 1


def test_neighbours_that_take_too_long_are_run_elsewhere_and_not_charged(project: Project, queue: Queue) -> None:
    queue.send_task("tasks.wait", "go", "neighbour")
    worker = project.worker(queue.name, "--threads", "2", "--drain-timeout", "0.5")
    old = project.wait_for_notes("began")[0]["pid"]
    queue.send_task("together.hang", "culprit")
    worker.wait_for(r"together\.hang.* after 0\.5 s at the latest")

    again = project.wait_for_notes("began", 2)[1]["pid"]
    assert again != old
    project.open_gate("go")
    project.wait_for_notes("ended")
    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")
    assert len(project.notes("hung")) == 1


def test_a_soft_limit_reaches_each_thread(project: Project, queue: Queue) -> None:
    queue.send_tasks("together.give_in", [[number] for number in range(3)])
    project.worker(queue.name, "--threads", "3")
    project.wait_for_notes("told", 3)
    queue.wait_until_empty()


def test_a_stop_waits_for_all_threads(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.wait", [["go", number] for number in range(3)])
    worker = project.worker(queue.name, "--threads", "3")
    project.wait_for_notes("began", 3)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for("Received shutdown signal")
    project.open_gate("go")

    assert worker.wait() == 0
    assert len(project.notes("ended")) == 3
    assert queue.counts() == (0, 0)
