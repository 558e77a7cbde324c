"""What a store of idempotency keys is, and which one a URL names."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from ..errors import SettingsInvalid


class Claim(NamedTuple):
    """What became of an attempt to begin."""

    state: Literal["begun", "done", "in_progress"]
    seconds_left: float = 0.0
    """Of what is in progress elsewhere: its lease ends after so long, unless it ends before."""


BEGUN = Claim("begun")
"""The caller has the key now, and is to run."""

DONE = Claim("done")
"""It was done before."""


def in_progress(seconds_left: float) -> Claim:
    """Another message has the key."""
    return Claim("in_progress", max(0.0, seconds_left))


@runtime_checkable
class IdempotencyStore(Protocol):
    """Where it is kept which keys are in progress and which are done. Used from several threads and processes at once.

    Each function is one atomic step. What they raise is passing trouble: the task does not run then, and its message
    is tried again later.
    """

    def begin(self, key: str, owner: str, lease_secs: float) -> Claim:
        """Take a key for an owner, for so long: if nobody has it, the owner has it already, or its lease is over."""

    def finish(self, key: str, owner: str, ttl_secs: float) -> None:
        """The owner's work is done: remember the key as done for so long, whoever has it by now."""

    def release(self, key: str, owner: str) -> None:
        """The owner's work has failed: forget the key, if the owner still has it."""


def from_url(url: str) -> IdempotencyStore:
    """The store that a URL names: ``sqlite:///file``, ``redis://host:port/db`` (or ``rediss://``), ``dynamodb://table``.

    >>> from_url("sqlite:////var/lib/shop/keys.db")
    <pyqs.idempotency._sqlite.SQLiteIdempotencyStore object at 0x...>
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        from ._sqlite import SQLiteIdempotencyStore

        return SQLiteIdempotencyStore(unquote(parts.path[1:] if parts.path.startswith("//") else parts.path))
    if parts.scheme in ("redis", "rediss", "unix"):
        from ._redis import RedisIdempotencyStore

        return RedisIdempotencyStore(url)
    if parts.scheme == "dynamodb" and parts.netloc and parts.path in ("", "/"):
        from ._dynamodb import DynamoDBIdempotencyStore

        return DynamoDBIdempotencyStore(parts.netloc)
    raise SettingsInvalid(
        f"idempotency store {url!r} is none; give sqlite:///path/of/file, redis://host:6379/0 or dynamodb://table"
    )
