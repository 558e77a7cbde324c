"""Sending, for this process: one producer, made here and started by its first message."""

from __future__ import annotations

from typing import Optional

from . import _pyqs


class MessageId(str):
    """The id under which SQS has a message: a ``str``, which code written for Celery may also ask for its ``.id``.

    >>> MessageId("5b3e...").id
    '5b3e...'
    """

    __slots__ = ()

    @property
    def id(self) -> str:
        """The same id."""
        return str(self)


def configure(
    *,
    region: Optional[str] = None,
    access_key_id: Optional[str] = None,
    secret_access_key: Optional[str] = None,
    endpoint_url: Optional[str] = None,
) -> None:
    """Say how this process reaches SQS when it sends; what is ``None`` comes from the environment, as with boto3.

    >>> pyqs.configure(endpoint_url="http://127.0.0.1:9324", region="eu-west-1")

    Call it before the first ``.delay``. In a worker's tasks the worker's own options hold already.
    """
    global _producer
    _producer = _pyqs.Producer(
        region=region,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        endpoint_url=endpoint_url,
    )


def send(queue: str, body: str, delay_seconds: int) -> MessageId:
    """Send a message, for a worker in so many seconds; when this returns, SQS has it."""
    return MessageId(_producer.send(queue, body, delay_seconds))


def queue_url(queue: str) -> str:
    """The URL of a queue, which is created where it is missing."""
    return _producer.queue_url(queue)


def shutdown() -> None:
    """End the producer's threads and await them; the next message starts them again. Called before a fork."""
    _producer.shutdown()


# Making one starts nothing, and it knows the process it works in: a forked child begins anew.
_producer = _pyqs.Producer()
