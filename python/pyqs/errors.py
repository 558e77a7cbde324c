"""What can go wrong, as exceptions sorted by what the caller can do about it.

Every error of this package is a :class:`PyqsError`; where a builtin fits, the class is that too:

>>> try:
...     send_report.delay(rows)
... except pyqs.errors.MessageTooLarge:
...     send_report.delay(store(rows))

The Rust side raises these classes by name (``crates/pyqs-python/src/errors.rs``).
"""

from __future__ import annotations


class PyqsError(Exception):
    """The base of all errors raised by pyqs."""


class SettingsInvalid(PyqsError, ValueError):
    """A setting or argument is not possible: its message names it and what is."""


class UndecodableMessage(PyqsError, ValueError):
    """A message body that is neither PyQS's form nor one of Celery's that is read here.

    >>> raise UndecodableMessage("not base64", "payload")
    Traceback (most recent call last):
    pyqs.errors.UndecodableMessage: payload: not base64
    """

    def __init__(self, reason: str, layer: str = "") -> None:
        super().__init__(f"{layer}: {reason}" if layer else reason)
        self.reason = reason
        """What is wrong, in words, on one line."""
        self.layer = layer
        """The part of the message that could not be read, from the outside in: ``message body``, ``envelope``,
        ``headers``, ``compression``, ``payload``, ``signature``, ``task``, ``arguments``."""


class MessageTooLarge(PyqsError, ValueError):
    """The message is above the queue's limit; nothing was sent. Store the data elsewhere and send where it is."""


class QueueNameInvalid(PyqsError, ValueError):
    """SQS can have no queue of this name."""


class QueueMissing(PyqsError, LookupError):
    """The queue is not there, and was not to be created."""


class CredentialsError(PyqsError):
    """No credentials were found, or SQS does not accept them."""


class AccessDenied(CredentialsError):
    """The credentials are known but lack the permission for this action."""


class Throttled(PyqsError):
    """SQS answered "too many requests" to every attempt; nothing is known to be wrong, try again later."""


class EndpointUnreachable(PyqsError, ConnectionError):
    """No connection to the endpoint: wrong URL, no network, or nothing listens there."""


class EndpointTimeout(PyqsError, TimeoutError):
    """The endpoint did not answer in time; whether it carried the request out is unknown."""


class ServiceError(PyqsError):
    """SQS failed on its own side at every attempt; try again later."""


class RequestRejected(PyqsError):
    """SQS refused the request as wrong; its code and words are in the message. Trying again won't help."""


class UnknownTask(PyqsError, LookupError):
    """No task of this name can be found or imported."""


class TaskRefused(PyqsError):
    """What the message names exists but may not be run: the message names the option that would admit it."""


class SoftTimeLimitExceeded(PyqsError):
    """Raised in a task that has run for longer than its soft time limit, so that it can clean up and end.

    In an ``async def`` task it is an ``asyncio.CancelledError`` too.
    """

    def __init__(self, message: str = "the task has run for longer than its soft time limit") -> None:
        super().__init__(message)


class TimeLimitExceeded(PyqsError):
    """An ``async def`` task was cancelled at its time limit. Others are not told: their process is killed."""

    def __init__(self, message: str = "the task has run for longer than its time limit") -> None:
        super().__init__(message)


class NotCarriedOver(PyqsError, NotImplementedError):
    """A part of PyQS 1.0.1 that this engine can't have; the message names what to use instead."""


class DistributionConflict(PyqsError):
    """The distributions ``pyqs`` and ``pyqs-rs`` are installed over each other."""


class PayloadMissing(PyqsError, LookupError):
    """What a message points to is not in the payload store: deleted too early, or by a bucket's lifecycle rule."""


class PayloadRefused(PyqsError):
    """What a message points to may not be read here, or can't be; trying again won't help."""
