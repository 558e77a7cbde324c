"""Tasks run where they are sent: no SQS, no worker, no waiting."""

from __future__ import annotations

import pytest
import shop
from pyqs.testing import Eager, eager


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(shop, "deliver", lambda to, text: found.append((to, text)))
    return found


def test_who_buys_gets_a_mail(pyqs_eager: Eager, mails: list[tuple[str, str]]) -> None:
    message_id = shop.buy(7, "ada@example.org")

    assert mails == [("ada@example.org", "Order 7 is paid")]
    pyqs_eager.assert_sent(shop.send_mail, "ada@example.org", "Order 7 is paid")
    assert pyqs_eager.run_of(message_id).result == message_id


def test_a_mail_server_that_is_down_is_tried_again(pyqs_eager: Eager, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([OSError("down"), OSError("down"), None])

    def deliver(_to: str, _text: str) -> None:
        answer = next(answers)
        if answer:
            raise answer

    monkeypatch.setattr(shop, "deliver", deliver)
    shop.send_mail.delay("ada@example.org", "Hello")

    assert [run.outcome for run in pyqs_eager.runs] == ["retry", "retry", "succeeded"]
    assert [run.retry_seconds for run in pyqs_eager.runs] == [1, 60, 0]


def test_what_a_task_raises_is_raised(pyqs_eager: Eager) -> None:
    with pytest.raises(shop.Refused):
        shop.buy(8, "nobody")


def test_or_is_looked_at_afterwards() -> None:
    with eager(propagate=False) as tasks:
        run = tasks.run_of(shop.buy(8, "nobody"))
    assert (run.outcome, run.dead_letter) == ("dead_letter", "orders-refused")


def test_arguments_are_those_that_a_message_carries(pyqs_eager: Eager) -> None:
    with pytest.raises(TypeError, match="that JSON can't carry"):
        shop.send_mail.delay("ada@example.org", object())  # type: ignore[arg-type]
