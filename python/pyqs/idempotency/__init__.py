"""Idempotency keys: of several messages with the same key, one is run.

>>> import pyqs
>>> pyqs.configure(idempotency_store="redis://cache:6379/0")
>>> @task(queue="orders", idempotency_key="order_id")
... def charge(order_id, amount): ...

A store is three functions (:class:`IdempotencyStore`). There are one for a SQLite file, one for Redis and one for
DynamoDB. ``docs/idempotency.md`` says what it can promise, and what it can't.
"""

from ._dynamodb import DynamoDBIdempotencyStore
from ._redis import RedisIdempotencyStore
from ._sqlite import SQLiteIdempotencyStore
from ._store import BEGUN, DONE, Claim, IdempotencyStore, from_url, in_progress

__all__ = [
    "BEGUN",
    "DONE",
    "Claim",
    "DynamoDBIdempotencyStore",
    "IdempotencyStore",
    "RedisIdempotencyStore",
    "SQLiteIdempotencyStore",
    "from_url",
    "in_progress",
]
