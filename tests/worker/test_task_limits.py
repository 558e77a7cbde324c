"""``max_concurrency=`` and ``rate_limit=`` of a task: kept in each worker, and in nobody's way."""

from __future__ import annotations

import pytest
from support.endpoints import Endpoint
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

LIMITED = """
import time
from journal import note
from pyqs import task

@task(queue="unused", max_concurrency=2)
def two_at_once(number):
    note("began", value=number)
    time.sleep(0.1)
    note("ended", value=number)

@task(queue="unused", rate_limit="5/s")
def five_a_second(number):
    note("rated", value=number)

@task(queue="unused", rate_limit="1/h")
def one_an_hour(number):
    note("hourly", value=number)

@task(queue="unused")
def free(number):
    note("free", value=number)
"""


@pytest.fixture
def limited(ours_project: Project) -> Project:
    """A project with tasks that have limits."""
    ours_project.write("limited.py", LIMITED)
    return ours_project


def at_once(project: Project) -> int:
    """How many ran at once, at most."""
    running = most = 0
    for note in sorted(project.notes(), key=lambda note: note["at"]):
        running += {"began": 1, "ended": -1}.get(note["what"], 0)
        most = max(most, running)
    return most


@pytest.mark.parametrize("options", [(), ("--import", "limited")], ids=["found", "imported"])
@pytest.mark.parametrize("slots", [("--concurrency", "5"), ("--threads", "5")], ids=["processes", "threads"])
def test_no_more_than_max_concurrency_run_at_once(
    limited: Project, ours_queue: Queue, options: tuple[str, ...], slots: tuple[str, ...]
) -> None:
    ours_queue.send_tasks("limited.two_at_once", [[number] for number in range(12)])

    result = limited.pyqs(ours_queue.name, "--burst", *slots, *options)

    assert result.returncode == 0, result.stderr
    assert sorted(limited.values("ended")) == list(range(12))
    assert at_once(limited) == 2


def test_the_limit_holds_over_all_queues(limited: Project, ours: Endpoint) -> None:
    queues = [Queue(ours.client(), new_name()) for _ in range(3)]
    for queue in queues:
        queue.send_tasks("limited.two_at_once", [[number] for number in range(4)])

    result = limited.pyqs(*(queue.name for queue in queues), "--burst", "--concurrency", "6")

    assert result.returncode == 0, result.stderr
    assert len(limited.values("ended")) == 12
    assert at_once(limited) == 2


def test_starts_keep_to_the_rate(limited: Project, ours_queue: Queue) -> None:
    ours_queue.send_tasks("limited.five_a_second", [[number] for number in range(8)])

    result = limited.pyqs(ours_queue.name, "--burst", "--concurrency", "2")

    assert result.returncode == 0, result.stderr
    starts = [note["at"] for note in limited.notes("rated")]
    assert len(starts) == 8
    assert starts[-1] - starts[0] > 6 / 5, "seven pauses of a fifth of a second, and some leeway at both ends"


def test_what_is_held_back_is_in_nobodys_way(limited: Project, ours: Endpoint) -> None:
    """Fifty that have to wait for hours, and behind them in the same queue one that has not."""
    queue = Queue(ours.client(), new_name())
    queue.send_tasks("limited.one_an_hour", [[number] for number in range(50)])
    queue.send_task("limited.free", 1)
    worker = limited.worker(queue.name, "--concurrency", "2")

    limited.wait_for_notes("free")
    assert len(limited.notes("hourly")) == 1
    # A batch waits in the worker, and is given back at the end; the others are hidden until their turn.
    eventually(lambda: queue.counts() == (0, 49), "all others are out of the way")
    assert worker.stop() == 0
    visible, hidden = queue.counts()
    assert 1 <= visible <= 10, "a batch"
    assert visible + hidden == 49


def test_the_decorator_refuses_what_makes_no_sense(limited: Project) -> None:
    output = limited.python(
        "import pyqs\n"
        "wrong = [{'max_concurrency': 0}, {'max_concurrency': 1.5}, {'rate_limit': 'fast'}, {'rate_limit': '0/s'},\n"
        "         {'rate_limit': '5/d'}, {'rate_limit': 0}, {'rate_limit': -1}, {'rate_limit': True}]\n"
        "for one in wrong:\n"
        "    try:\n"
        "        pyqs.task(**one)\n"
        "        print('taken', one)\n"
        "    except pyqs.errors.SettingsInvalid as error:\n"
        "        print(error)\n"
        "for right in (0.5, 10, '10/m', '3/h', '100/s', '7'):\n"
        "    pyqs.task(rate_limit=right)\n"
    )
    lines = output.splitlines()

    assert len(lines) == 8
    assert not any(line.startswith("taken") for line in lines), output
    assert all("max_concurrency is" in line for line in lines[:2])
    assert all("rate_limit is" in line for line in lines[2:])
