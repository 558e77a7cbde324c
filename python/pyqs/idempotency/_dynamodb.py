"""Idempotency keys in a DynamoDB table."""

from __future__ import annotations

import contextlib
import math
import os
import time
from typing import Any, Optional

from ..errors import SettingsInvalid
from ._store import BEGUN, DONE, Claim, in_progress

_CONNECT_SECS = 5
_READ_SECS = 10


class DynamoDBIdempotencyStore:
    """Keys in a DynamoDB table, whose partition key is a string ``id``, without a sort key.

    >>> pyqs.configure(idempotency_store=DynamoDBIdempotencyStore("pyqs-idempotency"))

    Have the table's time to live look at the attribute ``until``, else nothing in it is ever deleted.

    :param table: the table's name.
    :param client: a boto3 DynamoDB client to use, which must be safe after a fork; by default one is made in each
        process, from boto3's own settings (environment, profile, role).

    Needs boto3: ``pip install 'pyqs-rs[dynamodb]'``.
    """

    def __init__(self, table: str, *, client: Any = None) -> None:
        self._table = table
        self._given_client = client
        self._made: Optional[tuple[int, Any]] = None

    def begin(self, key: str, owner: str, lease_secs: float) -> Claim:
        """Take a key."""
        client = self._client()
        while True:
            now = time.time()
            try:
                client.put_item(
                    TableName=self._table,
                    Item=_item(key, owner, is_done=False, until=now + lease_secs),
                    ConditionExpression="attribute_not_exists(id) OR #until <= :now OR "
                    "(is_done = :no AND #owner = :owner)",
                    ExpressionAttributeNames={"#until": "until", "#owner": "owner"},
                    ExpressionAttributeValues={
                        ":now": {"N": str(math.floor(now))},
                        ":no": {"BOOL": False},
                        ":owner": {"S": owner},
                    },
                )
                return BEGUN
            except client.exceptions.ConditionalCheckFailedException:
                pass
            answer = client.get_item(TableName=self._table, Key={"id": {"S": key}}, ConsistentRead=True)
            found = answer.get("Item")
            if found is None:
                continue  # it was released just now
            if found["is_done"]["BOOL"]:
                return DONE
            return in_progress(float(found["until"]["N"]) - now)

    def finish(self, key: str, owner: str, ttl_secs: float) -> None:
        """Remember a key as done."""
        item = _item(key, owner, is_done=True, until=time.time() + ttl_secs)
        self._client().put_item(TableName=self._table, Item=item)

    def release(self, key: str, owner: str) -> None:
        """Forget a key."""
        client = self._client()
        # Else another has it by now.
        with contextlib.suppress(client.exceptions.ConditionalCheckFailedException):
            client.delete_item(
                TableName=self._table,
                Key={"id": {"S": key}},
                ConditionExpression="is_done = :no AND #owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":no": {"BOOL": False}, ":owner": {"S": owner}},
            )

    def _client(self) -> Any:
        if self._given_client is not None:
            return self._given_client
        made = self._made
        # Two threads may make one each; both work.
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), _new_client())
        return made[1]


def _item(key: str, owner: str, *, is_done: bool, until: float) -> dict[str, Any]:
    # DynamoDB's time to live counts whole seconds.
    return {
        "id": {"S": key},
        "owner": {"S": owner},
        "is_done": {"BOOL": is_done},
        "until": {"N": str(math.ceil(until))},
    }


def _new_client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise SettingsInvalid("an idempotency store in DynamoDB needs boto3: pip install 'pyqs-rs[dynamodb]'") from None
    config = Config(
        connect_timeout=_CONNECT_SECS, read_timeout=_READ_SECS, retries={"mode": "standard", "max_attempts": 3}
    )
    return boto3.session.Session().client("dynamodb", config=config)
