"""The tasks of bench/chaos.py, for our worker and the original alike; each tells the journal when it begins."""

from __future__ import annotations

import os
import time

_journal: dict[int, int] = {}


def note(what: str, value: object) -> None:
    """Write a line, which outlives this process however it ends."""
    pid = os.getpid()
    if pid not in _journal:
        _journal.clear()
        _journal[pid] = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(_journal[pid], f"{what} {time.monotonic():.6f} {value}\n".encode())


def work(value: object, secs: float = 0) -> None:
    """Last so long; with 0, a no-op."""
    note("begin", value)
    if secs:
        time.sleep(secs)
    note("end", value)


def hold_the_interpreter(value: object, secs: float) -> None:
    """Last so long, and let no other Python thread of the process run."""
    note("begin", value)
    end = time.monotonic() + secs
    digits = 10**200_000
    while time.monotonic() < end:
        # One call in C that does not let go.
        digits * digits
    note("end", value)


def fail(value: object) -> None:
    """Never succeed."""
    note("fail", value)
    raise ValueError("this one always fails")


def crash_first(value: object) -> None:
    """End the process at the first try."""
    note("begin", value)
    mark = os.path.join(os.path.dirname(os.environ["CHAOS_JOURNAL"]), f"crashed-{value}")
    if not os.path.exists(mark):
        open(mark, "w").close()
        os._exit(1)
    note("end", value)
