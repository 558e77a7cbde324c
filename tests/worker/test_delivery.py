"""What becomes of a message: deleted after success, back after failure, once for long tasks."""

from __future__ import annotations

from typing import Any

from support.projects import Project
from support.queues import Queue, with_dead_letters
from support.waiting import eventually

HOLDS_THE_GIL = """
import ctypes
from journal import note

def hold(value):
    note("began", value=value)
    # Unlike CDLL, PyDLL keeps the interpreter lock while it is in a C function.
    ctypes.PyDLL(None).sleep(5)
    note("ended", value=value)
"""


def test_a_failing_task_comes_back_after_the_visibility_timeout(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="2")
    queue.send_task("tasks.fail_first", 1)
    project.worker(queue.name)

    first, second = (note["at"] for note in project.wait_for_notes("fail_first", 2))
    assert 1 <= second - first < 10
    queue.wait_until_empty()
    assert len(project.notes("fail_first")) == 2


def test_a_message_is_deleted_only_after_its_task_succeeded(project: Project, queue: Queue) -> None:
    queue.send_task("tasks.wait", "go")
    project.worker(queue.name)
    project.wait_for_notes("began")

    assert queue.counts() == (0, 1), "hidden while it runs, and there"
    project.open_gate("go")
    queue.wait_until_empty()


def test_a_failed_task_is_not_deleted(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    queue.send_task("tasks.fail", 1)
    queue.send_task("tasks.work", 2)
    project.worker(queue.name)
    project.wait_for_notes("work")
    project.wait_for_notes("fail")

    eventually(lambda: queue.counts() == (0, 1), "the failed one is left")


def test_a_long_task_runs_once_and_so_do_those_behind_it(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="2")
    queue.send_task("tasks.last", 5, "long")
    project.worker(queue.name)
    project.wait_for_notes("began")
    queue.send_tasks("tasks.work", [[number] for number in range(12)])
    project.wait_for_notes("work", 12)
    queue.wait_until_empty()

    assert project.values("began") == ["long"]
    assert sorted(project.values("work")) == list(range(12))


def test_a_long_task_that_holds_the_interpreter_lock_runs_once(project: Project, sqs: Any, queue_name: str) -> None:
    project.write("greedy.py", HOLDS_THE_GIL)
    queue = Queue(sqs, queue_name, VisibilityTimeout="2")
    queue.send_task("greedy.hold", 1)
    project.worker(queue.name)
    project.wait_for_notes("ended")
    queue.wait_until_empty()

    began, ended = project.notes()
    assert ended["at"] - began["at"] > 4, "too short to show anything"
    assert len(project.notes("began")) == 1


def test_without_extension_a_long_task_is_delivered_again(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="5")
    queue.send_task("tasks.wait", "go")
    worker = project.worker(queue.name, "--no-extend-visibility", "--concurrency", "2")
    project.wait_for_notes("began")

    # By this very worker, whose second process waits for work.
    worker.wait_for("tasks.wait .* was delivered again while it is still held here")


def test_short_visibility_timeouts_are_no_trouble(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="1")
    queue.send_tasks("tasks.last", [[0.3, number] for number in range(10)])
    project.worker(queue.name)
    project.wait_for_notes("ended", 10)
    queue.wait_until_empty()

    assert sorted(project.values("ended")) == list(range(10))


def test_what_fails_too_often_goes_to_the_dead_letter_queue(project: Project, sqs: Any, queue_name: str) -> None:
    queue, dead = with_dead_letters(sqs, queue_name, 2, VisibilityTimeout="1")
    sent = queue.send_task("tasks.fail", "always")
    queue.send_task("tasks.work", "once")
    project.worker(queue.name)

    assert [message["MessageId"] for message in dead.take()] == [sent]
    assert project.values("fail") == ["always", "always"], "as often as the policy says"
    assert project.values("work") == ["once"]


def test_many_tasks_each_run_once(project: Project, queue: Queue) -> None:
    count = 2000 if project.endpoint.kind == "pyqs" else 100  # moto's server takes 50 ms a request and more
    queue.send_tasks("tasks.work", [[number] for number in range(count)])
    project.worker(queue.name, "--concurrency", "2", loglevel="WARN")
    project.wait_for_notes("work", count)
    queue.wait_until_empty()

    assert sorted(project.values("work")) == list(range(count))


def test_two_workers_share_a_queue(project: Project, queue: Queue) -> None:
    workers = [project.worker(queue.name) for _ in range(2)]
    queue.send_tasks("tasks.last", [[0.02, number] for number in range(100)])
    project.wait_for_notes("ended", 100)
    queue.wait_until_empty()

    project.check_each_ran_once("ended", list(range(100)))
    assert len({note["pid"] for note in project.notes("ended")}) == len(workers)


def test_short_tasks_do_not_wait_behind_a_long_one(project: Project, sqs: Any, queue_name: str) -> None:
    slow, fast = Queue(sqs, f"{queue_name}-slow"), Queue(sqs, f"{queue_name}-fast")
    slow.send_tasks("tasks.wait", [["go", "slow"]])
    project.worker(f"{queue_name}-*", "--concurrency", "2")
    project.wait_for_notes("began")
    fast.send_tasks("tasks.work", [[number] for number in range(50)])

    project.wait_for_notes("work", 50)
    assert project.notes("ended") == []
    project.open_gate("go")
    slow.wait_until_empty()
    fast.wait_until_empty()
