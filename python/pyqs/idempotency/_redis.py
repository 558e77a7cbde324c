"""Idempotency keys in Redis."""

from __future__ import annotations

import math
import os
from typing import Any, Optional

from ..errors import SettingsInvalid
from ._store import BEGUN, DONE, Claim, in_progress

_PREFIX = "pyqs:idempotency:"
_IS_DONE = "done"
_OWNED_BY = "in progress:"
_TIMEOUT_SECS = 10.0


class RedisIdempotencyStore:
    """Keys in Redis, which forgets them by itself.

    >>> pyqs.configure(idempotency_store=RedisIdempotencyStore("redis://cache:6379/0"))

    :param url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as redis-py takes it.
    :param client: a redis-py client to use instead, which must be safe after a fork, as redis-py's own are.

    Needs redis-py: ``pip install 'pyqs-rs[redis]'``. Redis must not evict these keys (``maxmemory-policy noeviction``),
    and after a failover it may have forgotten the last ones.
    """

    def __init__(self, url: str = "redis://localhost:6379/0", *, client: Any = None) -> None:
        self._url = url
        self._given_client = client
        self._made: Optional[tuple[int, Any]] = None

    def begin(self, key: str, owner: str, lease_secs: float) -> Claim:
        """Take a key."""
        client, name, own = self._client(), _PREFIX + key, _OWNED_BY + owner
        while True:
            if client.set(name, own, nx=True, px=_millis(lease_secs)):
                return BEGUN
            found = _text(client.get(name))
            if found is None:
                continue  # its time has run out just now
            if found == _IS_DONE:
                return DONE
            if found != own:
                return in_progress(max(0, client.pttl(name)) / 1000)
            if self._swap(name, own, own, lease_secs):
                return BEGUN

    def finish(self, key: str, owner: str, ttl_secs: float) -> None:
        """Remember a key as done."""
        self._client().set(_PREFIX + key, _IS_DONE, px=_millis(ttl_secs))

    def release(self, key: str, owner: str) -> None:
        """Forget a key."""
        self._swap(_PREFIX + key, _OWNED_BY + owner, None, 0)

    def _swap(self, name: str, expected: str, value: Optional[str], seconds: float) -> bool:
        """Set a value, or delete it, if it is what is expected; whether that was done."""
        from redis.exceptions import WatchError

        with self._client().pipeline() as pipeline:
            try:
                pipeline.watch(name)
                if _text(pipeline.get(name)) != expected:
                    return False
                pipeline.multi()
                if value is None:
                    pipeline.delete(name)
                else:
                    pipeline.set(name, value, px=_millis(seconds))
                pipeline.execute()
            except WatchError:
                return False
            return True

    def _client(self) -> Any:
        if self._given_client is not None:
            return self._given_client
        made = self._made
        # Two threads may make one each; both work.
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), _new_client(self._url))
        return made[1]


def _new_client(url: str) -> Any:
    try:
        import redis
    except ImportError:
        raise SettingsInvalid("an idempotency store in Redis needs redis-py: pip install 'pyqs-rs[redis]'") from None
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_SECS, socket_connect_timeout=_TIMEOUT_SECS)


def _millis(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))


def _text(value: Any) -> Optional[str]:
    return value.decode() if isinstance(value, bytes) else value
