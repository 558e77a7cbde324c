"""The manager as the supervisor sees it: a process, and our end of the socket to it.

One JSON object a line:

=====================  ==================================================================================
manager to supervisor  ``{"fork": {"process", "slot"}}``, ``{"kill": {"process"}}``, ``{"kill_left": {"pid"}}``,
                       ``{"log": {"level", "message"}}``, ``{"fatal": {"message"}}``,
                       ``{"crashed": {...}}`` with the fields of :class:`pyqs.events.TaskCrashed`
supervisor to manager  ``{"forked": {"process", "pid"}}`` with the manager's end of that process's socket,
                       ``{"died": {"process", "signal", "code"}}``, ``{"stop": {"signal", "now"}}``,
                       ``{"left": {"pids"}}`` and ``{"left_died": {"pid", "signal", "code"}}`` of task processes
                       of a manager before it
=====================  ==================================================================================

The manager numbers the processes and gives each a slot of the ledger, the memory it shares with them.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from ._pyqs import Ledger

LINE_BYTES_MAX = 1024 * 1024
"""A longer line means that the manager has gone mad."""


class Manager:
    """A manager that was forked."""

    def __init__(self, pid: int, ours: socket.socket, ledger: Ledger) -> None:
        ours.setblocking(False)
        self.pid = pid
        self.socket = ours
        self.ledger = ledger
        self.is_at_end = False
        """Nothing more can be read from it, or told to it."""
        self._started = time.monotonic()
        self._inbox = b""

    def lived_secs(self) -> float:
        """For how long it has been there."""
        return time.monotonic() - self._started

    def read(self) -> list[dict[str, Any]]:
        """All whole messages that are there. Raises ``ValueError`` for what no manager of ours sends."""
        while not self.is_at_end and len(self._inbox) <= LINE_BYTES_MAX:
            try:
                received = self.socket.recv(64 * 1024)
            except BlockingIOError:
                break
            except ConnectionResetError:
                received = b""
            self.is_at_end = not received
            self._inbox += received
        *lines, self._inbox = self._inbox.split(b"\n")
        if len(self._inbox) > LINE_BYTES_MAX:
            raise ValueError(f"a line of more than {LINE_BYTES_MAX} bytes")
        return [json.loads(line) for line in lines]

    def send(self, message: dict[str, Any], *fds: int) -> None:
        """Tell it something, and pass it files. Raises ``OSError`` if it is gone or has stopped reading."""
        line = json.dumps(message).encode() + b"\n"
        # So short a line goes into a Unix socket whole or not at all.
        if fds:
            socket.send_fds(self.socket, [line], fds)
        else:
            self.socket.send(line)
