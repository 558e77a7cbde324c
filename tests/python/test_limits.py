"""Time limits as they are declared, and as a task process applies them."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import threading
import time
from typing import Any, Callable, Optional

import pytest
from pyqs import _limits, task
from pyqs._event_loop import EventLoop
from pyqs._limits import Clock, Limits
from pyqs._soft_limits import Alarms, SignalLimit
from pyqs.errors import SettingsInvalid, SoftTimeLimitExceeded, TimeLimitExceeded

LONG = 500.0


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_limit_that_is_none_is_refused_where_it_is_declared(limit: Any) -> None:
    for name in ("time_limit", "soft_time_limit"):
        with pytest.raises(SettingsInvalid, match=f"{name} is .*; give seconds above 0, or None for no limit"):
            task(**{name: limit})


def test_a_soft_limit_that_leaves_no_time_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="lower the soft one or raise the other"):
        task(time_limit=5, soft_time_limit=5)


def test_limits_go_with_the_function() -> None:
    @task(queue="q", time_limit=5, soft_time_limit=2.5)
    def limited() -> None: ...

    @functools.wraps(limited)
    def wrapper() -> None: ...

    @task
    def free() -> None: ...

    assert _limits.declared(limited) == Limits(5, 2.5)
    assert _limits.declared(wrapper) == Limits(5, 2.5)
    assert _limits.declared(free) == Limits()
    assert _limits.declared(print) == Limits()


def test_the_smaller_of_each_holds() -> None:
    assert Limits(5, 3).within(Limits(None, 4)) == Limits(5, 3)
    assert Limits(5, None).within(Limits(2, 1)) == Limits(2, 1)
    assert Limits().within(Limits()) == Limits()


class Lane:
    """A lane whose task runs until it is recorded."""

    def __init__(self) -> None:
        self.is_running = True

    def interrupt(self, thread: int, exception: type[BaseException]) -> bool:
        if not self.is_running:
            return False
        call = ctypes.pythonapi.PyThreadState_SetAsyncExc
        return call(ctypes.c_ulong(thread), ctypes.py_object(exception)) == 1


def spin(until: Optional[Callable[[], bool]] = None, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (until and until()):
        pass


def test_a_signal_ends_what_runs_on_the_main_thread() -> None:
    lane: Any = Lane()
    with pytest.raises(SoftTimeLimitExceeded), SignalLimit(lane, 0.05):
        spin()


def test_a_signal_after_the_end_does_nothing() -> None:
    lane: Any = Lane()
    with SignalLimit(lane, 0.05):
        lane.is_running = False
        spin(seconds=0.2)


def test_alarms_ring_in_their_threads_and_only_there() -> None:
    alarms = Alarms()
    told: list[str] = []

    def run(name: str, seconds: float) -> None:
        lane: Any = Lane()
        try:
            with alarms.limit(lane, seconds):
                spin(lambda: "early" in told, 20)
        except SoftTimeLimitExceeded:
            told.append(name)

    threads = [threading.Thread(target=run, args=arguments) for arguments in (("late", LONG), ("early", 0.05))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert told == ["early"]
    assert alarms._waiting == [], "nothing is left of those that ended in time"
    assert alarms._cancelled == set()


def test_a_coroutine_may_take_the_soft_limit_and_go_on() -> None:
    async def go_on() -> None:
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.01)
            seen.append("went on")

    seen: list[str] = []
    loop = EventLoop()
    loop.run(go_on(), Limits(soft=0.05), Clock())
    loop.close()
    assert seen == ["went on"]


def test_what_a_coroutine_waits_for_is_cleaned_up_at_the_soft_limit() -> None:
    async def part() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            seen.append("part ended")

    async def whole() -> None:
        await asyncio.gather(part(), asyncio.wait_for(part(), LONG))

    seen: list[str] = []
    loop = EventLoop()
    with pytest.raises(SoftTimeLimitExceeded):
        loop.run(whole(), Limits(soft=0.05), Clock())
    assert seen == ["part ended"] * 2
    loop.close()


def test_a_coroutine_is_cancelled_at_its_limit_also_after_the_soft_one() -> None:
    async def stay() -> None:
        try:
            await asyncio.sleep(LONG)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(LONG)

    loop = EventLoop()
    with pytest.raises(TimeLimitExceeded):
        loop.run(stay(), Limits(hard=0.1, soft=0.05), Clock())
    loop.close()


def test_a_cancellation_of_its_own_is_none_of_ours() -> None:
    async def cancel_itself() -> None:
        current = asyncio.current_task()
        assert current
        current.cancel()
        await asyncio.sleep(0)

    loop = EventLoop()
    with pytest.raises(asyncio.CancelledError):
        loop.run(cancel_itself(), Limits(hard=LONG, soft=LONG), Clock())
    loop.close()


def test_a_loop_that_a_task_closed_is_replaced() -> None:
    async def nothing() -> None: ...

    loop = EventLoop()
    loop.run(nothing(), Limits(), Clock())
    asyncio.get_event_loop_policy().get_event_loop().close()
    loop.run(nothing(), Limits(), Clock())
    loop.close()
