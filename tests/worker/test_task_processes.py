"""Task processes: how many there are, how long each lives, and what dies with one."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from support.processes import is_alive
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

DEADLY = """
import ctypes, os, signal, sys
from journal import note

def die(how, value=None):
    note("died", value=value)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(3)
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "abort":
        ctypes.CDLL(None).abort()

def leave(value=None):
    note("left", value=value)
    sys.exit("this task leaves")
"""


def test_concurrency_is_that_many_task_processes(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.wait", [["go", number] for number in range(4)])
    worker = project.worker(queue.name, "--concurrency", "3")
    began = project.wait_for_notes("began", 3)

    assert len({note["pid"] for note in began}) == 3
    assert set(worker.children()) >= {note["pid"] for note in began}
    assert len(worker.children()) == 4, "three task processes and the manager"
    assert len(project.notes("began")) == 3, "the fourth task waits for a process"
    project.open_gate("go")
    project.wait_for_notes("ended", 4)
    queue.wait_until_empty()


def test_one_task_process_runs_one_task_at_a_time(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.last", [[0.05, number] for number in range(6)])
    project.worker(queue.name)
    project.wait_for_notes("ended", 6)

    running = 0
    for note in project.notes():
        running += {"began": 1, "ended": -1}[note["what"]]
        assert running <= 1


@pytest.mark.parametrize("task", ["tasks.work", "tasks.fail"])
def test_a_task_process_is_replaced_after_exactly_so_many_tasks(project: Project, queue: Queue, task: str) -> None:
    queue.send_tasks(task, [[number] for number in range(20)])
    project.worker(queue.name, "--max-tasks-per-child", "4")
    notes = project.wait_for_notes(task.rpartition(".")[2], 20)

    tasks_by_process: dict[int, int] = {}
    for note in notes[:20]:
        tasks_by_process[note["pid"]] = tasks_by_process.get(note["pid"], 0) + 1
    assert list(tasks_by_process.values()) == [4] * 5
    first = notes[0]["pid"]
    eventually(lambda: not is_alive(first), "the first process has left")


def test_a_hundred_tasks_is_the_default(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.work", [[number] for number in range(110)])
    project.worker(queue.name)
    notes = project.wait_for_notes("work", 110)

    pids = [note["pid"] for note in notes]
    assert len(set(pids[:100])) == 1
    assert len(set(pids[100:])) == 1
    assert pids[99] != pids[100]


def test_zero_means_that_no_process_is_replaced(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.work", [[number] for number in range(130)])
    project.worker(queue.name, "--max-tasks-per-child", "0")

    assert len({note["pid"] for note in project.wait_for_notes("work", 130)}) == 1


def test_a_hundred_and_more_tasks_each_run_once_over_replacements(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.work", [[number] for number in range(120)])
    project.worker(queue.name, "--concurrency", "3", "--max-tasks-per-child", "7")
    project.wait_for_notes("work", 120)
    queue.wait_until_empty()

    assert sorted(project.values("work")) == list(range(120))


def test_simple_worker_holds_nothing_beside_what_runs(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.wait", [["go", number] for number in range(5)])
    project.worker(queue.name, "--simple-worker")
    project.wait_for_notes("began")

    # One runs, and one at most has been fetched; the others are free for other workers.
    eventually(lambda: queue.counts()[0] >= 3, "at least three messages are visible")
    assert queue.counts()[1] <= 2
    project.open_gate("go")
    project.wait_for_notes("ended", 5)
    queue.wait_until_empty()


@pytest.mark.parametrize("how", ["kill", "exit", "segfault", "abort"])
def test_a_task_that_kills_its_process_takes_nobody_with_it(
    project: Project, sqs: Any, queue_name: str, how: str
) -> None:
    project.write("deadly.py", DEADLY)
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    for number in range(10):
        queue.send_task("tasks.work", number)
        if number == 4:
            queue.send_task("deadly.die", how, "culprit")
    worker = project.worker(queue.name)
    project.wait_for_notes("work", 10)

    # Nobody else was charged: each ran once and is gone, and the culprit waits out its visibility timeout.
    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")
    assert sorted(project.values("work")) == list(range(10))
    assert project.values("died") == ["culprit"]
    line = worker.wait_for(r"^\[ERROR\]: .*deadly\.die.*$").group(0)
    assert {"kill": "SIGKILL", "exit": "3", "segfault": "SIGSEGV", "abort": "SIGABRT"}[how] in line


def test_a_task_process_that_is_killed_from_outside_charges_one_task(
    project: Project, sqs: Any, queue_name: str
) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    queue.send_task("tasks.wait", "never", "culprit")
    for number in range(5):
        queue.send_task("tasks.work", number)
    project.worker(queue.name)
    pid = project.wait_for_notes("began")[0]["pid"]

    os.kill(pid, signal.SIGKILL)

    project.wait_for_notes("work", 5)
    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")
    assert sorted(project.values("work")) == list(range(5))


def test_an_idle_task_process_that_is_killed_is_replaced(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name)
    pid = int(worker.wait_for(r"Running ProcessWorker, pid: (\d+)").group(1))

    os.kill(pid, signal.SIGKILL)

    worker.wait_for(r"Running ProcessWorker, pid: \d+", 2)
    queue.send_task("tasks.work", 1)
    assert project.wait_for_notes("work")[0]["pid"] != pid


def test_sys_exit_in_a_task_is_the_tasks_failure_and_not_the_processs_end(
    project: Project, sqs: Any, queue_name: str
) -> None:
    project.write("deadly.py", DEADLY)
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    queue.send_task("deadly.leave", 1)
    queue.send_task("tasks.work", 2)
    worker = project.worker(queue.name)
    project.wait_for_notes("work")

    worker.wait_for(r"^\[ERROR\]: Task deadly\.leave raised error")
    eventually(lambda: queue.counts() == (0, 1), "the task that left was not deleted")
    assert project.notes("left")[0]["pid"] == project.notes("work")[0]["pid"]


def test_a_task_processs_own_children_do_not_disturb(project: Project, queue: Queue) -> None:
    project.write(
        "parent.py",
        """
import subprocess, sys
from journal import note

def call(value):
    done = subprocess.run([sys.executable, "-c", "raise SystemExit(5)"])
    note("called", value=done.returncode)
""",
    )
    queue.send_task("parent.call", 1)
    project.worker(queue.name)

    assert project.wait_for_notes("called")[0]["value"] == 5
    queue.wait_until_empty()


def test_a_process_that_a_task_forks_and_that_returns_is_not_the_task(ours_project: Project, ours_queue: Queue) -> None:
    """Neither its result nor its exception is the task's, and it takes no tasks."""
    ours_project.write(
        "forks.py",
        """
import os
from journal import note, wait_for_gate

def fork(raises, value):
    child = os.fork()
    if child == 0:
        if raises:
            raise ValueError("in the child")
        return
    os.waitpid(child, 0)
    note("waited", value=value)
""",
    )
    ours_queue.send_tasks("forks.fork", [[False, 1], [True, 2]])
    ours_queue.send_tasks("tasks.work", [[number] for number in range(20)])
    ours_project.worker(ours_queue.name)

    ours_project.wait_for_notes("work", 20)
    ours_queue.wait_until_empty()
    assert ours_project.values("waited") == [1, 2]
    assert ours_project.values("work") == list(range(20))
    assert len({note["pid"] for note in ours_project.notes()}) == 1


def test_a_task_that_closes_our_socket_has_succeeded_and_the_next_process_goes_on(
    ours_project: Project, ours_queue: Queue
) -> None:
    ours_project.write("closes.py", "import os\ndef close_all():\n    os.closerange(3, 4096)\n")
    ours_queue.send_task("closes.close_all")
    worker = ours_project.worker(ours_queue.name)
    worker.wait_for("has lost its socket, which a task may have closed")
    ours_queue.send_task("tasks.work", 1)

    ours_project.wait_for_notes("work")
    ours_queue.wait_until_empty()
    assert "Traceback" not in worker.output
