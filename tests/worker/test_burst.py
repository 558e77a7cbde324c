"""Workers that end by themselves: ``--burst`` and ``--max-tasks``."""

from __future__ import annotations

from typing import Any

import pytest
from support.endpoints import Endpoint
from support.processes import one_line
from support.projects import Project
from support.queues import Queue, new_name, with_dead_letters
from support.waiting import eventually

CHAIN = """
import time
from journal import note
from pyqs import task

@task(queue="{queue}")
def count_down(number):
    note("counted", value=number)
    if number:
        time.sleep(0.3)
        count_down.delay(number - 1)
"""


def test_a_burst_ends_when_the_queue_is_empty(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name)
    queue.send_tasks("tasks.work", [[number] for number in range(50)])

    result = project.pyqs(queue.name, "--burst", "--concurrency", "2", "--loglevel", "INFO")

    assert result.returncode == 0, result.stderr
    assert sorted(project.values("work")) == list(range(50))
    queue.wait_until_empty()
    assert "The queues are empty, and all that was taken is finished (--burst)" in result.stderr


def test_a_burst_on_an_empty_queue_says_nothing_and_ends(ours_project: Project, ours_queue: Queue) -> None:
    result = ours_project.pyqs(ours_queue.name, PYQS_BURST="1")

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_burst_waits_for_what_runs_and_for_what_that_sends(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("chain.py", CHAIN.format(queue=ours_queue.name))
    ours_queue.send_task("chain.count_down", 3)

    result = ours_project.pyqs(ours_queue.name, "--burst")

    assert result.returncode == 0, result.stderr
    assert ours_project.values("counted") == [3, 2, 1, 0]
    assert ours_queue.counts() == (0, 0)


def test_a_burst_does_not_wait_for_what_is_delayed_or_hidden(ours_project: Project, ours: Endpoint) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="600")
    queue.send_task("tasks.fail", "hidden by its failure")
    queue.send('{"task": "tasks.work", "args": ["late"], "kwargs": {}}', DelaySeconds=600)
    queue.send_task("tasks.work", "now")

    result = ours_project.pyqs(queue.name, "--burst")

    assert result.returncode == 0, result.stderr
    assert ours_project.values("work") == ["now"]
    assert (queue.counts(), queue.delayed()) == ((0, 1), 1)


def test_a_burst_empties_all_queues_of_a_pattern(ours_project: Project, ours: Endpoint) -> None:
    stem = new_name()
    queues = [Queue(ours.client(), f"{stem}-{part}") for part in "abc"]
    for number, queue in enumerate(queues):
        queue.send_tasks("tasks.work", [[number]] * 5)

    result = ours_project.pyqs(f"{stem}*", "--burst")

    assert result.returncode == 0, result.stderr
    assert sorted(ours_project.values("work")) == [0] * 5 + [1] * 5 + [2] * 5


def test_a_burst_without_a_queue_ends(ours_project: Project) -> None:
    name = new_name()

    result = ours_project.pyqs(name, "--burst")

    assert result.returncode == 0
    assert f'there is no queue "{name}" yet' in one_line(result.stderr)
    result = ours_project.pyqs(name, "--burst", "--require-queues")
    assert result.returncode == 1


def test_a_burst_leaves_poison_to_the_dead_letter_queue(ours_project: Project, ours: Endpoint) -> None:
    queue, dead = with_dead_letters(ours.client(), new_name(), 1, VisibilityTimeout="600")
    queue.send("no task")
    queue.send_task("tasks.work", 1)

    result = ours_project.pyqs(queue.name, "--burst")

    assert result.returncode == 0, result.stderr
    assert (queue.counts(), dead.counts()) == ((0, 1), (0, 0))


def test_a_signal_stops_a_burst_as_any_worker(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("tasks.wait", "go")
    worker = ours_project.worker(ours_queue.name, "--burst")
    ours_project.wait_for_notes("began")
    worker.send_signal(15)
    worker.wait_for("Graceful shutdown")
    ours_project.open_gate("go")

    assert worker.wait() == 0
    assert len(ours_project.notes("ended")) == 1


@pytest.mark.parametrize("concurrency", [1, 4])
def test_no_more_than_max_tasks_are_begun_and_the_rest_is_visible(
    ours_project: Project, ours: Endpoint, concurrency: int
) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="600")
    queue.send_tasks("tasks.last", [[0.01, number] for number in range(60)])

    result = ours_project.pyqs(queue.name, "--max-tasks", "7", "--concurrency", str(concurrency), "--loglevel", "INFO")

    assert result.returncode == 0, result.stderr
    assert len(ours_project.notes("began")) == len(ours_project.notes("ended")) == 7
    assert queue.counts() == (53, 0)
    assert "As many tasks have ended as --max-tasks says" in result.stderr


def test_failures_and_crashes_count(ours_project: Project, ours: Endpoint) -> None:
    ours_project.write("deadly.py", "import os\ndef die():\n    os._exit(3)\n")
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="600")
    for task in ["tasks.fail", "deadly.die", "no.such.task", "tasks.work", "tasks.work"]:
        queue.send_task(task)

    result = ours_project.pyqs(queue.name, "--batchsize", "1", PYQS_MAX_TASKS="3")

    assert result.returncode == 0, result.stderr
    assert len(ours_project.notes()) == 2
    visible, hidden = queue.counts()
    assert (visible, hidden) == (1, 3), "the last one was not begun"


def test_both_from_a_program(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_tasks("tasks.work", [[number] for number in range(3)])
    program = "from pyqs.main import _main\n_main([{!r}], concurrency=1, interval=0, burst=True, max_tasks={})\n"

    worker = ours_project.script(program.format(ours_queue.name, 2))
    assert worker.wait() == 0, worker.output
    assert len(ours_project.values("work")) == 2
    worker = ours_project.script(program.format(ours_queue.name, 1000))
    assert worker.wait() == 0, worker.output
    assert len(ours_project.values("work")) == 3
    assert ours_queue.counts() == (0, 0)


def test_a_program_that_started_a_burst_finds_it_ended(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("tasks.work", 1)
    output = ours_project.python(
        "from pyqs.worker import ManagerWorker\n"
        f"worker = ManagerWorker([{ours_queue.name!r}], 1, 0, 10, burst=True)\n"
        "worker.start()\n"
        "worker.sleep()\n"
    )

    assert output == ""
    assert ours_project.values("work") == [1]


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_max_tasks_that_is_no_number_above_zero_is_refused(ours_project: Project, value: str) -> None:
    result = ours_project.pyqs("email", f"--max-tasks={value}")

    assert result.returncode == 2
    assert "--max-tasks" in one_line(result.stderr)


def test_a_manager_that_dies_in_a_burst_has_a_successor(ours_project: Project, ours: Endpoint) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="2")
    queue.send_tasks("tasks.wait", [["go", number] for number in range(2)])
    worker = ours_project.worker(queue.name, "--burst")
    ours_project.wait_for_notes("began")
    manager = eventually(worker.children, "the manager is there")[0]
    ours_project.start(["kill", "-9", str(manager)]).wait()
    worker.wait_for("starting another")
    ours_project.open_gate("go")

    assert worker.wait() == 0, worker.output
    assert sorted(set(ours_project.values("ended"))) == [0, 1]
