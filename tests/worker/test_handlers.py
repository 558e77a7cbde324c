"""Messages that are no tasks: ``@on_message``."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue, new_name

HANDLERS = """
import os, signal, time
from journal import note
from pyqs import Discard, Message, on_message, task
from pyqs.errors import SoftTimeLimitExceeded, UndecodableMessage

def tell(what, message, **facts):
    note(what, body=message.body, id=message.id, queue=message.queue, receive_count=message.receive_count,
         retries=message.retries, deadline=message.deadline, group=message.group,
         sent_at=message.sent_at and message.sent_at.isoformat(),
         attributes={name: str(value) for name, value in message.attributes.items()}, **facts)

@on_message(queue="QUEUE", retries=1, backoff=[0], dead_letter="QUEUE-dead", dead_letter_on=UndecodableMessage,
            discard_on=KeyError, time_limit=3)
def handle(message: Message):
    tell("handled", message)
    if message.body == "fail once" and not message.retries:
        raise ValueError("no luck")
    if message.body == "fail":
        raise ValueError("no luck")
    if message.body == "die" and not message.retries:
        os.kill(os.getpid(), signal.SIGKILL)
    if message.body == "too long" and not message.retries:
        time.sleep(100)
    if message.body == "gone":
        raise KeyError("gone")
    if message.body == "discard":
        raise Discard("gone")
    if message.body.startswith("json"):
        message.json()
    note("ended", body=message.body)

@task(queue="unused")
def never():
    note("never")
"""

EVENTS = """
import asyncio
from journal import note
from pyqs import Message, on_message

@on_message(queue="QUEUE")
async def uploaded(message: Message):
    await asyncio.sleep(0)
    for record in message.s3:
        note("uploaded", bucket=record.bucket, key=record.key, event=record.event_name)
    note("message", body=message.body)
"""

S3 = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "photos"}, "object": {"key": "my+cat.jpg", "size": 1}},
        }
    ]
}


def start(project: Project, queue: Queue, *options: str, handlers: str = HANDLERS) -> Any:
    project.write("handlers.py", handlers.replace("QUEUE", queue.name))
    return project.worker(queue.name, "--import", "handlers", *options)


def bodies(project: Project, what: str) -> list[str]:
    return [note["body"] for note in project.notes(what)]


def test_a_handler_gets_every_body_as_it_is(project: Project, queue: Queue) -> None:
    sent = ["", "plain text", "no {json", "[1, 2]", '{"id": 1}', "pickled? \u2713", "x" * 100_000]
    sent.remove("")  # SQS takes no empty one
    for body in sent:
        queue.send(body)
    start(project, queue)

    project.wait_for_notes("ended", len(sent))
    queue.wait_until_empty()
    assert sorted(bodies(project, "handled")) == sorted(sent)


def test_a_message_that_looks_like_a_task_runs_none(project: Project, queue: Queue) -> None:
    celery = {"task": "handlers.never", "id": "1", "args": [], "kwargs": {}}
    task = json.dumps({"task": "handlers.never", "args": [], "kwargs": {}})
    queue.send(task)
    queue.send(json.dumps(celery))
    start(project, queue, "--threads", "3")

    project.wait_for_notes("ended", 2)
    queue.wait_until_empty()
    assert task in bodies(project, "handled")
    assert project.notes("never") == []


def test_what_a_handler_knows_of_its_message(project: Project, queue: Queue) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    attributes = {
        "shop": {"DataType": "String", "StringValue": "eu"},
        "key": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    message_id = queue.send("hello", MessageAttributes=attributes)
    start(project, queue)

    [note] = project.wait_for_notes("handled", 1)
    assert (note["id"], note["queue"], note["receive_count"], note["retries"]) == (message_id, queue.name, 1, 0)
    assert note["attributes"] == {"shop": "eu", "key": str(b"\x00\xff")}
    assert before <= datetime.fromisoformat(note["sent_at"]) <= datetime.now(timezone.utc)


def test_the_rules_for_failures_are_those_of_tasks(project: Project, queue: Queue, sqs: Any) -> None:
    dead = Queue(sqs, f"{queue.name}-dead")
    for body in ("fail once", "fail", "gone", "discard", "json: none"):
        queue.send(body)
    worker = start(project, queue)

    [one, other] = sorted(dead.take(2), key=lambda message: str(message["Body"]))
    queue.wait_until_empty()
    assert (one["Body"], other["Body"]) == ("fail", "json: none")
    assert "UndecodableMessage" in other["MessageAttributes"]["pyqs.reason"]["StringValue"]
    handled = bodies(project, "handled")
    runs = {"fail once": 2, "fail": 2, "gone": 1, "discard": 1, "json: none": 1}
    assert {body: handled.count(body) for body in handled} == runs
    assert "Task handlers.handle raised error" in worker.output


@pytest.mark.parametrize("body", ["die", "too long"])
def test_a_death_or_a_time_limit_is_a_failed_run(project: Project, queue: Queue, body: str) -> None:
    queue.send(body)
    start(project, queue)

    project.wait_for_notes("ended", 1)
    queue.wait_until_empty()
    assert [note["retries"] for note in project.notes("handled")] == [0, 1]


def test_notifications_of_s3_whatever_they_came_through(project: Project, queue: Queue) -> None:
    test_event = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"})
    through_sns = json.dumps({"Type": "Notification", "TopicArn": "arn:t", "Message": json.dumps(S3)})
    for body in (json.dumps(S3), through_sns, test_event):
        queue.send(body)
    start(project, queue, handlers=EVENTS)

    project.wait_for_notes("message", 3)
    queue.wait_until_empty()
    uploads = [(note["bucket"], note["key"], note["event"]) for note in project.notes("uploaded")]
    assert uploads == [("photos", "my cat.jpg", "ObjectCreated:Put")] * 2


def test_a_fifo_queue_keeps_its_order(project: Project, sqs: Any) -> None:
    queue = Queue(sqs, f"{new_name()}.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for number in range(5):
        queue.send(f"number {number}", MessageGroupId="g")
    start(project, queue, "-c", "3")

    project.wait_for_notes("ended", 5)
    queue.wait_until_empty()
    assert bodies(project, "handled") == [f"number {number}" for number in range(5)]
    assert {note["group"] for note in project.notes("handled")} == {"g"}


def test_a_handler_that_a_task_brings_along(project: Project, queue: Queue) -> None:
    """Its module is imported late: what was hidden as undecodable meanwhile comes again."""
    project.write("handlers.py", HANDLERS.replace("QUEUE", queue.name))
    other = Queue(queue.client, new_name())
    project.worker(queue.name, other.name)
    other.send_task("handlers.never")
    project.wait_for_notes("never", 1)
    queue.send_task("handlers.never")
    queue.send("text")

    project.wait_for_notes("ended", 2)
    queue.wait_until_empty()
    assert len(project.notes("never")) == 1


def test_a_program_that_is_its_own_worker(project: Project, queue: Queue) -> None:
    queue.send("text")
    program = f"""
from journal import note
from pyqs import on_message
from pyqs.main import _main

@on_message(queue={queue.name!r})
def handle(message):
    note("handled", body=message.body)

_main([{queue.name!r}], concurrency=1)
"""
    project.script(program)
    [note] = project.wait_for_notes("handled", 1)
    assert note["body"] == "text"
    queue.wait_until_empty()
