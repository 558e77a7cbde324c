"""What a function can never take is refused where a call of it is sent."""

from __future__ import annotations

import functools
import json
import logging
import sys
from typing import Any, Callable

import pytest
from pyqs import BoundTask, _idempotency, _lifespan, _on_message, _producer, lifespan, on_message, task
from pyqs._producer import Outgoing
from pyqs.decorator import task_delayer

NAME = f"{__name__}."


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was sent."""
    bodies: list[dict[str, Any]] = []

    class Producer:
        def send(self, queue: str, message: Outgoing) -> str:
            bodies.append(json.loads(message.body))
            return "id"

        def send_many(self, queue: str, messages: list[Outgoing]) -> list[str]:
            return [self.send(queue, message) for message in messages]

    monkeypatch.setattr(_producer, "_producer", Producer())
    return bodies


@task
def plain(subject: str, to: str = "everyone") -> None: ...


@task
def positions(a: int, /, b: int, *rest: int, c: int, d: int = 0) -> None: ...


@task
def names(a: int, /, **options: int) -> None: ...


@task
def nothing() -> None: ...


@task(bind=True)
def bound(self: BoundTask, to: str) -> None: ...


@task(custom_function_path="elsewhere.send")
def elsewhere(to: str) -> None: ...


def call(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (plain, call("a")),
        (plain, call("a", "b")),
        (plain, call("a", to="b")),
        (plain, call(subject="a", to="b")),
        (positions, call(1, 2, c=3)),
        (positions, call(1, 2, 3, 4, 5, c=3, d=4)),
        (positions, call(1, b=2, c=3)),
        (names, call(1, a=2, anything=3)),
        (nothing, call()),
        (bound, call("ada")),
        (bound, call(to="ada")),
        (elsewhere, call(1, 2, 3, x=4)),
    ],
)
def test_what_fits_is_sent_without_a_word(
    bodies: list[dict[str, Any]], caplog: pytest.LogCaptureFixture, function: Any, arguments: Any
) -> None:
    args, kwargs = arguments
    function.delay(*args, **kwargs)
    assert [(body["args"], body["kwargs"]) for body in bodies] == [(list(args), kwargs)]
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        (plain, call(1, 2, 3), "argument 3 of {}plain is one too many; by position it takes subject, to"),
        (plain, call(1, subject=2), "argument subject of {}plain is given twice, by position and by name"),
        (plain, call(1, too=2), "argument too of {}plain is unknown; by name it takes subject, to"),
        (positions, call(a=1, b=2, c=3), "argument a of {}positions is given by name; it takes it by position only"),
        (positions, call(1, 2, b=3, c=3), "argument b of {}positions is given twice, by position and by name"),
        (positions, call(1, 2, e=3), "argument e of {}positions is unknown; by name it takes b, c, d"),
        (names, call(1, 2), "argument 2 of {}names is one too many; by position it takes a"),
        (nothing, call(1), "argument 1 of {}nothing is one too many; by position it takes none"),
        (nothing, call(a=1), "argument a of {}nothing is unknown; by name it takes none"),
        (bound, call("ada", "bob"), "argument 2 of {}bound is one too many; by position it takes to"),
        (bound, call(self=1, to=2), "argument self of {}bound is unknown; by name it takes to"),
    ],
)
def test_what_can_never_be_taken_is_refused(
    bodies: list[dict[str, Any]], function: Any, arguments: Any, words: str
) -> None:
    args, kwargs = arguments
    for send in (function.delay, lambda *args, **kwargs: function.apply_async(args, kwargs)):
        with pytest.raises(TypeError) as caught:
            send(*args, **kwargs)
        assert str(caught.value) == words.format(NAME)
    assert bodies == []


def test_of_many_the_others_are_sent(bodies: list[dict[str, Any]]) -> None:
    results = plain.delay_many([("a",), ("a", "b", "c"), {"too": 1}, {"subject": "d"}])
    assert [type(result).__name__ for result in results] == ["MessageId", "TypeError", "TypeError", "MessageId"]
    assert [body["args"] for body in bodies] == [["a"], []]


def test_a_missing_one_is_sent_and_said_once(bodies: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    @task
    def lacking(a: int, b: int, *, c: int) -> None: ...

    send: Any = lacking.delay
    for _ in range(3):
        send(b=1)
    assert [body["kwargs"] for body in bodies] == [{"b": 1}] * 3
    ((_, level, text),) = caplog.record_tuples
    assert level == logging.WARNING
    assert f"{NAME}lacking is sent without a, c, which it needs" in text


def doubling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Takes one argument more than what it decorates."""

    @functools.wraps(function)
    def wrapper(times: int, *args: Any, **kwargs: Any) -> None:
        for _ in range(times):
            function(*args, **kwargs)

    return wrapper


@doubling
@task
def decorated_above(value: int) -> None: ...


@task
@doubling
def decorated_below(value: int) -> None: ...


def test_decorators_may_take_other_arguments(bodies: list[dict[str, Any]], caplog: pytest.LogCaptureFixture) -> None:
    sends: list[Any] = [decorated_above, decorated_below]
    for decorated in sends:
        decorated.delay(2, 1, more=3)
        with pytest.raises(TypeError, match=r"argument times of .* is given twice"):
            decorated.delay(2, times=1)
    assert len(bodies) == 2
    assert caplog.messages == []


class Callable_:
    __name__ = "callable_"

    def __call__(self, value: int) -> None: ...


def test_callable_objects_and_old_delayers_are_checked_too(bodies: list[dict[str, Any]]) -> None:
    decorated: Any = task(queue="q")(Callable_())
    decorated.delay(1)
    old = task_delayer(plain, "q")
    old("a")
    for send in (decorated.delay, old):
        with pytest.raises(TypeError, match="one too many"):
            send(1, 2, 3)
    task_delayer("any.path", "q", override=True)(1, 2, 3)
    assert len(bodies) == 3


def test_what_does_not_tell_is_not_checked(bodies: list[dict[str, Any]]) -> None:
    silent: Any = lambda value: value  # noqa: E731
    silent.__signature__ = "none of these"
    delay: Any = task(queue="q")(silent).delay
    delay(1, 2, 3)
    assert len(bodies) == 1


FOR_TYPE_CHECKERS_ALONE = """
def order(number: Missing) -> Missing: ...

def order_bound(self: Missing, number: Missing) -> Missing: ...

def pool() -> Missing:
    yield
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated when they are asked for since 3.14")
def test_annotations_may_be_for_type_checkers_alone(
    bodies: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_on_message, "_handlers", {})
    monkeypatch.setattr(_lifespan, "_declared", [])
    made: dict[str, Any] = {"__name__": __name__}
    exec(FOR_TYPE_CHECKERS_ALONE, made)

    on_message(queue="q")(made["order"])
    lifespan(made["pool"])
    sent = task(queue="q", idempotency_key="number", on_success=made["order"])(made["order"])
    _, own = sent.delay.idempotency
    assert _idempotency.Idempotency("number").of("order", own, [7], {}) == "order:7"
    task(queue="q", bind=True)(made["order_bound"]).delay(8)
    assert [body["args"] for body in bodies] == [[8]]
