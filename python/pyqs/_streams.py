"""The standard files of the worker's processes, which may be closed, or full, or without a reader."""

from __future__ import annotations

import contextlib
import os
import sys


def open_closed_files() -> None:
    """Give closed standard files to ``/dev/null``.

    Sockets of ours would get their numbers, and what tasks and the programs that they start print would go there.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one


def flush() -> None:
    """Write out what is buffered, which a fork would duplicate and ``os._exit`` would lose, as far as it can be."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
