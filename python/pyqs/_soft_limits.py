"""How a task is told that it has run for too long: in the main thread by SIGALRM, in another thread as Python lets one
thread raise in another, on an event loop by a cancellation (``_event_loop.py``).
"""

from __future__ import annotations

import heapq
import itertools
import signal
import threading
import time
from types import FrameType
from typing import Any, Callable, Optional

from ._pyqs import Lane
from .errors import SoftTimeLimitExceeded


class SignalLimit:
    """Raises in the main thread when the seconds are over, while within and while the lane's task is not recorded."""

    def __init__(self, lane: Lane, seconds: float, error: type[BaseException] = SoftTimeLimitExceeded) -> None:
        self._lane = lane
        self._seconds = seconds
        self._error = error
        self._handler: Any = None

    def __enter__(self) -> SignalLimit:
        self._handler = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.signal(signal.SIGALRM, self._handler or signal.SIG_DFL)

    def extend(self, seconds: float) -> None:
        """Raise so much later, if it has not been done yet."""
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, left + seconds)

    def _ring(self, _signum: int, _frame: Optional[FrameType]) -> None:
        if self._lane.is_running:
            raise self._error


class Alarms:
    """Raises in threads when their seconds are over. Starts its own thread at the first call."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Callable[[], object]]] = []
        self._cancelled: set[int] = set()
        self._thread: Optional[threading.Thread] = None

    def limit(self, lane: Lane, seconds: float, error: type[BaseException] = SoftTimeLimitExceeded) -> AlarmLimit:
        """Raise in the thread that enters it when the seconds are over, while within and while the lane's task is not
        recorded."""
        return AlarmLimit(self, lane, seconds, error)

    def set(self, at: float, ring: Callable[[], object]) -> int:
        """Call this at that moment of ``time.monotonic()``, unless it is cancelled by the number that comes back."""
        number = next(self._numbers)
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyqs-alarms", daemon=True)
                self._thread.start()
            heapq.heappush(self._waiting, (at, number, ring))
            self._condition.notify()
        return number

    def cancel(self, number: int) -> None:
        """Don't call it, if that has not been done yet."""
        with self._condition:
            self._cancelled.add(number)
            while self._waiting and self._waiting[0][1] in self._cancelled:
                self._cancelled.discard(heapq.heappop(self._waiting)[1])
            if not self._waiting:
                self._cancelled.clear()

    def _run(self) -> None:
        with self._condition:
            while True:
                if not self._waiting:
                    self._condition.wait()
                    continue
                at, number, ring = self._waiting[0]
                left = at - time.monotonic()
                if left > 0:
                    self._condition.wait(left)
                    continue
                heapq.heappop(self._waiting)
                if number not in self._cancelled:
                    ring()
                self._cancelled.discard(number)


class AlarmLimit:
    """Raises in the thread that has entered it, by an alarm."""

    def __init__(self, alarms: Alarms, lane: Lane, seconds: float, error: type[BaseException]) -> None:
        self._alarms = alarms
        self._lane = lane
        self._error = error
        self._at = time.monotonic() + seconds
        self._thread = 0
        self._number: Optional[int] = None

    def __enter__(self) -> AlarmLimit:
        self._thread = threading.get_ident()
        self._number = self._alarms.set(self._at, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        if self._number is not None:
            self._alarms.cancel(self._number)

    def extend(self, seconds: float) -> None:
        """Raise so much later, if it has not been done yet."""
        if self._number is None or time.monotonic() >= self._at:
            return
        self._alarms.cancel(self._number)
        self._at += seconds
        self._number = self._alarms.set(self._at, self._ring)

    def _ring(self) -> None:
        self._lane.interrupt(self._thread, self._error)
