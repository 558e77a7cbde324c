"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import threading
import time
from typing import Callable, TypeVar

T = TypeVar("T")

DEADLINE_SECS = 30.0
"""How long a condition may take on a slow machine; what works takes far less."""

LOOK_AGAIN_SECS = 0.02
"""How often a condition is looked at."""


def eventually(condition: Callable[[], T], what: str = "", deadline_secs: float = DEADLINE_SECS) -> T:
    """Wait until a condition holds, and return what it gave."""
    end = time.monotonic() + deadline_secs
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_secs} s: {what or condition}")
        pause.wait(LOOK_AGAIN_SECS)
