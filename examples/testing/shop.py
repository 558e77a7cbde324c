"""A shop that sends mails in the background: what the tests beside it test."""

from __future__ import annotations

import smtplib

from pyqs import BoundTask, task


class Refused(Exception):
    """The customer has no account."""


def deliver(to: str, text: str) -> None:
    """Give a mail to the mail server. Tests replace it."""
    with smtplib.SMTP("mail.example.org") as server:
        server.sendmail("shop@example.org", to, text)


@task(queue="mails", retries=3, backoff=[1, 60, 600])
def send_mail(to: str, text: str) -> None:
    deliver(to, text)


@task(queue="orders", bind=True, dead_letter_on=Refused, dead_letter="orders-refused")
def charge(self: BoundTask, order: int, customer: str) -> str:
    if customer == "nobody":
        raise Refused(customer)
    send_mail.delay(customer, text=f"Order {order} is paid")
    return self.request.id


def buy(order: int, customer: str) -> str:
    """What a page of the shop does: the id of the message that pays."""
    return charge.delay(order, customer)
