"""Sending: what SQS would not take goes to the store, and a pointer to it into the message."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, NamedTuple, Union

from .._payload_settings import PayloadSettings
from .._producer import Outgoing
from ..errors import (
    CredentialsError,
    MessageTooLarge,
    QueueMissing,
    QueueNameInvalid,
    RequestRejected,
    SettingsInvalid,
)
from ._pointer import SIZE_ATTRIBUTE, Pointer
from ._store import PAYLOAD_BYTES_MAX, named, too_large

logger = logging.getLogger("pyqs")

STORED_AT_ONCE = 16
"""Payloads of one ``delay_many`` that are on their way to the store at a time."""

_ATTRIBUTES_MAX = 10
"""SQS's limit (AWS: quotas-messages)."""

Answer = Union[str, Exception]
SendMany = Callable[[str, list[Outgoing]], list[Answer]]

_NOT_SENT = (MessageTooLarge, QueueMissing, QueueNameInvalid, CredentialsError, RequestRejected, SettingsInvalid)
"""After these nothing points to what was stored. After others the message may have arrived all the same."""


class Offloader:
    """Sends messages, through a store where they are too large."""

    def __init__(self, settings: PayloadSettings) -> None:
        self._settings = settings

    def send(self, queue: str, message: Outgoing, send: Callable[[str, Outgoing], str]) -> str:
        """Send a message with this function; gives what that gives."""
        if not self._is_large(message):
            try:
                return send(queue, message)
            except MessageTooLarge:
                # The queue's own limit, which is only known by now, is below SQS's.
                pass
        stored = self._store(queue, message)
        try:
            return send(queue, stored.message)
        except Exception as error:
            self._undo(stored, error)
            raise

    def send_many(self, queue: str, messages: Sequence[Outgoing], send_many: SendMany) -> list[Answer]:
        """Send messages with this function; of each what it gives, in order."""
        is_large = [self._is_large(message) for message in messages]
        answers = self._send_stored(queue, messages, is_large, send_many)
        if queue.endswith(".fifo"):
            # What the queue has refused, sent again, would be behind what came after it.
            return answers
        refused = [
            number
            for number, answer in enumerate(answers)
            if isinstance(answer, MessageTooLarge) and not is_large[number]
        ]
        if refused:
            again = [messages[number] for number in refused]
            for number, answer in zip(refused, self._send_stored(queue, again, [True] * len(again), send_many)):
                answers[number] = answer
        return answers

    def _send_stored(
        self, queue: str, messages: Sequence[Outgoing], is_large: Sequence[bool], send_many: SendMany
    ) -> list[Answer]:
        """Store those that are large, then send all."""

        def store(number: int) -> Union[_Stored, Exception]:
            try:
                return self._store(queue, messages[number])
            except Exception as error:
                return error

        large = [number for number, is_it in enumerate(is_large) if is_it]
        stored: dict[int, Union[_Stored, Exception]] = {}
        if large:
            with ThreadPoolExecutor(min(STORED_AT_ONCE, len(large)), "pyqs-payloads") as threads:
                stored = dict(zip(large, threads.map(store, large)))
        sent: list[int] = []
        outgoing: list[Outgoing] = []
        for number, message in enumerate(messages):
            found = stored.get(number)
            if not isinstance(found, Exception):
                sent.append(number)
                outgoing.append(found.message if found else message)
        answers: dict[int, Answer] = {n: found for n, found in stored.items() if isinstance(found, Exception)}
        for number, answer in zip(sent, send_many(queue, outgoing) if outgoing else ()):
            answers[number] = answer
            found = stored.get(number)
            if isinstance(found, _Stored) and isinstance(answer, Exception):
                self._undo(found, answer)
        return [answers[number] for number in range(len(messages))]

    def _is_large(self, message: Outgoing) -> bool:
        threshold = self._settings.threshold
        # A character has at most four bytes, and most messages are far below.
        if not message.attributes and 4 * len(message.body) <= threshold:
            return False
        return _size(message) > threshold

    def _store(self, queue: str, message: Outgoing) -> _Stored:
        """Store the body; gives a message that points to it."""
        _check(queue, message)
        payload = message.body.encode()
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise MessageTooLarge(f"{too_large(len(payload))}; store the data yourself, and send where it is")
        store = self._settings.store
        pointer = Pointer(store.name, store.put(payload))
        attributes = {**message.attributes, SIZE_ATTRIBUTE: len(payload)}
        return _Stored(message._replace(body=pointer.body(), attributes=attributes), pointer)

    def _undo(self, stored: _Stored, error: Exception) -> None:
        """Delete what no message points to."""
        if not isinstance(error, _NOT_SENT):
            return
        try:
            self._settings.store.delete(stored.pointer.key)
        except Exception as trouble:
            logger.warning(
                "Payload %s, whose message was not sent, can't be deleted: %s", stored.pointer, named(trouble)
            )


class _Stored(NamedTuple):
    message: Outgoing
    pointer: Pointer


def _check(queue: str, message: Outgoing) -> None:
    if queue.endswith(".fifo") and message.dedup_id is None:
        raise SettingsInvalid(
            f"a large message for {queue} has no dedup_id=: SQS's content-based deduplication would go by the pointer, "
            "which is another one each time"
        )
    if len(message.attributes) >= _ATTRIBUTES_MAX:
        raise SettingsInvalid(
            f"a large message for {queue} has {len(message.attributes)} attributes; SQS takes {_ATTRIBUTES_MAX}, and "
            "its pointer needs one"
        )


def _size(message: Outgoing) -> int:
    """As SQS counts: body and attributes, each with its name, type and value."""
    size = len(message.body.encode())
    for name, value in message.attributes.items():
        content = value if isinstance(value, bytes) else str(value).encode()
        size += len(name.encode()) + len("String") + len(content)
    return size
