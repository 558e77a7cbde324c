"""``@task`` and ``.delay``, with a producer that only remembers."""

from __future__ import annotations

import inspect
import json
import logging
import pickle
from typing import Any

import pyqs
import pytest
from pyqs import _producer, _registry, task
from pyqs._producer import Outgoing
from pyqs.decorator import Queue, get_or_create_queue, task_delayer
from pyqs.errors import PyqsError, SettingsInvalid


class Sent(list[tuple[str, str, int]]):
    """The queue, the body and the delay of each message; ``messages`` has all that there is of them."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()

    class Producer:
        def send(self, queue: str, message: Outgoing) -> str:
            sent.append((queue, message.body, message.delay_seconds))
            sent.messages.append(message)
            return f"id-{len(sent)}"

        def queue_url(self, queue: str) -> str:
            return f"http://127.0.0.1/000000000000/{queue}"

    monkeypatch.setattr(_producer, "_producer", Producer())
    return sent


@task()
def plain(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


@task(queue="mail", delay_seconds=7, custom_function_path="mail.send")
def custom(*args: Any) -> Any:
    return args


@task
def bare(value: int) -> int:
    return value + 1


def test_the_namespace_is_small() -> None:
    assert {name for name in pyqs.__all__ if not name.startswith("__")} == {
        *("BatchItem", "BoundTask", "Discard", "Message", "Request", "Retry", "Settings"),
        *("configure", "current", "lifespan", "on_message", "task"),
    }
    assert pyqs.__title__ == "pyqs"
    assert pyqs.__version__.count(".") == 2


def test_the_very_same_function_comes_back() -> None:
    def function(value: int) -> int:
        """Doc."""
        return value

    assert task(queue="q")(function) is function
    assert inspect.getdoc(plain) is None
    assert plain(1, b=2) == ((1,), {"b": 2})
    assert pickle.loads(pickle.dumps(plain)) is plain


def test_the_decorator_says_what_it_was_given() -> None:
    decorator = task(queue="q", delay_seconds=3, custom_function_path="a.b")
    assert (decorator.queue_name, decorator.delay_seconds, decorator.function_path) == ("q", 3, "a.b")


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((), {}, {"args": [], "kwargs": {}}),
        ((1, "two", (3, 4)), {"five": None}, {"args": [1, "two", [3, 4]], "kwargs": {"five": None}}),
        (("ä\ud800",), {"x": {1: 2.5}}, {"args": ["ä\ud800"], "kwargs": {"x": {"1": 2.5}}}),
    ],
)
def test_the_body_is_pyqs_own(sent: Sent, args: Any, kwargs: Any, expected: dict[str, Any]) -> None:
    plain.delay(*args, **kwargs)
    ((queue, body, delay),) = sent
    path = f"{__name__}.plain"
    assert (queue, delay) == (path, 0)
    assert body == json.dumps({"task": path, "args": args, "kwargs": kwargs})
    assert json.loads(body) == {"task": path, **expected}
    assert body.isascii()


def test_delay_returns_the_message_id(sent: Sent) -> None:
    message_id = plain.delay()
    assert message_id == "id-1"
    assert message_id.id == "id-1"
    assert isinstance(message_id, str)
    assert pickle.loads(pickle.dumps(message_id)).id == "id-1"


def test_queue_path_and_delay_can_be_chosen(sent: Sent) -> None:
    custom.delay(1)
    custom.delay(1, _delay_seconds=0)
    custom.delay(1, _delay_seconds=900)
    custom.delay(1, _delay_seconds=None)
    assert [(queue, delay) for queue, _, delay in sent] == [("mail", 7), ("mail", 0), ("mail", 900), ("mail", 0)]
    assert json.loads(sent[0][1]) == {"task": "mail.send", "args": [1], "kwargs": {}}


def test_a_custom_path_is_the_default_queue(sent: Sent) -> None:
    @task(custom_function_path="somewhere.else")
    def function() -> None: ...

    function.delay()
    assert sent[0][0] == "somewhere.else"


def test_without_parentheses(sent: Sent) -> None:
    assert bare(1) == 2
    bare.delay(1)
    assert sent[0][0] == f"{__name__}.bare"


@pytest.mark.parametrize("delay", [-1, 366 * 86_400 + 1, 1.5, "3"])
def test_a_delay_that_is_refused(sent: Sent, delay: Any) -> None:
    with pytest.raises(SettingsInvalid, match=r"delay of .*bare.*from 0 to 31622400") as caught:
        bare.delay(1, _delay_seconds=delay)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PyqsError)
    assert not sent


class Unserialisable:
    pass


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1, Unserialisable()), {}, "argument 2 of .*plain is a Unserialisable"),
        ((), {"user": {1, 2}}, "argument user of .*plain is a set"),
        (({(1, 2): 3},), {}, "argument 1 of .*plain is a dict"),
        ((b"bytes",), {}, "argument 1 of .*plain is a bytes"),
    ],
)
def test_what_json_cannot_carry_is_named(sent: Sent, args: Any, kwargs: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        plain.delay(*args, **kwargs)
    assert not sent


def test_a_circle_is_named_too(sent: Sent) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match=r"argument 1 of .*plain is a list"):
        plain.delay(circle)


def test_what_is_nested_too_deep_is_named_and_not_logged(sent: Sent, caplog: pytest.LogCaptureFixture) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with caplog.at_level(logging.INFO, "pyqs"), pytest.raises(RecursionError, match=r"argument 1 of .*plain is a list"):
        plain.delay(deep)
    with caplog.at_level(logging.INFO, "pyqs"), pytest.raises(SettingsInvalid):
        plain.delay(_delay_seconds=-1)
    assert caplog.messages == [], "nothing is delayed"


def test_each_delay_is_logged(sent: Sent, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pyqs"):
        bare.delay(1)
    assert caplog.messages == [f"Delaying task {__name__}.bare: (1,), {{}}"]


def test_the_registry_knows_both_paths() -> None:
    assert _registry.find("mail.send") is custom
    assert _registry.find(f"{__name__}.custom") is custom
    assert _registry.is_task(custom)
    assert not _registry.is_task(test_the_registry_knows_both_paths)


def test_old_helpers(sent: Sent) -> None:
    delay = task_delayer("some.path", None, delay_seconds=4, override=True)
    delay(1)
    assert sent == [("some.path", '{"task": "some.path", "args": [1], "kwargs": {}}', 4)]
    queue = get_or_create_queue("email")
    assert isinstance(queue, Queue)
    assert queue.url.endswith("/email")
    assert queue.send_message(MessageBody="{}", DelaySeconds=1) == {"MessageId": "id-2"}
    assert sent[1] == ("email", "{}", 1)
