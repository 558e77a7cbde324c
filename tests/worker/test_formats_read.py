"""Messages that others wrote: Celery's JSON of protocol 1 and 2, in base64 and plain."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Optional

import pytest
from support.projects import Project
from support.queues import Queue

FROM_CELERY = Path(__file__).resolve().parents[2] / "demo" / "from_celery.txt"

TASK_ID = "71c7ad73-6f22-43b1-8a50-3e8a1d7fbb2f"

MAILING = """
from journal import note

def send_email(number, to, subject, body):
    note("sent", value=number, to=to, subject=subject, body=body)
"""


def protocol_1(body_encoding: Optional[str] = "base64") -> dict[str, Any]:
    """As Celery 3 wrote it, and newer ones with ``task_protocol = 1``."""
    payload = {
        "task": "tasks.work",
        "id": TASK_ID,
        "args": [],
        "kwargs": {"value": ["ä", 1.5, None]},
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "utc": True,
        "callbacks": None,
        "errbacks": None,
        "timelimit": [None, None],
        "taskset": None,
        "chord": None,
    }
    return envelope(payload, {}, body_encoding)


def protocol_2(body_encoding: Optional[str] = "base64") -> dict[str, Any]:
    """As Celery 4 and 5 write it."""
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers = {
        "lang": "py",
        "task": "tasks.work",
        "id": TASK_ID,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": TASK_ID,
        "parent_id": None,
        "argsrepr": "()",
        "kwargsrepr": "{'value': ...}",
        "origin": "gen7@host",
        "ignore_result": False,
    }
    return envelope([[], {"value": ["ä", 1.5, None]}, embed], headers, body_encoding)


def envelope(payload: Any, headers: dict[str, Any], body_encoding: Optional[str]) -> dict[str, Any]:
    text = json.dumps(payload)
    properties: dict[str, Any] = {
        "correlation_id": TASK_ID,
        "reply_to": "d0c2a6b9-4c2f-3a7e-9c0f-4b5b8a0a3b57",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "priority": 0,
        "delivery_tag": "6f4c2f8e-4a37-4c53-9a57-1d3f0f1b5f4d",
    }
    if body_encoding:
        properties["body_encoding"] = body_encoding
        text = base64.b64encode(text.encode()).decode()
    return {
        "body": text,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }


@pytest.mark.parametrize("outer", ["base64", "plain"])
@pytest.mark.parametrize("inner", ["base64", None])
@pytest.mark.parametrize("protocol", [protocol_1, protocol_2])
def test_celerys_json_runs(
    ours_project: Project, ours_queue: Queue, protocol: Any, inner: Optional[str], outer: str
) -> None:
    text = json.dumps(protocol(inner))
    ours_queue.send(base64.b64encode(text.encode()).decode() if outer == "base64" else text)
    ours_project.worker(ours_queue.name)

    assert ours_project.wait_for_notes("work")[0]["value"] == ["ä", 1.5, None]
    ours_queue.wait_until_empty()


def test_the_rest_of_a_chain_runs(ours_project: Project, ours_queue: Queue) -> None:
    message = protocol_2(None)
    following = {"task": "tasks.work", "args": [2], "immutable": True}
    embed = {"callbacks": None, "errbacks": None, "chain": [following], "chord": None}
    message["body"] = json.dumps([[1], {}, embed])
    ours_queue.send(json.dumps(message))
    ours_project.worker(ours_queue.name)

    ours_project.wait_for_notes("work", 2)
    ours_queue.wait_until_empty()
    assert ours_project.values("work") == [1, 2]


def test_messages_that_celery_wrote_run(project: Project, queue: Queue) -> None:
    project.write("mailing.py", MAILING)
    bodies = FROM_CELERY.read_text().split()
    for start in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start : start + 10])]
        queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    project.worker(queue.name)
    notes = project.wait_for_notes("sent", len(bodies))
    queue.wait_until_empty()

    expected = {}
    for body in bodies:
        payload = json.loads(base64.b64decode(json.loads(base64.b64decode(body))["body"]))
        expected[payload[1]["number"]] = payload[1]
    assert {note["value"]: note["subject"] for note in notes} == {
        number: kwargs["subject"] for number, kwargs in expected.items()
    }
    assert all("@" in note["to"] for note in notes)


def test_all_kinds_in_one_queue(project: Project, queue: Queue) -> None:
    queue.send_task("tasks.work", "native")
    queue.send(json.dumps(protocol_1()))
    queue.send(base64.b64encode(json.dumps(protocol_2()).encode()).decode())
    project.worker(queue.name)

    project.wait_for_notes("work", 3)
    queue.wait_until_empty()


def test_a_celery_task_object_runs_with_celery_not_installed(project: Project, queue: Queue) -> None:
    """What Celery's decorators make is known by its class's name."""
    project.write("celery/__init__.py", "")
    project.write(
        "celery/app.py",
        "class Task:\n    def __call__(self, *args, **kwargs):\n        return self.run(*args, **kwargs)\n",
    )
    project.write(
        "shop.py",
        """
from celery.app import Task
from journal import note

class Order(Task):
    def run(self, value):
        note("ordered", value=value)

order = Order()
""",
    )
    queue.send_task("shop.order", 12)
    project.worker(queue.name)

    assert project.wait_for_notes("ordered")[0]["value"] == 12


def test_arguments_keep_their_types(project: Project, queue: Queue) -> None:
    value = [1, 1.0, True, None, "ü\u0000", [[]], {"a": {"b": [2**70, -1]}}, 1e300]
    project.write(
        "typed.py",
        "from journal import note\ndef take(*args, **kwargs):\n    note('taken', args=args, kwargs=kwargs,"
        " types=[type(arg).__name__ for arg in args[0]])\n",
    )
    queue.send_task("typed.take", value, **{"odd name": 1})
    project.worker(queue.name)

    note = project.wait_for_notes("taken")[0]
    assert note["args"] == [value]
    assert note["types"] == ["int", "float", "bool", "NoneType", "str", "list", "dict", "float"]
    assert note["kwargs"] == {"odd name": 1}
