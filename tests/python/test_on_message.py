"""``@on_message`` as it is declared, and handlers as functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest
from pyqs import Message, _declarations, _on_message, on_message, task
from pyqs.errors import SettingsInvalid


@pytest.fixture(autouse=True)
def _no_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_on_message, "_handlers", {})
    monkeypatch.setattr(_declarations, "known", [])
    yield
    _declarations.take()


def test_the_function_stays_itself() -> None:
    def handle(message: Message) -> str:
        return message.body

    marked = on_message(queue="orders")(handle)
    assert marked is handle
    assert marked(Message("now, here")) == "now, here"


def test_a_message_that_the_user_makes() -> None:
    message = Message("text", id="m-1", queue="orders", attributes={"a": "1"}, receive_count=3, group="eu")
    assert (message.id, message.queue, message.attributes, message.receive_count) == ("m-1", "orders", {"a": "1"}, 3)
    assert (message.retries, message.sent_at, message.group) == (0, None, "eu")
    assert repr(message) == "Message(id='m-1', queue='orders', 4 characters)"
    assert message.extend(5) == message.deadline == float("inf")
    with pytest.raises(SettingsInvalid, match="0 or more"):
        message.extend(-1)


def test_the_manager_is_told() -> None:
    @on_message(queue="orders.paid")
    def handle(message: Message) -> None: ...

    path = f"{__name__}.handle"
    assert _declarations.take() == [_declarations.Declaration(path, "orders.paid", None)]
    for url in ("http://h/0/orders.paid", "http://h/0/orders-paid"):
        handler = _on_message.find(url)
        assert handler
        assert handler.path == path
    assert _on_message.find("http://h/0/orders") is None


def test_one_function_for_several_queues_and_a_task_too() -> None:
    @task(queue="other")
    @on_message(queue="a")
    @on_message(queue="b")
    def handle(message: Message) -> None: ...

    for url in ("http://h/0/a", "http://h/0/b"):
        assert _on_message.find(url)
    assert callable(handle.delay)


def test_a_queue_has_one_handler() -> None:
    def declare(queue: str) -> None:
        @on_message(queue=queue)
        def handle(message: Message) -> None: ...

    declare("a")
    declare("a")  # its module was loaded again
    with pytest.raises(SettingsInvalid, match=r"queue a has a handler, .*\.handle; .*\.other can't be another"):

        @on_message(queue="a")
        def other(message: Message) -> None: ...


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: on_message(print), r'on_message\(queue="orders"\)'),  # type: ignore[arg-type]
        (lambda: on_message(queue=""), "SQS allows"),
        (lambda: on_message(queue="a/b"), "SQS allows"),
        (lambda: on_message(queue="a" * 81), "SQS allows"),
        (lambda: on_message(queue="a", retries=-1), "retries=-1"),
        (lambda: on_message(queue="a", backoff=1), "need retries="),
        (lambda: on_message(queue="a", dead_letter="dead"), "needs retries="),
        (lambda: on_message(queue="a", time_limit=0), "time_limit is 0"),
        (lambda: on_message(queue="a")(lambda: None), "a handler gets one message"),
        (lambda: on_message(queue="a")(lambda one, two: None), "a handler gets one message"),
    ],
)
def test_what_is_refused(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        declare()
