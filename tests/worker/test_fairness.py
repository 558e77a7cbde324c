"""Queues share the worker's processes: weights, caps, limited rates, priorities; slow beside quick."""

from __future__ import annotations

import pytest
from support.endpoints import Endpoint
from support.projects import Project
from support.queues import Queue, new_name


def two_queues(endpoint: Endpoint) -> tuple[Queue, Queue]:
    name = new_name()
    return Queue(endpoint.client(), f"{name}-a"), Queue(endpoint.client(), f"{name}-b")


def test_weights_decide_who_has_how_much_of_the_time(ours_project: Project, ours: Endpoint) -> None:
    heavy, light = two_queues(ours)
    heavy.send_tasks("tasks.last", [[0.01, "heavy"]] * 300)
    light.send_tasks("tasks.last", [[0.01, "light"]] * 300)
    ours_project.worker(f"{heavy.name}:3", light.name, "--concurrency", "2")

    notes = ours_project.wait_for_notes("ended", 240)[40:240]

    part = sum(note["value"] == "heavy" for note in notes)
    assert 120 <= part <= 180, f"{part} of 200 where 150 were due"


@pytest.mark.parametrize("cap", [1, 2])
def test_a_cap_is_never_exceeded(ours_project: Project, ours: Endpoint, cap: int) -> None:
    capped, other = two_queues(ours)
    capped.send_tasks("tasks.last", [[0.02, "capped"]] * 30)
    other.send_tasks("tasks.last", [[0.02, "other"]] * 30)
    ours_project.worker(f"{capped.name}={cap}", other.name, "--concurrency", "4")
    ours_project.wait_for_notes("ended", 60)

    running = most = 0
    for note in ours_project.notes():
        if note["value"] == "capped":
            running += {"began": 1, "ended": -1}[note["what"]]
            most = max(most, running)
    assert most == cap


def test_a_rate_is_kept_and_others_go_on(ours_project: Project, ours: Endpoint) -> None:
    limited, other = two_queues(ours)
    limited.send_tasks("tasks.work", [["limited"]] * 15)
    other.send_tasks("tasks.work", [["other"]] * 500)
    ours_project.worker(f"{limited.name}@5/s", other.name)
    ours_project.wait_for_notes("work", 515)

    times = [note["at"] for note in ours_project.notes("work") if note["value"] == "limited"]
    # Each begins a moment after its start was decided: that may shorten a gap, and never the sum of all.
    assert times[-1] - times[0] > 14 / 5 - 0.3
    values = ours_project.values("work")
    assert values.index("limited", 490) > 0, "the other queue was done long before"


def test_strict_serves_the_first_queue_first(ours_project: Project, ours: Endpoint) -> None:
    first, second = two_queues(ours)
    second.send_tasks("tasks.last", [[0.005, "second"]] * 50)
    first.send_tasks("tasks.last", [[0.005, "first"]] * 200)
    ours_project.worker(first.name, second.name, "--strict")
    ours_project.wait_for_notes("ended", 250)

    # While the first queue's messages are on their way, the second has the slot.
    before = ours_project.values("ended")[:220].count("second")
    assert before < 40, f"{before} of the second queue went before the first was done"


def test_one_worker_serves_a_hundred_queues(ours_project: Project, ours: Endpoint) -> None:
    client, name = ours.client(), new_name()
    queues = [Queue(client, f"{name}-{number}") for number in range(100)]
    for number, queue in enumerate(queues):
        queue.send_tasks("tasks.work", [[f"{number}-{turn}"] for turn in range(5)])
    worker = ours_project.worker(f"{name}-*", "--concurrency", "2")

    ours_project.wait_for_notes("work", 500)

    expected = [f"{number}-{turn}" for number in range(100) for turn in range(5)]
    ours_project.check_each_ran_once("work", expected)
    for queue in queues:
        queue.wait_until_empty()
    assert worker.stop() == 0


def test_long_tasks_are_shared_between_workers(ours_project: Project, ours_queue: Queue) -> None:
    """A backlog of long tasks is not taken by who comes first."""
    ours_queue.send_tasks("tasks.wait", [["go", number] for number in range(4)])
    for _ in range(2):
        ours_project.worker(ours_queue.name, "--concurrency", "2")
    began = ours_project.wait_for_notes("began", 4)
    ours_project.open_gate("go")
    ours_project.wait_for_notes("ended", 4)

    assert len({note["pid"] for note in began}) == 4, "each slot of both workers had one"
