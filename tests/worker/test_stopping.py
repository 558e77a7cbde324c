"""Stopping: running tasks finish, the rest is given back at once, and a second signal ends it now."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.endpoints import Endpoint, pyqs_command
from support.processes import Process, children, is_alive
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]


@pytest.mark.parametrize("signum", STOP_SIGNALS)
def test_each_stop_signal_lets_running_tasks_finish(ours_project: Project, ours_queue: Queue, signum: int) -> None:
    ours_queue.send_task("tasks.last", 0.5, "running")
    worker = ours_project.worker(ours_queue.name)
    ours_project.wait_for_notes("began")

    assert worker.stop(signum) == 0, worker.output

    assert ours_project.values("ended") == ["running"]
    assert ours_queue.counts() == (0, 0)
    assert f"Received shutdown signal {int(signum)}" in worker.output


def test_under_load_running_tasks_finish_and_the_rest_is_visible_at_once(
    project: Project, sqs: Any, queue_name: str
) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="600")
    queue.send_tasks("tasks.last", [[0.1, number] for number in range(100)])
    worker = project.worker(queue.name, "--concurrency", "2")
    project.wait_for_notes("ended", 10)
    family = worker.children()

    assert worker.stop() == 0, worker.output

    began, ended = project.values("began"), project.values("ended")
    assert sorted(began) == sorted(ended), "what began has finished"
    assert len(set(began)) == len(began), "and ran once"
    visible, hidden = queue.counts()
    assert visible + len(ended) == 100, "all others can be had at once"
    assert hidden == 0
    assert not any(map(is_alive, family))


def test_a_worker_started_after_the_stop_does_the_rest(ours_project: Project, ours: Endpoint, queue_name: str) -> None:
    project, queue = ours_project, Queue(ours.client(), queue_name, VisibilityTimeout="600")
    queue.send_tasks("tasks.last", [[0.02, number] for number in range(80)])
    first = project.worker(queue.name)
    project.wait_for_notes("ended", 5)
    assert first.stop() == 0

    project.worker(queue.name, "--concurrency", "2")

    project.wait_for_notes("ended", 80)
    queue.wait_until_empty()
    assert sorted(project.values("ended")) == list(range(80)), "each ran once"


def test_an_idle_worker_stops_at_once_on_our_endpoint(ours_project: Project, ours_queue: Queue) -> None:
    worker = ours_project.worker(ours_queue.name)

    assert worker.stop(deadline_secs=5) == 0

    # The closed long poll took nothing with it.
    ours_queue.send_task("tasks.work", 1)
    assert len(ours_queue.receive()) == 1


def test_an_idle_worker_awaits_its_long_poll_elsewhere(moto_project: Project, moto_queue: Queue) -> None:
    """SQS may strand messages of a poll that is closed, so it is awaited, and what it brings is given back."""
    worker = moto_project.worker(moto_queue.name)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for("Graceful shutdown")
    moto_queue.send_task("tasks.work", 1)

    assert worker.wait(25) == 0
    assert moto_queue.counts() == (1, 0)
    assert moto_project.notes("work") == []


def test_a_second_signal_ends_it_now_and_gives_back_what_it_can(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="600")
    queue.send_tasks("tasks.wait", [["never", number] for number in range(5)])
    worker = project.worker(queue.name)
    project.wait_for_notes("began")
    family = worker.children()
    worker.send_signal(signal.SIGTERM)
    worker.wait_for("Graceful shutdown")
    assert worker.popen.poll() is None, "the first signal waits for the task"

    worker.send_signal(signal.SIGTERM)

    worker.wait(15)
    eventually(lambda: not any(map(is_alive, family)), "all have ended", 5)
    assert project.notes("ended") == []
    eventually(lambda: queue.counts() == (5, 0), "all can be had again", 5)


def test_shutdown_timeout_bounds_the_wait(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("tasks.wait", "never")
    worker = ours_project.worker(ours_queue.name, "--shutdown-timeout", "1")
    ours_project.wait_for_notes("began")

    worker.stop(deadline_secs=10)

    eventually(lambda: ours_queue.counts() == (1, 0), "the killed task can be had again", 5)


def test_ctrl_c_in_a_terminal_reaches_every_process_and_still_lets_tasks_finish(
    ours_project: Project, ours_queue: Queue
) -> None:
    """A terminal sends SIGINT to the whole group, not to the supervisor alone."""
    ours_queue.send_task("tasks.last", 0.5, "running")
    worker = ours_project.worker(ours_queue.name)
    ours_project.wait_for_notes("began")

    os.killpg(worker.pid, signal.SIGINT)

    assert worker.wait() == 0, worker.output
    assert ours_project.values("ended") == ["running"]
    assert ours_queue.counts() == (0, 0)
    assert "KeyboardInterrupt" not in worker.output


def _as_pid_1(project: Project, *arguments: str) -> Process:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no `unshare` to make the worker PID 1 with")
    probe = subprocess.run([unshare, "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"the kernel refuses a namespace in which the worker would be PID 1: {probe.stderr.strip()}")
    command = [unshare, "--pid", "--fork", "--kill-child", *pyqs_command(), *arguments, "--loglevel", "INFO"]
    worker = project.start(command)
    worker.wait_for(r"Running ProcessWorker, pid: \d+")
    return worker


def test_as_pid_1_it_works_reaps_orphans_and_stops(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write(
        "orphans.py",
        """
import subprocess
from journal import note

def leave_one(value):
    # The shell ends first, so that its child is an orphan, which PID 1 inherits.
    subprocess.run(["sh", "-c", "sleep 0.1 &"])
    note("left", value=value)
""",
    )
    ours_queue.send_task("orphans.leave_one", 1)
    unshare = _as_pid_1(ours_project, ours_queue.name)
    ours_project.wait_for_notes("left")
    ours_queue.wait_until_empty()
    (first,) = children(unshare.pid)
    assert _pid_inside(first) == 1
    eventually(lambda: len(_all_children(first)) == 2, "the manager, the task process and no zombie")

    os.kill(first, signal.SIGTERM)

    assert unshare.wait(10) == 0, unshare.output


def _pid_inside(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid"))
    return int(line.split()[-1])


def _all_children(pid: int) -> list[str]:
    """Zombies included."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
