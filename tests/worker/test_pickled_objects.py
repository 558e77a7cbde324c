"""Pickled messages with objects of the user's own: refused, unless ``--unsafe-pickle`` admits their classes."""

from __future__ import annotations

import base64
import json
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue

ORDERS = """
class Order:
    def __init__(self, number):
        self.number = number
"""

SHOP = """
from journal import note
from pyqs import task

@task(queue="unused", bind=True)
def pay(self, order, **kwargs):
    note("paid", number=order.number, kind=type(order).__module__, kwargs=kwargs, retries=self.request.retries)
"""


@pytest.fixture
def orders() -> Iterator[Any]:
    module: Any = types.ModuleType("orders")
    module.__dict__["__name__"] = "orders"
    sys.modules["orders"] = module
    exec(ORDERS, module.__dict__)
    yield module
    del sys.modules["orders"]


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("orders.py", ORDERS)
    ours_project.write("shop.py", SHOP)
    return ours_project


def body(payload: Any, headers: dict[str, Any], protocol: int) -> str:
    envelope = {
        "body": base64.b64encode(pickle.dumps(payload, protocol)).decode(),
        "content-type": "application/x-python-serialize",
        "headers": headers,
        "properties": {"body_encoding": "base64", "delivery_info": {}},
    }
    return json.dumps(envelope)


def bodies(order: Any, protocol: int) -> list[str]:
    """The same call by either protocol of Celery's."""
    fields = {"task": "shop.pay", "id": "c-1", "retries": 2}
    two = body(([order], {"b": {1}}, {}), fields, protocol)
    one = body({**fields, "args": [order], "kwargs": {"b": {1}}}, {}, protocol)
    return [one, two]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_a_pattern_admits_is_made(project: Project, ours_queue: Queue, orders: Any, protocol: int) -> None:
    project.write("shop.py", SHOP.replace("kwargs=kwargs", "kwargs=repr(kwargs)"))
    for text in bodies(orders.Order(3), protocol):
        ours_queue.send(text)
    worker = project.worker(ours_queue.name, "--unsafe-pickle", "orders.*")

    notes = project.wait_for_notes("paid", 2)
    ours_queue.wait_until_empty()
    for note in notes:
        assert (note["number"], note["kind"], note["kwargs"], note["retries"]) == (3, "orders", "{'b': {1}}", 2)
    worker.wait_for(r"\[WARNING\]: --unsafe-pickle orders\.\*: whoever can send to the queues may")


def test_without_the_option_it_is_refused(project: Project, ours_queue: Queue, orders: Any) -> None:
    for text in bodies(orders.Order(3), 2):
        ours_queue.send(text)
    worker = project.worker(ours_queue.name)
    worker.wait_for('it names "orders.Order", which is not data and is never imported', count=2)
    assert project.notes("paid") == []


def test_other_classes_are_refused(project: Project, ours_queue: Queue, orders: Any) -> None:
    project.write("orders.py", "open('imported', 'w')\n" + ORDERS)
    for text in bodies(orders.Order(3), 2):
        ours_queue.send(text)
    worker = project.worker(ours_queue.name, "--unsafe-pickle", "shop.*")
    worker.wait_for("can't be run: payload: pickle: it names orders.Order, which --unsafe-pickle .* does not", count=2)
    assert project.notes("paid") == []
    assert not (project.folder / "imported").exists()
