"""``pyqs.events`` in a worker: what hooks are given, and what becomes of those that fail."""

from __future__ import annotations

import time
from typing import Any

from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

BEFORE = {
    "message_id",
    "task_name",
    "args",
    "kwargs",
    "full_task_path",
    "fetch_time",
    "queue_url",
    "timeout",
    "receipt_handle",
}

RECORDING = """
from journal import note
from pyqs.events import register_event

register_event("pre_process", lambda context: note("pre", context=context))
register_event("post_process", lambda context: note("post", context=context))
"""


def test_contexts_have_the_keys_and_values_of_pyqs(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="45")
    project.write("hooks.py", RECORDING)
    project.worker(queue.name, "--import", "hooks")
    sent = queue.send_task("tasks.work", value=3)

    before = project.wait_for_notes("pre")[0]["context"]
    after = project.wait_for_notes("post")[0]["context"]

    assert set(before) == BEFORE
    assert before["message_id"] == sent
    assert before["task_name"] == "work"
    assert before["full_task_path"] == "tasks.work"
    assert (before["args"], before["kwargs"]) == ([], {"value": 3})
    assert before["queue_url"] == queue.url
    assert before["timeout"] == 45
    assert before["receipt_handle"]
    assert abs(before["fetch_time"] - time.time()) < 60
    assert after == {**before, "status": "success"}


def test_after_an_exception_the_context_has_its_traceback(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    project.write("hooks.py", RECORDING)
    project.worker(queue.name, "--import", "hooks")
    queue.send_task("tasks.fail", "it")

    after = project.wait_for_notes("post")[0]["context"]

    assert set(after) == {*BEFORE, "status", "exception"}
    assert after["status"] == "exception"
    assert after["exception"].startswith("Traceback (most recent call last)")
    assert "ValueError: no luck with it" in after["exception"]


def test_hooks_run_in_the_order_in_which_they_were_registered(project: Project, queue: Queue) -> None:
    project.write(
        "hooks.py",
        """
from journal import note
from pyqs.events import register_event
for name in ("pre_process", "post_process"):
    for number in (1, 2):
        register_event(name, lambda context, value=f"{name}-{number}": note("hook", value=value))
""",
    )
    project.worker(queue.name, "--import", "hooks")
    queue.send_task("tasks.work", 1)
    project.wait_for_notes("hook", 4)

    assert [note.get("value") for note in project.notes()] == [
        "pre_process-1",
        "pre_process-2",
        1,
        "post_process-1",
        "post_process-2",
    ]


def test_a_hook_before_may_replace_the_arguments(project: Project, queue: Queue) -> None:
    project.write(
        "hooks.py",
        """
from pyqs.events import register_event
def double(context):
    context["args"] = [2 * context["args"][0]]
register_event("pre_process", double)
"""
        + RECORDING,
    )
    project.worker(queue.name, "--import", "hooks")
    queue.send_task("tasks.work", 21)

    assert project.wait_for_notes("work")[0]["value"] == 42
    assert project.wait_for_notes("post")[0]["context"]["args"] == [21]


def test_a_failing_hook_before_the_task_is_the_tasks_failure(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    project.write(
        "hooks.py",
        RECORDING
        + """
def refuse(context):
    if context["args"] == ["bad"]:
        raise RuntimeError("the hook refuses")
register_event("pre_process", refuse)
""",
    )
    worker = project.worker(queue.name, "--import", "hooks")
    queue.send_task("tasks.work", "bad")
    worker.wait_for(r"^\[ERROR\]: Task tasks\.work raised error")
    queue.send_task("tasks.work", "good")

    project.wait_for_notes("work")
    eventually(lambda: queue.counts() == (0, 1), "the refused one is left")
    assert project.values("work") == ["good"]
    assert "the hook refuses" in worker.output
    assert project.notes("post")[0]["context"]["status"] == "exception"


def test_a_failing_hook_after_the_task_changes_nothing(project: Project, queue: Queue) -> None:
    project.write(
        "hooks.py",
        """
import sys
from pyqs.events import register_event
def fail(context):
    raise RuntimeError("the hook after the task fails")
register_event("post_process", fail)
register_event("post_process", lambda context: sys.exit(3))
"""
        + RECORDING,
    )
    worker = project.worker(queue.name, "--import", "hooks")
    queue.send_tasks("tasks.work", [[1], [2], [3]])
    project.wait_for_notes("work", 3)
    queue.wait_until_empty()
    project.wait_for_notes("post", 3)

    assert sorted(project.values("work")) == [1, 2, 3], "each ran once"
    assert len({note["pid"] for note in project.notes("work")}) == 1, "no process ended"
    worker.wait_for("the hook after the task fails", 3)
