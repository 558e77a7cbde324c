"""The original PyQS 1.0.1 as a second producer and consumer on the same queue: each reads what the other wrote."""

from __future__ import annotations

from pathlib import Path

from support.processes import Process
from support.projects import Project
from support.queues import Queue

SHARED = """
from journal import note
from pyqs import task

@task(queue="{queue}")
def shared(value, by="nobody"):
    import pyqs
    engine = "ours" if hasattr(pyqs, "_pyqs") else "original"
    note("ran", value=value, by=by, engine=engine)

@task(queue="{queue}", custom_function_path="somewhere.renamed", delay_seconds=1)
def renamed(value):
    note("renamed", value=value)
"""

SEND = """
from shared import shared
for value in range({start}, {end}):
    shared.delay(value, by="{by}")
"""


def original_worker(project: Project, original: list[str], queue: Queue) -> Process:
    """The original's command."""
    command = str(Path(original[0]).with_name("pyqs"))
    return project.start([command, queue.name, "--loglevel", "INFO"])


def test_ours_runs_what_the_original_sent(project: Project, queue: Queue, original: list[str]) -> None:
    project.write("shared.py", SHARED.format(queue=queue.name))
    sender = project.start([*original, "-c", SEND.format(start=0, end=5, by="original")])
    assert sender.wait() == 0, sender.output

    project.worker(queue.name)

    notes = project.wait_for_notes("ran", 5)
    queue.wait_until_empty()
    assert sorted(note["value"] for note in notes) == list(range(5))
    assert {(note["by"], note["engine"]) for note in notes} == {("original", "ours")}


def test_the_original_runs_what_ours_sent(project: Project, queue: Queue, original: list[str]) -> None:
    project.write("shared.py", SHARED.format(queue=queue.name))
    project.python(SEND.format(start=0, end=5, by="ours"))

    original_worker(project, original, queue)

    notes = project.wait_for_notes("ran", 5)
    queue.wait_until_empty()
    assert sorted(note["value"] for note in notes) == list(range(5))
    assert {(note["by"], note["engine"]) for note in notes} == {("ours", "original")}


def test_both_work_on_one_queue(project: Project, queue: Queue, original: list[str]) -> None:
    project.write("shared.py", SHARED.format(queue=queue.name))
    original_worker(project, original, queue).wait_for("Running ReadWorker")
    project.worker(queue.name, "--simple-worker")
    sender = project.start([*original, "-c", SEND.format(start=0, end=40, by="original")])
    project.python(SEND.format(start=40, end=120, by="ours"))
    assert sender.wait() == 0, sender.output

    project.wait_for_notes("ran", 120)
    queue.wait_until_empty()
    project.check_each_ran_once("ran", list(range(120)))


def test_both_write_the_same_bytes(project: Project, queue: Queue, original: list[str]) -> None:
    project.write("shared.py", SHARED.format(queue=queue.name))
    send = """
from shared import shared, renamed
shared.delay("ä\\U0001f600", by=[1, 2.5, None, True, {"k": ("tuple", "of two")}])
shared.delay(float("inf"), **{"by": {3: "three"}})
renamed.delay(2**80)
"""
    sender = project.start([*original, "-c", send])
    assert sender.wait() == 0, sender.output
    project.python(send)

    messages = queue.take(6)
    bodies = sorted(message["Body"] for message in messages)
    assert bodies[0::2] == bodies[1::2]
    assert all("MessageAttributes" not in message for message in messages)


def test_old_calls_to_decode_message_give_the_same(project: Project, queue: Queue, original: list[str]) -> None:
    body = '{"task": "tasks.work", "args": [1, {"a": null}], "kwargs": {"b": 2.5}, "more": 1}'
    code = f"from pyqs.utils import decode_message\nd = decode_message({{'Body': {body!r}}})\n"
    code += "print(d['task'], d['args'], d['kwargs'])"
    theirs = project.start([*original, "-c", code])
    assert theirs.wait() == 0, theirs.output

    assert project.python(code) == theirs.output
