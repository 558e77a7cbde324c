"""Stopping: running tasks finish, the rest is given back at once, and a second signal ends it now."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from support.endpoints import Endpoint
from support.pid1 import start_as_pid_1
from support.processes import children, is_alive
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

RULES = """
from pyqs import Discard, task

@task(queue="unused", retries=1, backoff=[600])
def again():
    raise ValueError

@task(queue="unused")
def drop():
    raise Discard
"""

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


def test_the_last_line_says_what_there_was(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_tasks("tasks.work", [[number] for number in range(3)])
    ours_queue.send_task("tasks.fail", 1)
    ours_queue.send_task("rules.again")
    ours_queue.send_task("rules.drop")
    ours_queue.send("no JSON")
    ours_project.write("rules.py", RULES)
    worker = ours_project.worker(ours_queue.name)
    ours_project.wait_for_notes("fail")
    ours_project.wait_for_notes("work", 3)
    worker.wait_for("rules.again raised error")
    worker.wait_for("rules.drop was discarded")
    worker.wait_for("can't be read: ")

    assert worker.stop() == 0

    (line,) = worker.matches("^.INFO.: Stopped. (.*)$")
    assert re.findall(r"([^.;:,]+): (\d+)", line.group(1)) == [
        ("Messages received", "7"),
        (" tasks succeeded", "3"),
        (" failed", "2"),
        (" of these by the end of their process", "0"),
        (" to run again", "1"),
        (" without a retry left", "0"),
        (" sent to dead-letter queues", "0"),
        (" discarded", "1"),
        (" expired", "0"),
        (" sent on until due", "0"),
        (" can't be read or run", "1"),
        (" given back", "0"),
        (" lapsed", "0"),
        (" and deleted without running", "0"),
        (" while held", "0"),
        (" received by others before", "0"),
    ]


def test_a_rolling_restart_of_three_workers_loses_and_doubles_nothing(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="600")
    queue.send_tasks("tasks.last", [[0.005, number] for number in range(1500)])
    workers = [ours_project.worker(queue.name) for _ in range(3)]
    for count, worker in enumerate(workers):
        ours_project.wait_for_notes("ended", 200 * (count + 1))
        worker.send_signal(signal.SIGTERM)
        ours_project.worker(queue.name)
        assert worker.wait() == 0

    # What was stranded would be hidden for 10 minutes.
    queue.wait_until_empty()
    assert sorted(ours_project.values("ended")) == list(range(1500)), "each ran once"


@pytest.mark.parametrize("count", [1, 10, 300])
def test_messages_that_come_in_the_moment_of_a_stop_are_not_stranded(
    ours_project: Project, ours: Endpoint, queue_name: str, count: int
) -> None:
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="600")
    for attempt in range(4):
        worker = ours_project.worker(queue.name, "--concurrency", "2")
        worker.wait_for("Found matching SQS Queues")
        sender = threading.Thread(target=queue.send_tasks, args=("tasks.work", [[attempt]] * count))
        sender.start()
        assert worker.stop() == 0, worker.output
        sender.join()
        ran = len(ours_project.values("work"))
        eventually(lambda: queue.counts() == ((attempt + 1) * count - ran, 0), "nothing is hidden", 2)  # noqa: B023


def test_what_waits_is_given_back_when_the_supervisor_is_killed(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="600")
    queue.send_tasks("tasks.last", [[0.05, number] for number in range(100)])
    worker = ours_project.worker(queue.name, "--concurrency", "2")
    ours_project.wait_for_notes("ended", 10)
    family = worker.children()

    os.kill(worker.pid, signal.SIGKILL)

    eventually(lambda: not any(map(is_alive, family)), "all have ended", 8)
    ended = ours_project.values("ended")
    assert sorted(ended) == sorted(ours_project.values("began")), "what began has finished"
    assert queue.counts() == (100 - len(ended), 0), "all others can be had at once"


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
    unshare = start_as_pid_1(ours_project, ours_queue.name)
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
