"""Sends calls of the tasks, in each of the ways that there are."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal

from tasks import Carrier, Line, Order, invoice, remind, ship

ORDER = Order(7, "ada", date(2026, 1, 2), [Line("a book", Decimal("9.90"), amount=2), Line("a pen", Decimal("1.20"))])


async def remind_later() -> None:
    await asyncio.gather(*(remind.adelay(customer, due=date(2026, 3, 1)) for customer in ("bob", "eve")))


def main() -> None:
    ship.delay(ORDER, by=Carrier.SHIP)
    ship.delay(ORDER, by=Carrier.SHIP)  # the same order again: SQS drops it
    invoice.apply_async(
        [ORDER], {"due": ORDER.placed + timedelta(days=30)}, countdown=1, expires=3600, headers={"x-tenant": "the shop"}
    )
    results = remind.delay_many({"customer": customer, "due": date(2026, 2, 1)} for customer in ("ada", "bob"))
    print(f"{len(results)} reminders are sent")
    asyncio.run(remind_later())
    try:
        ship.delay(ORDER, with_gift_wrap=True)  # type: ignore[call-overload]
    except TypeError as error:
        print(error)


if __name__ == "__main__":
    main()
