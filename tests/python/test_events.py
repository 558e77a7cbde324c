"""``pyqs.events``."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from pyqs import events, task
from pyqs.errors import SettingsInvalid
from pyqs.events import (
    Event,
    NoEventException,
    ProcessEvent,
    ProcessStarted,
    TaskEvent,
    TaskFailed,
    TaskReceived,
    TaskSucceeded,
    clear_events,
    get_events,
    on,
    register_event,
)


@pytest.fixture(autouse=True)
def _no_hooks() -> Iterator[None]:
    clear_events()
    yield
    clear_events()


def test_hooks_are_kept_in_order() -> None:
    register_event("pre_process", print)
    register_event("pre_process", repr)
    register_event("post_process", str)
    assert get_events().pre_process == [print, repr]
    assert get_events().post_process == [str]
    clear_events()
    assert get_events().pre_process == []
    assert get_events().post_process == []


@pytest.mark.parametrize("name", ["before", "clear", "__class__"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(NoEventException, match=f"^{name} is not a valid pyqs event.$"):
        register_event(name, print)


RECEIVED = TaskReceived("m-1", "tasks.work", "email", 2)


def told(event: Event) -> None:
    events.tell(event, get_events().listeners(type(event)))


def test_a_listener_hears_its_class_and_those_below_in_order() -> None:
    heard: list[tuple[str, Event]] = []

    @on(TaskReceived)
    def first(event: TaskReceived) -> None:
        heard.append(("first", event))

    on(ProcessEvent)(lambda event: heard.append(("process", event)))
    on(TaskEvent)(lambda event: heard.append(("task", event)))
    on(Event)(lambda event: heard.append(("all", event)))

    told(RECEIVED)
    assert heard == [("first", RECEIVED), ("task", RECEIVED), ("all", RECEIVED)]
    heard.clear()
    first(RECEIVED)
    assert heard == [("first", RECEIVED)], "it is still the function"
    heard.clear()
    told(ProcessStarted(7))
    assert [name for name, _ in heard] == ["process", "all"]
    heard.clear()
    events.off(first)
    told(RECEIVED)
    assert [name for name, _ in heard] == ["task", "all"]
    clear_events()
    assert get_events().listeners(TaskReceived) == ()


def test_a_listener_that_is_declared_later_is_told_too() -> None:
    heard: list[str] = []
    on(TaskReceived)(lambda _: heard.append("one"))
    told(RECEIVED)
    on(TaskReceived)(lambda _: heard.append("two"))
    told(RECEIVED)
    assert heard == ["one", "one", "two"]


def test_a_listener_that_raises_keeps_none_of_the_others_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []

    @on(TaskReceived)
    def fail(event: TaskReceived) -> None:
        raise SystemExit(3)

    on(TaskReceived)(heard.append)
    told(RECEIVED)
    assert heard == [RECEIVED]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "fail raised when it was told of TaskReceived" in record.getMessage()
    assert record.exc_info


def test_events_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECEIVED.task = "other"  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["TaskFailed", "pre_process", None, RECEIVED, ValueError])
def test_one_listens_to_classes_of_events(kind: Any) -> None:
    with pytest.raises(TypeError, match="give a class of events"):
        on(kind)


async def coroutine(event: Event) -> None: ...


def generator(event: Event) -> Iterator[int]:
    yield 1


def nothing() -> None: ...


def two(event: Event, other: int) -> None: ...


@pytest.mark.parametrize("listener", [None, 7, coroutine, generator, nothing, two, functools.partial(two, 1, 2)])
def test_what_cannot_hear_is_refused_at_once(listener: Any) -> None:
    with pytest.raises(SettingsInvalid, match=r"^the listener to TaskFailed is "):
        on(TaskFailed)(listener)
    for name in ("on_success", "on_failure"):
        if listener is not None:
            with pytest.raises(SettingsInvalid, match=rf"^{name}= is "):
                task(**{name: listener})
    assert get_events().listeners(TaskFailed) == ()


@pytest.mark.parametrize("listener", [print, functools.partial(two, other=1), lambda *events: None, [].append])
def test_whatever_takes_one_argument_may_hear(listener: Callable[..., Any]) -> None:
    on(TaskSucceeded)(listener)
    task(on_success=listener, on_failure=listener)(nothing)
    assert get_events().listeners(TaskSucceeded) == (listener,)
