"""What code in a task can find out about it: ``pyqs.current()``, context variables, fields of log records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue

LOOKING = """
import asyncio, contextvars, json, logging, os, threading
import pyqs
from journal import HERE, note, wait_for_gate
from pyqs import task

FIELDS = ("pyqs_message_id", "pyqs_task", "pyqs_queue", "pyqs_receive_count")
who = contextvars.ContextVar("who", default="nobody")

class Lines(logging.Handler):
    def emit(self, record):
        note("record", name=record.name, text=record.getMessage(),
             **{name: getattr(record, name, "missing") for name in FIELDS})

logging.getLogger().addHandler(Lines())
logging.getLogger("app").setLevel("INFO")
log = logging.getLogger("app")

def look(what):
    log.info(what)
    current = pyqs.current()
    note(what, id=current.request.id, name=current.name, args=current.request.args, queue=current.request.queue)

@task(queue="unused")
def plain(value):
    note("found", value=who.get())
    who.set(value)
    look("plain")
    copied = contextvars.copy_context()
    thread = threading.Thread(target=copied.run, args=(look, "thread"))
    thread.start()
    thread.join()

@task(queue="unused")
async def soon(value):
    note("found", value=who.get())
    who.set(value)
    await asyncio.sleep(0)
    look("soon")
    await asyncio.gather(asyncio.to_thread(look, "helper"), inner())

async def inner():
    look("inner")

@task(queue="unused")
def meet(value):
    note("here", value=value)
    wait_for_gate("go")
    look("met")

@task(queue="unused")
def own(value):
    log.info("own", extra={"pyqs_task": "mine"})
    note("own ended")

def outside():
    return pyqs.current()
"""


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("looking.py", LOOKING)
    return ours_project


def fields(project: Project, text: str) -> list[dict[str, Any]]:
    """What the records of this text had."""
    return [note for note in project.notes("record") if note["name"] == "app" and note["text"] == text]


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize(
    ("name", "places"), [("plain", ["plain", "thread"]), ("soon", ["soon", "helper", "inner"])], ids=["plain", "soon"]
)
def test_all_that_a_task_calls_knows_it(
    project: Project, ours_queue: Queue, name: str, places: list[str], threads: str
) -> None:
    project.worker(ours_queue.name, "--threads", threads)
    for value in (1, 2):
        sent = ours_queue.send_task(f"looking.{name}", value)
        for place in places:
            told = project.wait_for_notes(place, value)[-1]
            assert told["id"] == sent
            assert (told["name"], told["args"], told["queue"]) == (f"looking.{name}", [value], ours_queue.name)
            (record,) = fields(project, place)[value - 1 :]
            assert record["pyqs_message_id"] == sent
            assert record["pyqs_task"] == f"looking.{name}"
            assert record["pyqs_queue"] == ours_queue.name
            assert record["pyqs_receive_count"] == 1
        ours_queue.wait_until_empty()

    assert project.values("found") == ["nobody", "nobody"], "what one task sets, the next does not see"


def test_tasks_at_the_same_time_are_not_mixed_up(project: Project, ours_queue: Queue) -> None:
    sent = {ours_queue.send_task("looking.meet", number): number for number in range(5)}
    project.worker(ours_queue.name, "--threads", "5")
    project.wait_for_notes("here", 5)
    project.open_gate("go")
    met = project.wait_for_notes("met", 5)

    assert {note["id"]: note["args"][0] for note in met} == sent
    assert {record["pyqs_message_id"] for record in fields(project, "met")} == set(sent)


def test_the_workers_own_lines_about_a_task_have_the_fields_too(project: Project, ours_queue: Queue) -> None:
    sent = ours_queue.send_task("looking.own", 1)
    worker = project.worker(ours_queue.name, "--import", "looking")
    line = worker.wait_for(r"^\[INFO\]: Processed task looking\.own .*$").group(0)

    assert line.endswith(f" [looking.own {sent}]")
    records = [note for note in project.notes("record") if note["text"].startswith("Processed task")]
    assert [record["pyqs_message_id"] for record in records] == [sent]


def test_lines_of_a_task_name_it_and_its_message(project: Project, ours_queue: Queue) -> None:
    sent = ours_queue.send_task("looking.plain", 1)
    worker = project.worker(ours_queue.name)

    worker.wait_for(rf"^\[INFO\]: plain \[looking\.plain {sent}\]$")


def test_a_field_that_the_user_has_set_stays(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("looking.own", 1)
    project.worker(ours_queue.name)
    project.wait_for_notes("own ended")

    (record,) = fields(project, "own")
    assert record["pyqs_task"] == "mine"
    assert record["pyqs_message_id"]


def test_a_format_with_the_fields_holds_for_all_lines_of_a_worker(project: Project, ours_queue: Queue) -> None:
    process = project.script(
        f"""
import logging
from pyqs.main import _main
logging.basicConfig(level="INFO", format="%(pyqs_task)s|%(pyqs_message_id)s|%(pyqs_queue)s|%(message)s")
_main(["{ours_queue.name}"], 1, "INFO", interval=0)
"""
    )
    process.wait_for(r"^\|\|\|Running ProcessWorker, pid: \d+")
    sent = ours_queue.send_task("looking.plain", 1)

    process.wait_for(rf"^looking\.plain\|{sent}\|{ours_queue.name}\|plain$")
    assert process.stop() == 0
    assert "Logging error" not in process.output


def test_outside_of_a_worker_there_is_none(project: Project) -> None:
    assert json.loads(project.python("import looking, json; print(json.dumps(looking.outside()))")) is None
