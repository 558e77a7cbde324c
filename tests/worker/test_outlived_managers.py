"""Kill -9 of the manager while tasks run: the next one keeps their leases, so each runs once however long it takes."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from support.endpoints import Endpoint
from support.payloads import Folder
from support.processes import Process, is_alive
from support.projects import Project, manager_pid
from support.queues import Queue, new_name
from support.waiting import eventually

TASKS = """
import os, time
from journal import note, wait_for_gate
from pyqs import task

@task(queue="unused", batch=3, batch_wait=2)
def together(items):
    note("batch", values=[item.value for item in items])
    time.sleep(7)
    for item in items:
        if item.value == "fail" and item.receive_count == 1:
            item.fail("no luck at first")
    note("batch ended")

@task(queue="unused", time_limit=4, retries=1, backoff=[0])
def limited():
    note("limited")
    if len(open("journal.jsonl").readlines()) == 1:
        time.sleep(100)
    note("in time")

@task(queue="QUEUE")
def wait(value, _filling):
    note("began", value=value)
    wait_for_gate("go")
    note("ended", value=value)
"""

STILL_RUNS = r"process {} of an earlier manager still runs task {}: keeping the lease of {}"


@pytest.fixture
def queue(ours: Endpoint, queue_name: str) -> Queue:
    return Queue(ours.client(), queue_name, VisibilityTimeout="5")


def kill_manager(worker: Process) -> None:
    os.kill(manager_pid(worker), signal.SIGKILL)


def wait_until_taken_on(worker: Process, count: int, pid: str = r"\d+", task: str = r"\S+") -> None:
    worker.wait_for(STILL_RUNS.format(pid, task, ".*"), count)


def assert_each_ran_once(project: Project, count: int) -> None:
    assert sorted(project.values("began")) == list(range(count))
    assert sorted(project.values("ended")) == list(range(count))


@pytest.mark.parametrize("options", [["--concurrency", "4"], ["--concurrency", "2", "--threads", "2"]])
def test_tasks_of_seconds_run_once_whoever_manages(ours_project: Project, queue: Queue, options: list[str]) -> None:
    queue.send_tasks("tasks.last", [[3 + number % 5 * 0.5, number] for number in range(12)])
    worker = ours_project.worker(queue.name, *options)
    for kills in (1, 2):
        ours_project.wait_for_notes("began", 4 * kills)
        kill_manager(worker)
        worker.wait_for(r"^.ERROR.: The manager .* was killed by SIGKILL", kills)
        wait_until_taken_on(worker, kills)

    queue.wait_until_empty()
    assert_each_ran_once(ours_project, 12)
    assert worker.matches("was delivered again while it is still held here") == []


def test_a_task_outlives_two_managers_and_three_visibility_timeouts(ours_project: Project, queue: Queue) -> None:
    queue.send_task("tasks.last", 15, 0)
    worker = ours_project.worker(queue.name, "--concurrency", "2")
    pid = ours_project.wait_for_notes("began")[0]["pid"]

    for kills in (1, 2):
        kill_manager(worker)
        wait_until_taken_on(worker, kills, pid, r"tasks\.last")
    queue.send_task("tasks.last", 0.1, 1)

    queue.wait_until_empty()
    assert_each_ran_once(ours_project, 2)
    eventually(lambda: not is_alive(pid), "the old process has left")


def test_of_a_batch_each_message_is_kept_and_ends_as_the_batch_says(ours_project: Project, queue: Queue) -> None:
    ours_project.write("outliving.py", TASKS)
    queue.send_tasks("outliving.together", [["a"], ["fail"], ["b"]])
    worker = ours_project.worker(queue.name, "--import", "outliving", "--concurrency", "2")
    pid = ours_project.wait_for_notes("batch")[0]["pid"]

    kill_manager(worker)
    worker.wait_for(STILL_RUNS.format(pid, r"outliving\.together", "3 messages"))

    queue.wait_until_empty()
    runs = [note["values"] for note in ours_project.notes("batch")]
    assert Counter(runs[0]) == Counter(["a", "fail", "b"])
    assert runs[1:] == [["fail"]]


def test_a_body_that_is_stored_elsewhere_goes_when_its_message_does(
    ours_project: Project, queue: Queue, tmp_path: Path
) -> None:
    ours_project.write("outliving.py", TASKS.replace("QUEUE", queue.name))
    store = Folder(tmp_path / "payloads")
    ours_project.python("from outliving import wait; wait.delay(0, 'x' * 2_000_000)", **store.environment)
    worker = ours_project.worker(queue.name, "--import", "outliving", "--concurrency", "2", **store.environment)
    ours_project.wait_for_notes("began")

    kill_manager(worker)
    worker.wait_for(r"of an earlier manager still runs a task: keeping the lease of message \S+")
    ours_project.open_gate("go")

    queue.wait_until_empty()
    assert_each_ran_once(ours_project, 1)
    eventually(lambda: store.keys() == [], "the payload is deleted")


def test_a_message_group_waits_for_what_still_runs(ours_project: Project, ours: Endpoint) -> None:
    queue = Queue(ours.client(), f"{new_name()}.fifo", FifoQueue="true", VisibilityTimeout="5")
    for number in range(3):
        queue.client.send_message(
            QueueUrl=queue.url,
            MessageBody=json.dumps({"task": "tasks.last", "args": [7 if number == 0 else 0, number], "kwargs": {}}),
            MessageGroupId="group",
            MessageDeduplicationId=str(number),
        )
    worker = ours_project.worker(queue.name, "--concurrency", "2")
    ours_project.wait_for_notes("began")

    kill_manager(worker)
    wait_until_taken_on(worker, 1)

    queue.wait_until_empty()
    order = [(note["what"], note["value"]) for note in ours_project.notes()]
    assert order == [(what, number) for number in range(3) for what in ("began", "ended")]


def test_a_process_that_dies_after_its_manager_costs_one_run(ours_project: Project, queue: Queue) -> None:
    queue.send_task("tasks.wait", "go", 1)
    worker = ours_project.worker(queue.name)
    pid = ours_project.wait_for_notes("began")[0]["pid"]
    kill_manager(worker)
    wait_until_taken_on(worker, 1, pid)

    os.kill(pid, signal.SIGKILL)

    worker.wait_for(rf"{pid} died by SIGKILL while running task tasks\.wait .*; it will be delivered again")
    ours_project.open_gate("go")
    queue.wait_until_empty()
    assert ours_project.values("began") == [1, 1]


def test_a_time_limit_holds_whoever_manages(ours_project: Project, queue: Queue) -> None:
    ours_project.write("outliving.py", TASKS)
    queue.send_task("outliving.limited")
    worker = ours_project.worker(queue.name, "--import", "outliving")
    pid = ours_project.wait_for_notes("limited")[0]["pid"]

    kill_manager(worker)
    wait_until_taken_on(worker, 1, pid)

    worker.wait_for(rf"has run for longer than its time limit of 4 s: task process {pid} is killed")
    ours_project.wait_for_notes("in time")
    queue.wait_until_empty()
    assert len(ours_project.notes("limited")) == 2


def test_a_stop_waits_for_what_an_earlier_manager_started(ours_project: Project, queue: Queue) -> None:
    queue.send_task("tasks.wait", "go", 0)
    worker = ours_project.worker(queue.name)
    pid = ours_project.wait_for_notes("began")[0]["pid"]
    kill_manager(worker)
    wait_until_taken_on(worker, 1, pid)

    worker.send_signal(signal.SIGTERM)
    worker.wait_for("Graceful shutdown")
    assert is_alive(pid)
    ours_project.open_gate("go")

    assert worker.wait() == 0
    assert queue.counts() == (0, 0), "its message was deleted"
    assert_each_ran_once(ours_project, 1)


def test_everything_ends_when_what_still_runs_loses_its_supervisor_and_dies(
    ours_project: Project, queue: Queue
) -> None:
    queue.send_task("tasks.wait", "go", 0)
    worker = ours_project.worker(queue.name)
    pid = ours_project.wait_for_notes("began")[0]["pid"]
    kill_manager(worker)
    wait_until_taken_on(worker, 1, pid)
    family = worker.children()

    os.kill(worker.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    eventually(lambda: not any(map(is_alive, family)), f"all of {family} have ended", 10)
