"""``--threads N``: several tasks at once in one process, each in a lane.

The main thread only waits for tasks. A lane's tasks are run, one after the other, by a thread that is started at its
first plain function; ``async def`` tasks of all lanes run on one event loop, which has a thread too. Whoever has run a
lane's task begins its next, so that a lane which is kept busy changes threads only between plain and ``async def``.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable, Optional

from ._execution import Run
from ._limits import Clock, Limits
from ._pyqs import Job, Lane, TaskChannel
from ._soft_limits import AlarmLimit, Alarms

if TYPE_CHECKING:
    import asyncio

    from ._event_loop import EventLoop

logger = logging.getLogger("pyqs")

Prepare = Callable[[Job, Lane], Optional[Run]]


class Lanes:
    """Runs what comes over a channel in all of its lanes."""

    def __init__(self, channel: TaskChannel, prepare: Prepare) -> None:
        self._channel = channel
        self._prepare = prepare
        self._lanes = channel.lanes
        self._threads: dict[int, queue.SimpleQueue[Optional[Run]]] = {}
        self._alarms = Alarms()
        self._lock = threading.Lock()
        self._event_loop: Optional[EventLoop] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    def run(self) -> None:
        """Run tasks until no more come, and all have ended."""
        try:
            while True:
                lanes = self._channel.wait()
                if lanes is None:
                    break
                for number in lanes:
                    self._start(number, self._next(number))
        finally:
            self._channel.wait_until_idle()
            for inbox in self._threads.values():
                inbox.put(None)

    def close(self) -> None:
        """End what is left, after ``run``."""
        if self._event_loop:
            self._event_loop.close()

    def wait_for(self, coroutine: Coroutine[Any, Any, Any], limits: Limits, clock: Clock) -> Any:
        """Run a coroutine that a plain function has returned."""
        self._started_loop()
        assert self._event_loop, "just started"
        return self._event_loop.run(coroutine, limits, clock)

    def soft_limit(self, lane: Lane, seconds: float, error: type[BaseException]) -> AlarmLimit:
        """Raise in the calling thread when the seconds are over."""
        return self._alarms.limit(lane, seconds, error)

    def _next(self, number: int) -> Optional[Run]:
        """Begin the lane's next task that can be run."""
        lane = self._lanes[number]
        try:
            while True:
                job = lane.begin()
                if job is None:
                    return None
                try:
                    execution = self._prepare(job, lane)
                except BaseException:  # a logging handler that raises, say
                    traceback.print_exc()
                    continue
                if execution:
                    return execution
        except OSError as error:
            logger.error("This task process has lost its socket, which a task may have closed: %s", error)
            return None

    def _start(self, number: int, execution: Optional[Run]) -> None:
        """Have a task run where it belongs."""
        if execution is None:
            return
        if execution.is_async:
            self._started_loop().call_soon_threadsafe(self._run_async, number, execution)
            return
        inbox = self._threads.get(number)
        if inbox is None:
            inbox = self._threads[number] = queue.SimpleQueue()
            name = f"pyqs-lane-{number + 1}"
            threading.Thread(target=self._run_thread, args=(number, inbox), name=name, daemon=True).start()
        inbox.put(execution)

    def _run_thread(self, number: int, inbox: queue.SimpleQueue[Optional[Run]]) -> None:
        while True:
            execution = inbox.get()
            if execution is None:
                return
            while execution and not execution.is_async:
                try:
                    execution.run(self)
                except BaseException:  # as above: the outcome was recorded before
                    traceback.print_exc()
                execution = self._next(number)
            self._start(number, execution)

    def _run_async(self, number: int, execution: Run) -> None:
        """On the event loop: run a task, and then the lane's next."""
        assert self._loop, "this is called on it"

        async def run() -> None:
            try:
                await execution.run_async()
            except BaseException:  # as above
                traceback.print_exc()

        def go_on(_task: object) -> None:
            following = self._next(number)
            if following and following.is_async:
                self._run_async(number, following)
            else:
                self._start(number, following)

        execution.within(self._loop.create_task, run()).add_done_callback(go_on)

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                from ._event_loop import EventLoop

                self._event_loop = EventLoop()
                self._loop = self._event_loop.start()
            return self._loop
