"""Tasks whose arguments are dates, money and a class of one's own."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pyqs import BoundTask, task


class Carrier(enum.Enum):
    POST = "post"
    SHIP = "ship"


@dataclass
class Line:
    article: str
    price: Decimal
    amount: int = 1


@dataclass
class Order:
    number: int
    customer: str
    placed: date
    lines: list[Line]

    @property
    def total(self) -> Decimal:
        return sum((line.price * line.amount for line in self.lines), Decimal(0))


def customer_of(order: Order, by: Carrier = Carrier.POST) -> str:
    """The orders of one customer are shipped one after the other."""
    return order.customer


def number_of(order: Order, by: Carrier = Carrier.POST) -> str:
    """An order that is sent twice within 5 minutes is shipped once."""
    return str(order.number)


@task(queue="orders-shipping.fifo", group=customer_of, dedup_id=number_of)
def ship(order: Order, by: Carrier = Carrier.POST) -> None:
    print(f"order {order.number} of {order.placed:%d %B %Y} goes by {by.name.lower()}", flush=True)


@task(queue="orders-invoices", bind=True, retries=3)
def invoice(self: BoundTask, order: Order, due: date) -> None:
    tenant = self.request.attributes.get("x-tenant", "nobody")
    print(f"{order.customer} pays {order.total} until {due:%d %B %Y} to {tenant}", flush=True)


@task(queue="orders-invoices")
def remind(customer: str, due: date) -> None:
    print(f"{customer} is reminded of {due:%d %B %Y}", flush=True)
