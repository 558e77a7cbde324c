"""Functions that are called for several messages at once: ``@task(batch=...)`` and ``@on_message(batch=...)``."""

from __future__ import annotations

import base64
import functools
import json
import operator
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue, new_name

BATCHES = """
import asyncio, os, signal, time
from journal import note, wait_for_gate
from pyqs import BatchItem, Discard, Message, on_message, task

RULES = dict(retries=1, backoff=[0], dead_letter="QUEUE-dead", dead_letter_on=TypeError, discard_on=KeyError)

def handle(items):
    for item in items:
        if item.value == "fail":
            item.fail("no luck")
        elif item.value == "fail once" and not item.retries:
            item.fail(ValueError("no luck at first"))
        elif item.value == "dead":
            item.fail(TypeError("dead"))
        elif item.value == "gone":
            item.discard()
        elif item.value == "later" and not item.retries:
            item.retry(after=1)

@task(queue="unused", batch=5, batch_wait=0.5, **RULES)
def insert(items: list[BatchItem]):
    note("batch", values=[item.value for item in items], ids=[item.id for item in items],
         counts=[item.receive_count for item in items], retries=[item.retries for item in items])
    handle(items)

@task(queue="unused", batch=5, batch_wait=0.5)
async def insert_async(items: list[BatchItem]):
    await asyncio.sleep(0)
    note("batch", values=[item.value for item in items])

@task(queue="unused", batch=3, batch_wait=0.2, retries=2, backoff=[0])
def explode(items):
    note("batch", values=[item.value for item in items], retries=[item.retries for item in items])
    if items[0].retries == 0:
        raise ValueError("no luck with all of them")
    if items[0].retries == 1:
        os.kill(os.getpid(), signal.SIGKILL)

@task(queue="unused", batch=10, batch_wait=0.3, time_limit=1, retries=1, backoff=[0])
def slow(items):
    note("batch", values=[item.value for item in items])
    if not items[0].retries:
        time.sleep(100)

@task(queue="unused")
def plain(value):
    note("plain", value=value)
"""

HANDLER = """
from journal import note
from pyqs import Message, on_message

@on_message(queue="QUEUE", batch=4, batch_wait=0.5, retries=1, backoff=[0])
def handle(messages: list[Message]):
    note("batch", values=[message.body for message in messages], retries=[message.retries for message in messages])
    for message in messages:
        if message.body == "fail once" and not message.retries:
            message.fail(ValueError("no luck at first"))
"""


def start(project: Project, queue: Queue, *options: str) -> Any:
    project.write("batches.py", BATCHES.replace("QUEUE", queue.name))
    return project.worker(queue.name, "--import", "batches", *options)


def runs(project: Project) -> list[list[Any]]:
    return [note["values"] for note in project.notes("batch")]


@pytest.mark.parametrize("task", ["insert", "insert_async"])
def test_calls_are_gathered(project: Project, queue: Queue, task: str) -> None:
    queue.send_tasks(f"batches.{task}", [[number] for number in range(12)])
    start(project, queue, "--threads", "2")

    project.wait_for_notes("batch", 3)
    queue.wait_until_empty()
    assert sorted(len(values) for values in runs(project)) == [2, 5, 5]
    assert sorted(functools.reduce(operator.iadd, runs(project), [])) == list(range(12))


def test_what_a_function_knows_of_each(project: Project, queue: Queue) -> None:
    ids = queue.send_tasks("batches.insert", [[1], [2]])
    start(project, queue)

    [note] = project.wait_for_notes("batch", 1)
    assert dict(zip(note["ids"], note["values"])) == dict(zip(ids, [1, 2]))
    assert (note["counts"], note["retries"]) == ([1, 1], [0, 0])


def test_single_items_fail_by_the_tasks_rules(project: Project, queue: Queue, sqs: Any) -> None:
    dead = Queue(sqs, f"{queue.name}-dead")
    sent = ["good", "fail", "fail once", "dead", "gone", "later"]
    queue.send_tasks("batches.insert", [[value] for value in sent])
    worker = start(project, queue)

    letters = [json.loads(letter["Body"])["args"][0] for letter in dead.take(2)]
    queue.wait_until_empty()
    assert sorted(letters) == ["dead", "fail"]
    values = functools.reduce(operator.iadd, runs(project), [])
    expected = {"good": 1, "fail": 2, "fail once": 2, "dead": 1, "gone": 1, "later": 2}
    assert {value: values.count(value) for value in values} == expected
    assert "no luck at first" in worker.output


def test_an_exception_and_a_death_fail_all(project: Project, queue: Queue) -> None:
    queue.send_tasks("batches.explode", [[1], [2], [3]])
    worker = start(project, queue)

    project.wait_for_notes("batch", 3)
    queue.wait_until_empty()
    assert [sorted(values) for values in runs(project)] == [[1, 2, 3]] * 3
    assert [note["retries"] for note in project.notes("batch")] == [[0] * 3, [1] * 3, [2] * 3]
    assert "died by SIGKILL" in worker.output


def test_the_time_limit_is_the_batchs(project: Project, queue: Queue) -> None:
    queue.send_tasks("batches.slow", [[1], [2]])
    start(project, queue)

    project.wait_for_notes("batch", 2)
    queue.wait_until_empty()
    assert [sorted(values) for values in runs(project)] == [[1, 2]] * 2


def test_one_that_cant_be_read_keeps_no_other_back(project: Project, queue: Queue) -> None:
    queue.send_tasks("batches.insert", [[1], [2]])
    link = {"task": "batches.plain", "args": [], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    call = [[3], {}, {"callbacks": [link], "errbacks": None, "chain": None, "chord": None}]
    celery = {
        "body": base64.b64encode(json.dumps(call).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "batches.insert", "id": "1"},
        "properties": {"body_encoding": "base64", "correlation_id": "1"},
    }
    broken = queue.send(json.dumps(celery))
    worker = start(project, queue)

    project.wait_for_notes("batch", 1)
    worker.wait_for(f"{broken} .*can't be run.* a batch has not")
    assert sorted(functools.reduce(operator.iadd, runs(project), [])) == [1, 2]


def test_other_tasks_of_the_queue_do_not_wait(project: Project, queue: Queue) -> None:
    queue.send_tasks("batches.insert", [[1]])
    queue.send_task("batches.plain", 2)
    start(project, queue)

    project.wait_for_notes("plain", 1)
    project.wait_for_notes("batch", 1)
    queue.wait_until_empty()


def test_a_batch_task_that_no_import_names_is_learnt_with_its_first_message(project: Project, queue: Queue) -> None:
    project.write("batches.py", BATCHES)
    project.worker(queue.name)
    queue.send_task("batches.insert", 0)
    project.wait_for_notes("batch", 1)
    queue.send_tasks("batches.insert", [[number] for number in range(1, 6)])

    project.wait_for_notes("batch", 2)
    queue.wait_until_empty()
    assert [sorted(values) for values in runs(project)] == [[0], [1, 2, 3, 4, 5]]


def test_a_handler_of_several_messages(project: Project, queue: Queue) -> None:
    for body in ("one", "two", "fail once", "{}"):
        queue.send(body)
    project.write("handler.py", HANDLER.replace("QUEUE", queue.name))
    project.worker(queue.name, "--import", "handler")

    project.wait_for_notes("batch", 2)
    queue.wait_until_empty()
    first, second = runs(project)
    assert sorted(first) == ["fail once", "one", "two", "{}"]
    assert second == ["fail once"]


def test_of_a_message_group_what_is_behind_a_failed_one_waits(project: Project, sqs: Any) -> None:
    queue = Queue(sqs, f"{new_name()}.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    project.write("handler.py", HANDLER.replace("QUEUE", queue.name))
    for group, body in (("a", "first"), ("a", "fail once"), ("a", "behind"), ("b", "beside")):
        queue.send(body, MessageGroupId=group)
    project.worker(queue.name, "--import", "handler")

    project.wait_for_notes("batch", 2)
    queue.wait_until_empty()
    values = functools.reduce(operator.iadd, runs(project), [])
    assert values.count("beside") == values.count("first") == 1
    assert [value for value in values if value in ("fail once", "behind")][-2:] == ["fail once", "behind"]
