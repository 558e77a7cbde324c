"""FIFO queues: each message group runs in order, whatever dies meanwhile, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict
from typing import Any

from support.endpoints import Endpoint
from support.processes import is_alive
from support.projects import Project, manager_pid
from support.queues import Queue, new_name

GROUPS = 20

TASKS = '''
import os, signal
from journal import note
from pyqs import task

@task(queue="unused")
def step(group, number, fails=0, dies=0):
    """Fails a few times, then takes its process along a few times, then succeeds."""
    tries = f"tries-{group}-{number}"
    with open(tries, "a") as file:
        file.write("x")
    tried = os.path.getsize(tries)
    if tried <= fails:
        raise ValueError("no luck yet")
    if tried <= fails + dies:
        os.kill(os.getpid(), signal.SIGKILL)
    note("step", group=group, number=number)
'''


def fifo_queue(endpoint: Endpoint, **attributes: str) -> Queue:
    return Queue(endpoint.client(), f"{new_name()}.fifo", FifoQueue="true", **attributes)


def send(queue: Queue, calls: list[tuple[str, int, dict[str, int]]]) -> None:
    """Send steps of groups, in this order, in batches."""
    for start in range(0, len(calls), 10):
        entries = [
            {
                "Id": str(index),
                "MessageBody": json.dumps({"task": "fifo.step", "args": [group, number], "kwargs": how}),
                "MessageGroupId": group,
                "MessageDeduplicationId": f"{group}-{number}",
            }
            for index, (group, number, how) in enumerate(calls[start : start + 10])
        ]
        answer = queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
        assert len(answer["Successful"]) == len(entries)


def steps(project: Project) -> dict[str, list[int]]:
    """The steps that succeeded, by group, in the order of their first success."""
    found: dict[str, list[int]] = defaultdict(list)
    for note in project.notes("step"):
        if note["number"] not in found[note["group"]]:
            found[note["group"]].append(note["number"])
    return found


def check_all_in_order(project: Project, length: int) -> None:
    expected = {f"g{group}": list(range(length)) for group in range(GROUPS)}
    assert steps(project) == expected


def calls(length: int, how: Any = lambda _group, _number: {}) -> list[tuple[str, int, dict[str, int]]]:
    return [(f"g{group}", number, how(group, number)) for number in range(length) for group in range(GROUPS)]


def test_groups_run_in_order_and_beside_each_other(ours_project: Project, ours: Endpoint) -> None:
    ours_project.write("fifo.py", TASKS)
    queue = fifo_queue(ours)
    send(queue, calls(20))
    ours_project.worker(queue.name, "--concurrency", "4")

    queue.wait_until_empty()

    check_all_in_order(ours_project, 20)
    assert len(ours_project.notes("step")) == 20 * GROUPS, "each ran once"
    assert len({note["pid"] for note in ours_project.notes("step")}) > 1


def test_a_step_that_fails_or_kills_its_process_holds_up_its_group_alone(ours_project: Project, ours: Endpoint) -> None:
    ours_project.write("fifo.py", TASKS)
    queue = fifo_queue(ours, VisibilityTimeout="2")

    def how(group: int, number: int) -> dict[str, int]:
        if group < 3 and number == 2:
            return {"fails": 1, "dies": group % 2}
        return {}

    send(queue, calls(6, how))
    ours_project.worker(queue.name, "--concurrency", "4", loglevel="CRITICAL")

    queue.wait_until_empty()

    check_all_in_order(ours_project, 6)
    order = [(note["group"], note["number"]) for note in ours_project.notes("step")]
    held_up = min(order.index((f"g{group}", 2)) for group in range(3))
    others = max(order.index((f"g{group}", 5)) for group in range(3, GROUPS))
    assert others < held_up, "the other groups did not wait"


def test_order_survives_killed_task_processes_and_managers(ours_project: Project, ours: Endpoint) -> None:
    ours_project.write("fifo.py", TASKS)
    queue = fifo_queue(ours, VisibilityTimeout="3")
    send(queue, calls(30))
    worker = ours_project.worker(queue.name, "--concurrency", "4", loglevel="ERROR")

    for done in range(60, 541, 60):
        ours_project.wait_for_notes("step", done)
        manager = manager_pid(worker)
        if done % 180 == 0:
            os.kill(manager, signal.SIGKILL)
        else:
            for process in worker.children():
                if process != manager and is_alive(process):
                    os.kill(process, signal.SIGKILL)
                    break

    queue.wait_until_empty()
    check_all_in_order(ours_project, 30)


def test_order_survives_a_rolling_restart(ours_project: Project, ours: Endpoint) -> None:
    ours_project.write("fifo.py", TASKS)
    queue = fifo_queue(ours, VisibilityTimeout="10")
    send(queue, calls(30))
    workers = [ours_project.worker(queue.name, "--concurrency", "2") for _ in range(2)]
    for place in range(2):
        ours_project.wait_for_notes("step", 100 * (place + 1))
        assert workers[place].stop() == 0
        workers[place] = ours_project.worker(queue.name, "--concurrency", "2")

    queue.wait_until_empty()

    check_all_in_order(ours_project, 30)
    assert len(ours_project.notes("step")) == 30 * GROUPS, "each ran once"
