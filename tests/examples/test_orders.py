"""``examples/orders``: calls in each of the ways that there are, with arguments of many types."""

from __future__ import annotations

import sys
from pathlib import Path

from support.projects import Project

ORDERS = Path(__file__).resolve().parents[2] / "examples" / "orders"


def test_orders(ours_project: Project) -> None:
    for file in ORDERS.glob("*.py"):
        ours_project.write(file.name, file.read_text())
    sender = ours_project.start([sys.executable, "send.py"])
    assert sender.wait() == 0, sender.output
    assert sender.output.splitlines() == [
        "2 reminders are sent",
        "argument with_gift_wrap of tasks.ship is unknown; by name it takes order, by",
    ]

    worker = ours_project.worker("orders-*")
    for line in (
        "order 7 of 02 January 2026 goes by ship",
        "ada pays 21.00 until 01 February 2026 to the shop",
        *(f"{customer} is reminded of 01 February 2026" for customer in ("ada", "bob")),
        *(f"{customer} is reminded of 01 March 2026" for customer in ("bob", "eve")),
    ):
        worker.wait_for(line)
    assert worker.stop() == 0, worker.output
    assert worker.output.count("goes by ship") == 1
