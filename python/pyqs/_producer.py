"""Sending, for this process: one producer, made here and started by its first message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from . import _formats, _payload_settings, _pyqs, _settings
from ._settings import Settings

if TYPE_CHECKING:
    from .idempotency import IdempotencyStore
    from .payloads import PayloadStore
    from .testing._outbox import Transport


class Outgoing(NamedTuple):
    """A message as it is sent."""

    body: str
    delay_seconds: int = 0
    """Not to be run before; at most 366 days."""
    group: Optional[str] = None
    """The message group."""
    dedup_id: Optional[str] = None
    """FIFO: the deduplication id."""
    attributes: dict[str, Union[str, int, float, bytes]] = {}  # noqa: RUF012 (nobody changes it)
    """The message attributes."""


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
    settings: Optional[Settings] = None,
    /,
    *,
    region: Optional[str] = None,
    access_key_id: Optional[str] = None,
    secret_access_key: Optional[str] = None,
    endpoint_url: Optional[str] = None,
    format: Optional[str] = None,
    create_queues: Optional[bool] = None,
    payload_store: Union[PayloadStore, str, None] = None,
    payload_threshold: Optional[int] = None,
    keep_payloads: Optional[bool] = None,
    idempotency_store: Union[IdempotencyStore, str, None] = None,
    **others: Any,
) -> None:
    """Say how this process sends, and how a worker runs that it starts; goes before variables and the project's file.

    >>> pyqs.configure(endpoint_url="http://127.0.0.1:9324", region="eu-west-1")
    >>> pyqs.configure(pyqs.Settings(format="celery", concurrency=4))

    Call it before the first ``.delay``. It may be called several times; what is ``None`` is left as it is. In a
    worker's tasks the worker's own options hold already.

    :param settings: any settings.
    :param region: where the queues are.
    :param access_key_id: with ``secret_access_key``, what signs the requests.
    :param secret_access_key: see ``access_key_id``.
    :param endpoint_url: where SQS listens, if it is not Amazon's.
    :param format: ``"pyqs"`` or ``"celery"``, for tasks that declare none; PyQS's own, if nobody says it.
    :param create_queues: whether a missing queue is created, which it is by default.
    :param payload_store: where messages go that SQS does not take: a URL (``s3://bucket/prefix``, ``file:///folder``)
        or a :class:`pyqs.payloads.PayloadStore`. Workers read from it too. By default there is none.
    :param payload_threshold: bytes of a message above which it goes there; by default 1032192, which is SQS's 1 MiB
        less room for attributes. What the queue itself refuses goes there too.
    :param keep_payloads: workers leave payloads there after their tasks, which they don't by default.
    :param idempotency_store: where workers keep the keys of tasks with ``idempotency_key=``: a URL
        (``sqlite:///path/of/file``, ``redis://host:6379/0``, ``dynamodb://table``) or a
        :class:`pyqs.idempotency.IdempotencyStore`. By default there is none.
    :param others: further settings of :class:`pyqs.Settings`.
    """
    global _producer
    fields = {
        "region": region,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "endpoint_url": endpoint_url,
        "format": format,
        "create_queues": create_queues,
        "payload_store": payload_store,
        "payload_threshold": payload_threshold,
        "keep_payloads": keep_payloads,
        "idempotency_store": idempotency_store,
    }
    given = (settings or Settings())._replace(**Settings.of({**fields, **others}).given())
    if given.format is not None:
        _formats.checked(given.format, "format=")
    _payload_settings.check(given)
    if given.idempotency_store is not None:
        from . import _idempotency

        _idempotency.check(given)
    before = _settings.configured()
    after = _settings.configure(given)
    if any(getattr(before, name) != getattr(after, name) for name in _CONNECTION):
        _producer = None


def send(queue: str, message: Outgoing) -> MessageId:
    """Send a message; when this returns, SQS has it."""
    transport = _in_tests or _started()
    payloads = _payload_settings.current()
    if payloads is None:
        return MessageId(transport.send(queue, message))
    from .payloads._sending import Offloader

    return MessageId(Offloader(payloads).send(queue, message, transport.send))


async def send_async(queue: str, message: Outgoing) -> MessageId:
    """As ``send``, while the event loop runs on. A call that is cancelled may still be sent."""
    if _in_tests is not None:
        return MessageId(await _in_tests.send_async(queue, message))
    import asyncio  # here, since it takes longer to import than all the rest

    return await asyncio.get_running_loop().run_in_executor(None, send, queue, message)


def send_many(queue: str, messages: list[Outgoing]) -> list[Union[MessageId, Exception]]:
    """Send messages in parallel batches: of each the id or why it was not sent, in order."""
    transport = _in_tests or _started()
    payloads = _payload_settings.current()
    if payloads is None:
        answers = transport.send_many(queue, messages)
    else:
        from .payloads._sending import Offloader

        answers = Offloader(payloads).send_many(queue, messages, transport.send_many)
    return [MessageId(answer) if isinstance(answer, str) else answer for answer in answers]


def queue_url(queue: str) -> str:
    """The URL of a queue, which is created where it is missing."""
    return (_in_tests or _started()).queue_url(queue)


def shutdown() -> None:
    """End the producer's threads and await them; the next message starts them again. Called before a fork."""
    if _producer is not None:
        _producer.shutdown()
    if _in_tests is not None:
        _in_tests.shutdown()


_CONNECTION = ("region", "access_key_id", "secret_access_key", "endpoint_url", "create_queues")
"""The settings that a producer is made by."""

_producer: Optional[_pyqs.Producer] = None

_in_tests: Optional[Transport] = None
"""What sends instead while ``pyqs.testing`` says so, whatever ``configure`` says meanwhile."""


def _started() -> _pyqs.Producer:
    """The producer, made at the first message. It knows the process it works in: a forked child begins anew."""
    global _producer
    if _producer is None:
        settings = Settings.in_force()
        _producer = _pyqs.Producer(**{name: getattr(settings, name) for name in _CONNECTION})
    return _producer


def replace(transport: Optional[Transport]) -> Optional[Transport]:
    """Have this send from now on, ``None`` being the producer; gives what did before. For ``pyqs.testing``."""
    global _in_tests
    before, _in_tests = _in_tests, transport
    return before


def replaced() -> Optional[Transport]:
    """What sends instead of the producer, in tests."""
    return _in_tests
