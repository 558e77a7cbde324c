"""Arguments that JSON has no word for, from a sender through SQS to the function."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.projects import Project
from support.queues import Queue

SHOP = """
from __future__ import annotations
import dataclasses, enum
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Optional
from uuid import UUID
from journal import note
from pyqs import BoundTask, task

if TYPE_CHECKING:
    from nowhere import Missing

class Size(str, enum.Enum):
    SMALL = "s"

@dataclasses.dataclass
class Line:
    article: UUID
    price: Decimal

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
ONE = UUID(int=1)

@task(queue="{queue}")
def order(lines: list[Line], at: datetime, *days: date, size: Optional[Size] = None, wait: timedelta = timedelta(0)):
    note("order", value=repr((lines, at, days, size, wait)))

@task(queue="{queue}", bind=True)
async def bound(self: BoundTask, at: datetime):
    note("bound", value=[repr(at), repr(self.request.args)])

@task(queue="{queue}")
def old(at: datetime, what: Missing = None):
    note("old", value=[repr(at), repr(what)])

@task(queue="{queue}", format="celery")
def celerys(at: datetime, line: Line):
    note("celerys", value=repr((at, line)))
"""

SEND = """
from shop import *
order.delay([Line(ONE, Decimal("9.90"))], NOON, date(2026, 1, 2), size=Size.SMALL, wait=timedelta(hours=1))
bound.delay(NOON)
old.delay(NOON.isoformat(), what={"a": 1})
celerys.delay(NOON, Line(ONE, Decimal("9.90")))
"""

SENT = "datetime.datetime(2026, 1, 2, 12, 0, tzinfo=datetime.timezone.utc)"
LINE = "Line(article=UUID('00000000-0000-0000-0000-000000000001'), price=Decimal('9.90'))"


@pytest.fixture
def shop(project: Project, queue: Queue) -> Project:
    project.write("shop.py", SHOP.replace("{queue}", queue.name))
    return project


def test_the_function_gets_back_what_was_passed(shop: Project, queue: Queue) -> None:
    shop.python(SEND)
    shop.worker(queue.name, "--import", "shop")

    order = f"([{LINE}], {SENT}, (datetime.date(2026, 1, 2),), <Size.SMALL: 's'>, datetime.timedelta(seconds=3600))"
    assert shop.wait_for_notes("order")[0]["value"] == order
    assert shop.wait_for_notes("bound")[0]["value"] == [SENT, f"[{SENT}]"]
    assert shop.wait_for_notes("celerys")[0]["value"] == f"({SENT}, {LINE})"
    queue.wait_until_empty()


def test_text_that_was_sent_as_text_stays_text(shop: Project, queue: Queue) -> None:
    shop.python(SEND)
    queue.send_task("shop.old", "2026-01-02")
    shop.worker(queue.name, "--import", "shop")

    values = [note["value"] for note in shop.wait_for_notes("old", 2)]
    assert sorted(values) == [["'2026-01-02'", "None"], ["'2026-01-02T12:00:00+00:00'", "{'a': 1}"]]


def test_what_can_not_be_converted_is_not_run(shop: Project, queue: Queue) -> None:
    for mark in ("[0]", "[7]"):
        queue.send(
            '{"task": "shop.bound", "args": ["soon"], "kwargs": {}}',
            MessageAttributes={"pyqs.typed": {"DataType": "String", "StringValue": mark}},
        )
    worker = shop.worker(queue.name, "--import", "shop")

    worker.wait_for("can't be run: arguments: argument 1 of shop.bound is no datetime as it is declared")
    worker.wait_for("can't be run: arguments: its attribute pyqs.typed is no list of its arguments")
    assert shop.notes("bound") == []


def test_the_original_reads_text(project: Project, queue: Queue, original: list[str]) -> None:
    project.write("shop.py", SHOP.replace("{queue}", queue.name))
    project.write(
        "theirs.py", "from journal import note\ndef order(*args, **kwargs):\n    note('order', value=[args, kwargs])\n"
    )
    project.python(
        f"""
import pyqs
from shop import *
ship = pyqs.task(queue="{queue.name}", custom_function_path="theirs.order")(order)
ship.delay([Line(ONE, Decimal(1))], NOON, size=Size.SMALL)
"""
    )
    project.start([str(Path(original[0]).with_name("pyqs")), queue.name, "--loglevel", "INFO"])

    assert project.wait_for_notes("order")[0]["value"] == [
        [[{"article": "00000000-0000-0000-0000-000000000001", "price": "1"}], "2026-01-02T12:00:00+00:00"],
        {"size": "s"},
    ]
