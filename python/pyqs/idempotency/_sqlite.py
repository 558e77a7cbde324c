"""Idempotency keys in a SQLite file, for the workers of one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, Union

from ..errors import SettingsInvalid
from ._store import BEGUN, DONE, Claim, in_progress

_BUSY_SECS = 30.0
"""How long one process waits for another's step."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pyqs_idempotency (
    key TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    is_done INTEGER NOT NULL,
    until REAL NOT NULL
) WITHOUT ROWID
"""
_INDEX = "CREATE INDEX IF NOT EXISTS pyqs_idempotency_until ON pyqs_idempotency (until)"

_FORGOTTEN_AT_ONCE = 100
"""Keys that are over and deleted with each new one, at most: more than come, so that the file does not grow."""


class SQLiteIdempotencyStore:
    """Keys in a SQLite file, which is made where it is missing, for this user alone.

    >>> pyqs.configure(idempotency_store=SQLiteIdempotencyStore("/var/lib/shop/keys.db"))

    A step that was answered survives a power cut. The file must lie on a local disk: SQLite's locks do not hold on most
    network file systems.
    """

    def __init__(self, path: Union[str, os.PathLike[str]]) -> None:
        self._path = Path(path)
        if not self._path.is_absolute():
            raise SettingsInvalid(f"the idempotency store's file is {os.fspath(path)!r}; give an absolute path")
        self._local = threading.local()

    def begin(self, key: str, owner: str, lease_secs: float) -> Claim:
        """Take a key."""
        now = time.time()
        with _Step(self._connection()) as step:
            found = step.execute("SELECT owner, is_done, until FROM pyqs_idempotency WHERE key = ?", (key,)).fetchone()
            if found and found[2] > now and (found[1] or found[0] != owner):
                return DONE if found[1] else in_progress(found[2] - now)
            _put(step, key, owner, is_done=False, until=now + lease_secs)
            step.execute(
                "DELETE FROM pyqs_idempotency WHERE key IN "
                "(SELECT key FROM pyqs_idempotency WHERE until <= ? ORDER BY until LIMIT ?)",
                (now, _FORGOTTEN_AT_ONCE),
            )
            return BEGUN

    def finish(self, key: str, owner: str, ttl_secs: float) -> None:
        """Remember a key as done."""
        with _Step(self._connection()) as step:
            _put(step, key, owner, is_done=True, until=time.time() + ttl_secs)

    def release(self, key: str, owner: str) -> None:
        """Forget a key."""
        with _Step(self._connection()) as step:
            step.execute("DELETE FROM pyqs_idempotency WHERE key = ? AND owner = ? AND NOT is_done", (key, owner))

    def _connection(self) -> sqlite3.Connection:
        # A connection is a thread's own, and must not be used by a process that was forked from its own.
        made = getattr(self._local, "made", None)
        if made is None or made[0] != os.getpid():
            made = self._local.made = (os.getpid(), _connect(self._path))
        connection: sqlite3.Connection = made[1]
        return connection


class _Step:
    """A transaction that has the file to itself from its beginning."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, *_: Any) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _put(step: sqlite3.Connection, key: str, owner: str, *, is_done: bool, until: float) -> None:
    step.execute("REPLACE INTO pyqs_idempotency VALUES (?, ?, ?, ?)", (key, owner, is_done, until))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite makes its other files with the rights of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_SECS, isolation_level=None)
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(_SCHEMA)
    connection.execute(_INDEX)
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Of two that change a new file's journal at the same time, SQLite refuses one without a wait."""
    give_up_at = time.monotonic() + _BUSY_SECS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
