"""A worker whose manager and task processes follow a test's script, so that the supervisor is tested alone.

Run as a program: ``python -c "from scripted import *; ..."``. ``manager`` and ``task`` get their end of the protocol.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import sys
import threading
from typing import Any, Callable, NoReturn, Optional

from pyqs import _pyqs, _task_process
from pyqs.main import run_worker

__all__ = ["Control", "os", "run", "say", "settings", "signal", "sys", "threading", "wait_for_end", "wait_for_ever"]


class Control:
    """The manager's end of its socket to the supervisor."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.inbox = b""
        self.fds: list[int] = []
        self.sockets: list[socket.socket] = []

    def send(self, **message: Any) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Optional[dict[str, Any]]:
        """The next message; files that came along are in ``fds``. ``None`` when the supervisor is gone."""
        while b"\n" not in self.inbox:
            room = socket.CMSG_SPACE(16)
            received, ancillary, _flags, _address = self.socket.recvmsg(4096, room)
            for _level, _kind, data in ancillary:
                fds = array.array("i")
                fds.frombytes(data)
                self.fds.extend(fds)
            if not received:
                return None
            self.inbox += received
        line, _, self.inbox = self.inbox.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def fork(self, process: int, slot: int = 0) -> tuple[int, socket.socket]:
        """Have a task process forked: its pid, and our end of its socket."""
        self.send(fork={"process": process, "slot": slot})
        message = self.receive()
        assert message, "the supervisor is gone"
        assert message["forked"]["process"] == process, message
        self.sockets.append(socket.socket(fileno=self.fds.pop(0)))  # open for as long as this process lives
        return message["forked"]["pid"], self.sockets[-1]


def say(*words: object) -> None:
    """Print a line at once, whole."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def wait_for_end(sock: socket.socket) -> None:
    """Wait until the other end is closed."""
    while sock.recv(4096):
        pass


def wait_for_ever() -> NoReturn:
    """Wait for whatever ends this process."""
    while True:
        threading.Event().wait(1000)


def settings(**fields: Any) -> _pyqs.WorkerSettings:
    return _pyqs.WorkerSettings(**{"queues": ["q"], "log_level": "INFO", **fields})


def run(
    manager: Callable[[Control], int],
    task: Callable[[socket.socket], object] = wait_for_end,
    **fields: Any,
) -> NoReturn:
    """Run a worker with these in place of the real ones."""

    def task_channel(fd: int, _ledger: object, _slot: int, _settings: object) -> socket.socket:
        return socket.socket(fileno=fd)

    patched: Any = _pyqs
    patched.run_manager = lambda _settings, fd, _ledger: manager(Control(fd))
    patched.TaskChannel = task_channel
    run_task: Any = _task_process
    run_task.run = lambda sock, _settings: task(sock)
    run_worker(settings(**fields))
