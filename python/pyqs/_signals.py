"""Signals as bytes in a pipe, so that one ``select`` waits for everything."""

from __future__ import annotations

import os
import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Signals:
    """Takes the stop signals and SIGCHLD of this process for itself until ``restore``. Only on the main thread."""

    def __init__(self) -> None:
        # A pipe holds 65,536 of them. A socket would hold some 300: a stop signal that comes when more children than
        # that have died, while this process waited to write a log line, would be lost.
        self.read_end, self._write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self._write_end, False)
        self._wakeup_fd = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._handlers = {signum: signal.signal(signum, do_nothing) for signum in _OURS}

    def read(self) -> bytes:
        """The numbers of the signals that came, one byte each."""
        try:
            return os.read(self.read_end, 65536)
        except BlockingIOError:
            return b""

    def restore(self) -> None:
        """Leave signals as they were found."""
        signal.set_wakeup_fd(self._wakeup_fd)
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._close()

    def hold(self) -> None:
        """Keep signals waiting over a fork: one that came to the child too early would be written to our pipe,
        and count as a second signal."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)

    def release(self) -> None:
        """Let them come again."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)

    def forget(self) -> None:
        """In a forked child: from here signals are its own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._close()
        self.release()

    def _close(self) -> None:
        os.close(self.read_end)
        os.close(self._write_end)


def do_nothing(_signum: int, _frame: object) -> None:
    """A handler that only makes waiting calls begin again."""


_OURS = (*STOP_SIGNALS, signal.SIGCHLD)
