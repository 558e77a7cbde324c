"""The one event loop of a task process, on which all its ``async def`` tasks run. It lasts as long as the process, so
that connections which a task leaves open are there for the next.

Imported only where there is such a task: asyncio costs more than the rest of a task process's start.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Coroutine, Generator
from typing import Any, Callable, Optional, TypeVar

from ._limits import Clock, Limits
from .errors import SoftTimeLimitExceeded, TimeLimitExceeded

T = TypeVar("T")


class EventLoop:
    """The loop, either on the thread that calls ``run``, or on one of its own after ``start``."""

    def __init__(self) -> None:
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._thread: Optional[threading.Thread] = None

    def start(self) -> asyncio.AbstractEventLoop:
        """Run it on a thread of its own from now on."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(self._loop,), name="pyqs-event-loop", daemon=True)
        self._thread.start()
        return self._loop

    def run(self, coroutine: Coroutine[Any, Any, Any], limits: Limits, clock: Clock) -> Any:
        """Run a coroutine to its end, on the calling thread unless the loop has another; gives what it returns."""
        if self._thread:
            assert self._loop, "made with the thread"
            return asyncio.run_coroutine_threadsafe(limited(coroutine, limits, clock), self._loop).result()
        if self._loop is None or self._loop.is_closed():  # a task may have closed it
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop.run_until_complete(limited(coroutine, limits, clock))

    def close(self) -> None:
        """End what is left on it, at the process's end."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        if self._thread:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
        _wind_up(loop)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()


def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    """As ``asyncio.run`` does at its end."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    with contextlib.suppress(Exception):
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


async def aside(call: Callable[[], T]) -> T:
    """Call what waits on a thread, while others run; in the same context."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(call))


async def limited(coroutine: Coroutine[Any, Any, Any], limits: Limits, clock: Clock) -> Any:
    """Await a coroutine, and tell it when it has run for too long: first by ``SoftTimeLimitExceeded`` raised where it
    waits, then by a cancellation, which ends in ``TimeLimitExceeded``. The clock may move both."""
    guarded = _Guarded(coroutine)
    timers = []
    if limits.soft is not None:
        timers.append(_Timer(limits.soft, guarded.interrupt))
    if limits.hard is not None:
        timers.append(_Timer(limits.hard, guarded.cancel))
    for timer in timers:
        clock.add(timer.extend)
    try:
        return await guarded
    except _SoftTimeLimitExceeded as error:
        # Out of the task it is no cancellation any more: of one, asyncio before Python 3.11 forgets which it was.
        raise SoftTimeLimitExceeded(*error.args).with_traceback(error.__traceback__) from None
    except asyncio.CancelledError:
        if guarded.is_cancelled:
            raise TimeLimitExceeded from None
        raise
    finally:
        for timer in timers:
            timer.cancel()


class _Timer:
    """Calls something on the running loop after so many seconds, which may become more."""

    def __init__(self, seconds: float, ring: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._at = self._loop.time() + seconds
        self._handle = self._loop.call_at(self._at, ring)

    def extend(self, seconds: float) -> None:
        """Call it so much later, if that has not been done yet. From any thread."""
        self._loop.call_soon_threadsafe(self._extend, seconds)

    def cancel(self) -> None:
        """Don't call it."""
        self._handle.cancel()

    def _extend(self, seconds: float) -> None:
        if self._handle.cancelled() or self._loop.time() >= self._at:
            return
        self._handle.cancel()
        self._at += seconds
        self._handle = self._loop.call_at(self._at, self._ring)


class _SoftTimeLimitExceeded(SoftTimeLimitExceeded, asyncio.CancelledError):
    """What is raised in a coroutine. It is a cancellation too, so that what waits for other tasks (a ``TaskGroup``,
    ``wait_for``) cleans them up."""


class _Guarded:
    """A coroutine in which a cancellation of ours becomes another exception."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._task = asyncio.current_task()
        self._is_interrupted = False
        self.is_cancelled = False

    def interrupt(self) -> None:
        """Raise ``SoftTimeLimitExceeded`` in it."""
        assert self._task, "coroutines run in tasks"
        self._is_interrupted = self._task.cancel()

    def cancel(self) -> None:
        """Cancel it."""
        assert self._task, "coroutines run in tasks"
        self._is_interrupted = False
        self.is_cancelled = self._task.cancel()

    def __await__(self) -> Generator[Any, None, Any]:
        error: Optional[BaseException] = None
        while True:
            try:
                future = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            error = None
            try:
                yield future
            except GeneratorExit:
                self._coroutine.close()
                raise
            except asyncio.CancelledError as cancelled:
                error = self._translated(cancelled)
            except BaseException as other:
                error = other

    def _translated(self, cancelled: asyncio.CancelledError) -> BaseException:
        if not self._is_interrupted:
            return cancelled
        self._is_interrupted = False
        uncancel = getattr(self._task, "uncancel", None)  # Python 3.11: a task that goes on is not cancelled
        if uncancel:
            uncancel()
        return _SoftTimeLimitExceeded()
