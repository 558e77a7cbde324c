"""What becomes of a message whose task failed, as its task says: retries, discards, dead letters."""

from __future__ import annotations

from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

TASKS = """
import os
from journal import note
from pyqs import Discard, Retry, task

@task(queue="unused", retries=2, backoff=[0, 1])
def flaky(value, fails):
    note("flaky", value=value)
    with open(f"runs-{value}", "a") as file:
        file.write(".")
    if os.path.getsize(f"runs-{value}") <= fails:
        raise ValueError(f"no luck with {value}")

@task(queue="unused", retries=1, backoff=[0], dead_letter="QUEUE-dead", dead_letter_on=TypeError)
def doomed(value):
    note("doomed", value=value)
    raise {"type": TypeError}.get(value, ValueError)(f"no luck with {value}")

@task(queue="unused", discard_on=KeyError)
def dropped(value):
    note("dropped", value=value)
    raise KeyError(value) if value == "key" else Discard("gone")

@task(queue="unused")
def again(value):
    note("again", value=value)
    if not os.path.exists("once"):
        open("once", "w").close()
        raise Retry(after=2)
"""


DEADLY = """
import ctypes, os, signal, time
from journal import note
from pyqs import task

HOW = {
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exits": lambda: os._exit(3),
    "segfaults": lambda: ctypes.string_at(0),
    "never ends": lambda: time.sleep(1000),
}

@task(queue="unused", retries=2, backoff=[0, 2], retry_on=KeyError, dead_letter="QUEUE-dead", time_limit=0.5)
def die(how):
    note("died", value=how)
    HOW[how]()

@task(queue="unused", retries=0)
def die_once(how):
    note("died", value=how)
    HOW[how]()
"""


def write_tasks(project: Project, queue: Queue) -> None:
    project.write("policies.py", TASKS.replace("QUEUE", queue.name))


def test_a_failed_task_is_run_again_after_its_backoff(project: Project, queue: Queue) -> None:
    write_tasks(project, queue)
    queue.send_task("policies.flaky", 1, 2)
    worker = project.worker(queue.name)

    _, second, third = (note["at"] for note in project.wait_for_notes("flaky", 3))
    queue.wait_until_empty()
    assert third - second >= 1, "the second retry waits a second"
    assert len(project.notes("flaky")) == 3
    worker.wait_for(r"policies.flaky raised error .*ValueError; run 1, the next one in 0 s")


def test_after_the_last_retry_a_message_stays(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    write_tasks(project, queue)
    queue.send_task("policies.flaky", 1, 9)
    worker = project.worker(queue.name)

    worker.wait_for("run 3, and no retry is left: its message stays in its queue")
    assert len(project.notes("flaky")) == 3
    assert queue.counts() == (0, 1)


def test_after_the_last_retry_a_message_goes_to_its_dead_letter_queue(project: Project, queue: Queue) -> None:
    dead = Queue(queue.client, f"{queue.name}-dead")
    write_tasks(project, queue)
    sent = queue.send_task("policies.doomed", "value")
    project.worker(queue.name)
    queue.wait_until_empty()

    assert project.values("doomed") == ["value", "value"]
    answer = dead.client.receive_message(QueueUrl=dead.url, MessageAttributeNames=["All"], WaitTimeSeconds=5)
    (message,) = answer["Messages"]
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    expected = {"pyqs.reason": "ValueError: no luck with value", "pyqs.source": queue.name, "pyqs.id": sent}
    assert attributes == expected
    assert '"policies.doomed"' in message["Body"]


def test_some_errors_go_to_the_dead_letter_queue_at_once(project: Project, queue: Queue) -> None:
    dead = Queue(queue.client, f"{queue.name}-dead")
    write_tasks(project, queue)
    queue.send_task("policies.doomed", "type")
    project.worker(queue.name)

    dead.take()
    queue.wait_until_empty()
    assert project.values("doomed") == ["type"]


def test_without_its_dead_letter_queue_a_message_stays_and_the_log_says_so(
    project: Project, sqs: Any, queue_name: str
) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    write_tasks(project, queue)
    queue.send_task("policies.doomed", "type")
    worker = project.worker(queue.name)

    worker.wait_for(rf"can't be sent to dead-letter queue {queue_name}-dead: .*; it stays where it is")
    assert queue.counts() == (0, 1)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("is killed", "its task process died by SIGKILL"),
        ("exits", "its task process exited with code 3"),
        ("segfaults", "its task process died by SIGSEGV"),
        ("never ends", "it ran for longer than its time limit of 0.5 s"),
    ],
)
def test_a_task_that_ends_with_its_process_goes_by_its_rules(
    ours_project: Project, ours_queue: Queue, how: str, reason: str
) -> None:
    project, queue = ours_project, Queue(ours_queue.client, new_name(), VisibilityTimeout="600")
    dead = Queue(queue.client, f"{queue.name}-dead")
    project.write("deadly.py", DEADLY.replace("QUEUE", queue.name))
    sent = queue.send_task("deadly.die", how)
    worker = project.worker(queue.name)
    queue.wait_until_empty()

    _, second, third = (note["at"] for note in project.notes("died"))
    assert third - second >= 2, "the second retry waits"
    (message,) = dead.take()
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {"pyqs.reason": reason, "pyqs.source": queue.name, "pyqs.id": sent}
    lines = [line for line in worker.lines if line.startswith("[ERROR]") and "deadly.die" in line]
    assert [line.rpartition("; ")[2].strip() for line in lines] == [
        "it runs again in 0 s",
        "it runs again in 2 s",
        f"its message goes to dead-letter queue {queue.name}-dead",
    ]


def test_a_task_that_ends_with_its_process_after_its_last_retry_stays(project: Project, sqs: Any) -> None:
    queue = Queue(sqs, new_name(), VisibilityTimeout="60")
    project.write("deadly.py", DEADLY)
    queue.send_task("deadly.die_once", "is killed")
    worker = project.worker(queue.name)

    worker.wait_for("deadly.die_once .*; no retry is left: its message stays in its queue")
    eventually(lambda: queue.counts() == (0, 1), "it stays hidden")
    assert len(project.notes("died")) == 1


def test_in_a_process_of_several_tasks_each_goes_by_its_own_rules(ours_project: Project, ours_queue: Queue) -> None:
    project, queue = ours_project, Queue(ours_queue.client, new_name(), VisibilityTimeout="600")
    project.write("deadly.py", DEADLY.replace("QUEUE", queue.name))
    project.write(
        "beside.py",
        """
import os, signal
from journal import note, wait_for_gate
from pyqs import task

@task(queue="unused", retries=1, backoff=[1])
def beside(value):
    note("began", value=value)
    wait_for_gate("go")
    note("ended", value=value)

@task(queue="unused", retries=0)
def culprit():
    wait_for_gate("die")
    os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    queue.send_task("beside.beside", 1)
    queue.send_task("beside.culprit")
    worker = project.worker(queue.name, "--threads", "2")
    project.wait_for_notes("began")

    project.open_gate("die")
    worker.wait_for("died by SIGKILL while running")
    project.open_gate("go")

    project.wait_for_notes("ended")
    eventually(lambda: queue.counts() == (0, 1), "the culprit alone is left")
    assert "beside.beside" in worker.output
    assert "it runs again in 1 s" in worker.output


def test_discarded_messages_are_deleted(project: Project, queue: Queue) -> None:
    write_tasks(project, queue)
    queue.send_tasks("policies.dropped", [["key"], ["raise"]])
    worker = project.worker(queue.name)

    project.wait_for_notes("dropped", 2)
    queue.wait_until_empty()
    assert sorted(project.values("dropped")) == ["key", "raise"]
    worker.wait_for("policies.dropped was discarded: Discard: gone")


def test_a_task_says_itself_when_it_is_to_run_again(project: Project, queue: Queue) -> None:
    write_tasks(project, queue)
    queue.send_task("policies.again", 1)
    project.worker(queue.name)

    first, second = (note["at"] for note in project.wait_for_notes("again", 2))
    queue.wait_until_empty()
    assert second - first >= 2
