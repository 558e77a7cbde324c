"""Signals as bytes on a socket, so that one ``select`` waits for everything."""

from __future__ import annotations

import signal
import socket

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Signals:
    """Takes the stop signals and SIGCHLD of this process for itself until ``restore``. Only on the main thread."""

    def __init__(self) -> None:
        self.socket, self._write_end = socket.socketpair()
        self.socket.setblocking(False)
        self._write_end.setblocking(False)
        self._wakeup_fd = signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
        self._handlers = {signum: signal.signal(signum, do_nothing) for signum in _OURS}

    def read(self) -> bytes:
        """The numbers of the signals that came, one byte each."""
        try:
            return self.socket.recv(4096)
        except BlockingIOError:
            return b""

    def restore(self) -> None:
        """Leave signals as they were found."""
        signal.set_wakeup_fd(self._wakeup_fd)
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._close()

    def hold(self) -> None:
        """Keep signals waiting over a fork: one that came to the child too early would be written to our socket,
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
        self.socket.close()
        self._write_end.close()


def do_nothing(_signum: int, _frame: object) -> None:
    """A handler that only makes waiting calls begin again."""


_OURS = (*STOP_SIGNALS, signal.SIGCHLD)
