"""``@task(bind=True)``: ``self`` of a task, without a worker."""

from __future__ import annotations

import asyncio
import inspect
import math
import pickle
import time
from typing import Any, Callable

import pytest
from pyqs import BoundTask, Request, Retry, _bound, task
from pyqs._limits import Clock, Limits
from pyqs._soft_limits import Alarms, SignalLimit
from pyqs.errors import SettingsInvalid, SoftTimeLimitExceeded

LONG = 20.0


@task(bind=True)
def add(self: BoundTask, a: int, b: int = 2) -> tuple[str, int]:
    """Add."""
    return self.request.id, a + b


@task(bind=True)
async def add_soon(self: BoundTask, a: int) -> tuple[str, int]:
    await asyncio.sleep(0)
    return self.request.id, a


@task(bind=True)
def factorial(self: BoundTask, number: int) -> list[str]:
    return [self.request.id, *(factorial(number - 1) if number > 1 else [])]


def with_id(function: Any, id: str) -> None:
    bound = _bound.declared(function)
    assert bound
    _bound.hand_over(bound, BoundTask("a.b", Request([], {}, id=id)))


def test_a_direct_call_has_a_request_of_its_own() -> None:
    seen: list[BoundTask] = []

    @task(custom_function_path="shop.see", bind=True)
    def see(self: BoundTask, *args: Any, **kwargs: Any) -> None:
        seen.append(self)

    see(1, b=2)
    (found,) = seen
    assert found.name == "shop.see"
    assert (found.request.args, found.request.kwargs) == ([1], {"b": 2})
    assert (found.request.id, found.request.retries, found.request.receive_count) == ("", 0, 0)
    assert found.request.attributes == {}
    assert found.request.deadline == math.inf
    assert found.extend(5) == math.inf
    with pytest.raises(Retry) as caught:
        found.retry("later", after=3)
    assert (str(caught.value), caught.value.after) == ("later", 3)


def test_what_is_handed_over_is_for_one_call() -> None:
    with_id(add, "m-1")
    assert add(1) == ("m-1", 3)
    assert add(1) == ("", 3)
    with_id(factorial, "m-2")
    assert factorial(3) == ["m-2", "", ""], "a task that calls itself runs for no message there"
    with_id(add, "m-3")
    assert factorial(1) == [""], "it was for another task"
    _bound.take_back()
    assert add(1) == ("", 3)


def test_a_coroutine_gets_it_too() -> None:
    async def call() -> list[tuple[str, int]]:
        with_id(add_soon, "m-1")
        return [await add_soon(1), await add_soon(2)]

    assert inspect.iscoroutinefunction(add_soon)
    assert asyncio.run(call()) == [("m-1", 1), ("", 2)]


def test_a_decorator_above_takes_it_along() -> None:
    import functools

    def twice(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any) -> Any:
            return function(*args), function(*args)

        return called

    above = twice(add)
    with_id(above, "m-1")
    assert above(1) == (("m-1", 3), ("", 3))


def test_the_function_looks_like_the_one_that_was_written() -> None:
    function: Any = add
    assert list(inspect.signature(function).parameters) == ["a", "b"]
    assert (function.__name__, function.__doc__) == ("add", "Add.")
    assert pickle.loads(pickle.dumps(function)) is function


def test_a_function_without_room_for_self_is_refused() -> None:
    decorator: Any = task(bind=True)
    for function in (lambda: None, lambda **kwargs: None, lambda *, a: None):
        with pytest.raises(SettingsInvalid, match="needs a first parameter"):
            decorator(function)
    assert decorator(lambda *args: args)(1)[1:] == (1,)


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan, "1", None, True])
def test_what_is_no_time_is_refused(seconds: Any) -> None:
    with pytest.raises(SettingsInvalid, match="give seconds"):
        BoundTask("a.b", Request([], {})).extend(seconds)


class Lane:
    is_running = True

    def interrupt(self, thread: int, exception: type[BaseException]) -> bool:
        import ctypes

        return ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception)) == 1


@pytest.mark.parametrize("limit", [lambda lane: SignalLimit(lane, 1), lambda lane: Alarms().limit(lane, 1)])
def test_a_soft_limit_can_be_moved(limit: Callable[[Any], Any]) -> None:
    def spin() -> None:
        with limit(Lane()) as moved:
            moved.extend(0.3)
            while time.monotonic() < start + LONG:
                pass

    start = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded):
        spin()
    assert time.monotonic() - start >= 1.3


def test_the_limits_of_a_coroutine_can_be_moved() -> None:
    from pyqs._event_loop import EventLoop

    async def extend_and_wait() -> None:
        clock.extend(0.3)
        await asyncio.sleep(LONG)

    clock = Clock()
    loop = EventLoop()
    start = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded):
        loop.run(extend_and_wait(), Limits(hard=LONG, soft=0.2), clock)
    loop.close()
    assert time.monotonic() - start >= 0.5
