"""What tasks need of the threads that they run on, in a test's process."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Optional

from .._limits import Clock, Limits
from .._soft_limits import AlarmLimit, Alarms

if TYPE_CHECKING:
    from .._event_loop import EventLoop

# Its thread, which starts with the first soft time limit, lasts as long as the process.
_alarms = Alarms()


class TestHost:
    """Runs coroutines on an event loop of its own, which has a thread: the test's own loop, where there is one, is
    left alone, and so is what the test has set as the thread's."""

    __test__ = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event_loop: Optional[EventLoop] = None

    def wait_for(self, coroutine: Coroutine[Any, Any, Any], limits: Limits, clock: Clock) -> Any:
        """Run a coroutine to its end; gives what it returns."""
        with self._lock:
            if self._event_loop is None:
                from .._event_loop import EventLoop

                self._event_loop = EventLoop()
                self._event_loop.start()
        return self._event_loop.run(coroutine, limits, clock)

    def soft_limit(self, lane: Any, seconds: float, error: type[BaseException]) -> AlarmLimit:
        """Raise in the calling thread when the seconds are over."""
        return _alarms.limit(lane, seconds, error)

    def close(self) -> None:
        """End the event loop."""
        if self._event_loop is not None:
            self._event_loop.close()
