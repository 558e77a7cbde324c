"""Work for what other services send: new objects in a bucket of S3, and clicks that are written a hundred at a time.

    pyqs uploads,clicks --import handlers

The queue ``uploads`` gets the notifications of S3, directly, through SNS or through EventBridge. The queue ``clicks``
gets JSON of whatever program sends some.
"""

from __future__ import annotations

import os
import sqlite3

from pyqs import Message, on_message
from pyqs.errors import UndecodableMessage

DATABASE = os.environ.get("DATABASE", "shop.db")


def database() -> sqlite3.Connection:
    """The tables that the handlers write."""
    connection = sqlite3.connect(DATABASE, timeout=30)
    connection.execute("CREATE TABLE IF NOT EXISTS photos (bucket TEXT, key TEXT, size INTEGER)")
    connection.execute("CREATE TABLE IF NOT EXISTS clicks (id TEXT PRIMARY KEY, page TEXT, batch INTEGER)")
    return connection


@on_message(queue="uploads", retries=3, backoff=[1, 10, 60])
def uploaded(message: Message) -> None:
    """One row an object. The test event of S3 tells of none."""
    with database() as connection:
        for record in message.s3:
            row = (record.bucket, record.key, record.size)
            connection.execute("INSERT INTO photos VALUES (?, ?, ?)", row)


@on_message(queue="clicks", batch=100, batch_wait=1, discard_on=UndecodableMessage)
def clicked(messages: list[Message]) -> None:
    """One transaction for all. What is no JSON is discarded, and keeps no other from being written.

    A message may come again after it was written, since SQS delivers at least once: its id makes that harmless.
    """
    rows = []
    for message in messages:
        try:
            rows.append((message.id, message.json()["page"], len(messages)))
        except UndecodableMessage as error:
            message.fail(error)
        except (KeyError, TypeError):
            message.discard("a click without a page")
    with database() as connection:
        connection.executemany("INSERT OR IGNORE INTO clicks VALUES (?, ?, ?)", rows)
