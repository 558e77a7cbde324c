"""``@on_message``: a handler for all messages of a queue, whatever they are; and :class:`Message`, which it gets."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, TypeVar, Union

from . import _batch, _declarations, _limits
from ._batch import Batch, Part
from ._declarations import Declaration
from ._limits import Limits
from ._policy import Backoff, Errors, Policy
from ._signature import signature_of
from .errors import SettingsInvalid, UndecodableMessage
from .utils import function_to_import_path

if TYPE_CHECKING:
    from ._envelopes import EventBridgeEvent, S3Record, SnsNotification

H = TypeVar("H", bound=Callable[..., Any])


class Message(Part):
    """A message as it came, for a handler marked ``@on_message``.

    In tests a handler is called with one of your own: ``handle(Message('{"id": 1}'))``.
    """

    def __init__(
        self,
        body: str,
        *,
        id: str = "",
        queue: str = "",
        attributes: Optional[Mapping[str, Union[str, bytes]]] = None,
        receive_count: int = 1,
        retries: int = 0,
        sent_at: Optional[datetime] = None,
        first_received_at: Optional[datetime] = None,
        group: Optional[str] = None,
        dedup_id: Optional[str] = None,
        sequence_number: Optional[str] = None,
        trace_header: Optional[str] = None,
        dead_letter_source: Optional[str] = None,
        deadline: float = math.inf,
        extend: Optional[Callable[[float], float]] = None,
    ) -> None:
        self.body = body
        """The text, as it was sent."""
        self.id = id
        """The message id. It stays the same when the message is retried."""
        self.queue = queue
        """The name of the queue that it came from."""
        self.attributes = dict(attributes or {})
        """Its message attributes: texts and numbers as ``str``, the others as ``bytes``."""
        self.receive_count = receive_count
        """How often SQS has delivered it, this time included."""
        self.retries = retries
        """How often it was handled before, as far as is known: never too low."""
        self.sent_at = sent_at
        """When it was sent (SQS's ``SentTimestamp``), with its time zone, which is UTC."""
        self.first_received_at = first_received_at
        """When anybody received it first."""
        self.group = group
        """Its message group: on a FIFO queue, or the tenant of a fair one."""
        self.dedup_id = dedup_id
        """Its deduplication id, on a FIFO queue."""
        self.sequence_number = sequence_number
        """Its place, on a FIFO queue: a large number as text."""
        self.trace_header = trace_header
        """AWS X-Ray's ``AWSTraceHeader``."""
        self.dead_letter_source = dead_letter_source
        """In a dead-letter queue: the ARN of the queue that it came from."""
        self.deadline = deadline
        """When the handler must have ended, in seconds since 1970: at its time limit, or when its message can't be kept
        hidden any more, whichever comes first."""
        self._extend = extend

    def __repr__(self) -> str:
        return f"Message(id={self.id!r}, queue={self.queue!r}, {len(self.body)} characters)"

    def json(self) -> Any:
        """The body as JSON. Raises :class:`pyqs.errors.UndecodableMessage`, which is a ``ValueError``."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise UndecodableMessage(f"no JSON: {error}", "message body") from None

    @property
    def sns(self) -> SnsNotification:
        """The notification of SNS that the body is. With raw delivery there is none around it: ``body`` is the message
        itself then. Raises :class:`pyqs.errors.UndecodableMessage`."""
        from . import _envelopes

        return _envelopes.sns(self.body)

    @property
    def event(self) -> EventBridgeEvent:
        """The event of EventBridge that the body is, or that SNS has wrapped. Raises
        :class:`pyqs.errors.UndecodableMessage`."""
        from . import _envelopes

        return _envelopes.event(self.body)

    @property
    def s3(self) -> list[S3Record]:
        """The objects that a notification of S3 tells of, directly, through SNS or through EventBridge: their keys are
        decoded. None for the ``s3:TestEvent`` that S3 sends when notifications are set up. Raises
        :class:`pyqs.errors.UndecodableMessage`."""
        from . import _envelopes

        return _envelopes.s3(self.body)

    def extend(self, seconds: float) -> float:
        """Ask for so much more time: the soft and the hard time limit, where there are any, come so many seconds later.
        Gives the new ``deadline``. The visibility timeout needs no such call."""
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
            raise SettingsInvalid(f"extend({seconds!r}); give seconds, 0 or more")
        if self._extend:
            self.deadline = self._extend(seconds)
        return self.deadline


class Handler(NamedTuple):
    """A function that takes all messages of a queue."""

    path: str
    function: Callable[..., Any]
    policy: Policy
    limits: Limits
    batch: Optional[Batch] = None
    """It gets a list of messages."""


def on_message(
    queue: str,
    *,
    retries: Optional[int] = None,
    backoff: Optional[Backoff] = None,
    retry_on: Optional[Errors] = None,
    discard_on: Optional[Errors] = None,
    dead_letter_on: Optional[Errors] = None,
    dead_letter: Optional[str] = None,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    batch: Optional[int] = None,
    batch_wait: Optional[float] = None,
) -> Callable[[H], H]:
    """Mark a function as the handler of a queue whose messages are no calls of tasks: it gets each as a
    :class:`Message`. The very same function comes back.

    >>> @on_message(queue="uploads", retries=3)
    ... def uploaded(message):
    ...     for record in message.s3:
    ...         print(record.bucket, record.key)
    >>> uploaded(Message('{"Service": "Amazon S3", "Event": "s3:TestEvent"}'))

    All messages of that queue go to it, also one that looks like a task. The worker must have imported its module
    before it receives any of them: ``pyqs uploads --import app.handlers``.

    With ``batch=100`` it gets a list of up to so many messages, as soon as there are, or when the first of them has
    waited for ``batch_wait`` seconds (1 by default): each may fail by itself, by ``message.fail(error)``.

    A message is deleted when the function has returned. The rules for its failures and the time limits are those of
    ``@task``.
    """
    if not isinstance(queue, str):
        raise SettingsInvalid('on_message needs the name of a queue: @on_message(queue="orders")')
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", queue):
        raise SettingsInvalid(f"queue={queue!r}; SQS allows letters, digits, - and _, at most 80, and .fifo at the end")
    policy = Policy(retries, backoff, retry_on, discard_on, dead_letter_on, dead_letter).checked()
    limits = _limits.checked(time_limit, soft_time_limit)
    together = _batch.checked(batch, batch_wait)

    def mark(function: H) -> H:
        path = function_to_import_path(function)
        _check_takes_one(function, path)
        known = _handlers.get(queue)
        if known and known.path != path:
            raise SettingsInvalid(f"queue {queue} has a handler, {known.path}; {path} can't be another")
        handler = Handler(path, function, policy, limits, together)
        for name in (queue, _dashed(queue)):
            _handlers[name] = handler
        _declarations.add(Declaration(path, queue, together))
        return function

    return mark


def find(queue_url: str) -> Optional[Handler]:
    """The handler of a queue, if there is one here."""
    return _handlers.get(queue_url.rpartition("/")[2]) if _handlers else None


def _check_takes_one(function: Callable[..., Any], path: str) -> None:
    try:
        signature_of(function).bind(None)
    except (TypeError, ValueError) as error:
        raise SettingsInvalid(f"a handler gets one message: {path} can't be called so ({error})") from None


def _dashed(queue: str) -> str:
    """The name that a queue has in SQS where it has none with dots."""
    stem, fifo = (queue[:-5], ".fifo") if queue.endswith(".fifo") else (queue, "")
    return stem.replace(".", "-") + fifo


_handlers: dict[str, Handler] = {}
"""By queue."""
