"""What is logged of messages that can't be run."""

from __future__ import annotations

import logging
import threading
import time

from ._pyqs import Job

logger = logging.getLogger("pyqs")

UNRUNNABLE_LINES_MAX = 10
UNRUNNABLE_PERIOD_SECS = 60.0
"""Of the messages that can't be run, so many are named within this time; the others are counted."""


class UnrunnableLog:
    """Names messages that can't be run, but does not let a queue full of them fill the log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = float("-inf")
        self._count = 0

    def log(self, job: Job, reason: Exception) -> None:
        """Name this one, unless enough were named lately."""
        now = time.monotonic()
        held_back = 0
        with self._lock:
            if now - self._since > UNRUNNABLE_PERIOD_SECS:
                held_back = self._count - UNRUNNABLE_LINES_MAX
                self._since = now
                self._count = 0
            self._count += 1
            is_named = self._count <= UNRUNNABLE_LINES_MAX
        if held_back > 0:
            logger.error("%s more messages can't be run", held_back)
        if is_named:
            logger.error("Message %s of %s can't be run: %s", job.message_id, job.queue_url, reason)


unrunnable = UnrunnableLog()
