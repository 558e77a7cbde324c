"""Leases: tasks longer than the visibility timeout, and processes that are paused for longer than it."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest
from support.endpoints import Endpoint
from support.processes import is_alive
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

HOLDS_THE_LOCK = """
import ctypes
from journal import note

def hold(seconds):
    note("began", value=seconds)
    # A C function called this way keeps the interpreter lock: no other thread of Python's runs meanwhile.
    ctypes.PyDLL(None).sleep(seconds)
    note("ended", value=seconds)
"""


def wait_by_the_endpoint(client: object, name: str, seconds: int) -> None:
    """Wait until a message that is hidden for so long is visible again."""
    clock = Queue(client, f"{name}-clock", VisibilityTimeout=str(seconds))
    clock.send("tick")
    assert clock.receive()
    eventually(lambda: clock.counts() == (1, 0), f"{seconds} seconds by the endpoint", seconds + 10)


@pytest.mark.parametrize("concurrency", ["1", "2"])
def test_a_task_that_holds_the_interpreter_lock_runs_once_while_500_wait(
    ours_project: Project, ours: Endpoint, queue_name: str, concurrency: str
) -> None:
    ours_project.write("greedy.py", HOLDS_THE_LOCK)
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="5")
    queue.send_task("greedy.hold", 12)
    queue.send_tasks("tasks.work", [[number] for number in range(500)])
    ours_project.worker(queue.name, "--concurrency", concurrency)

    ours_project.wait_for_notes("ended")
    queue.wait_until_empty()
    assert ours_project.values("began") == [12]
    assert sorted(ours_project.values("work")) == list(range(500)), "each ran once"


def test_a_task_process_that_is_paused_for_longer_than_the_lease_runs_its_task_once(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="5")
    queue.send_task("tasks.wait", "go", 1)
    ours_project.worker(queue.name, "--concurrency", "2")
    pid = ours_project.wait_for_notes("began")[0]["pid"]

    os.kill(pid, signal.SIGSTOP)
    wait_by_the_endpoint(ours.client(), queue_name, 8)
    assert queue.counts() == (0, 1), "the manager keeps the message"
    os.kill(pid, signal.SIGCONT)
    ours_project.open_gate("go")

    queue.wait_until_empty()
    assert ours_project.values("began") == ours_project.values("ended") == [1]


def test_a_worker_that_slept_longer_than_its_leases_starts_nothing_on_them(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    """As on a laptop that is closed, or a machine that is moved: every process stops at once."""
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="5")
    queue.send_tasks("tasks.last", [[0.05, number] for number in range(100)])
    sleeper = ours_project.worker(queue.name)
    ours_project.wait_for_notes("ended", 10)
    os.killpg(sleeper.pid, signal.SIGSTOP)
    began = Counter(ours_project.values("began"))
    running = began - Counter(ours_project.values("ended"))

    ours_project.worker(queue.name)
    queue.wait_until_empty()
    os.killpg(sleeper.pid, signal.SIGCONT)
    queue.send_tasks("tasks.work", [[number] for number in range(20)])
    ours_project.wait_for_notes("work", 20)

    assert sleeper.stop() == 0
    again = Counter(ours_project.values("began")) - Counter(range(100))
    assert set(again) <= set(running), "but for what ran in that moment, each ran once"
    assert set(ours_project.values("ended")) == set(range(100))
    assert not is_alive(sleeper.pid)
