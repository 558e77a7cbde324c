"""What this process sends through PyQS, kept for a test to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Protocol, Union

from .. import _pyqs
from .._producer import Outgoing
from .._sender import Sender
from .._signature import signature_of
from ..errors import UndecodableMessage


class Transport(Protocol):
    """What sends messages: the producer's methods."""

    def send(self, queue: str, message: Outgoing) -> str:
        """Send one; gives its id."""

    async def send_async(self, queue: str, message: Outgoing) -> str:
        """The same, while the event loop runs on."""

    def send_many(self, queue: str, messages: list[Outgoing]) -> list[Union[str, Exception]]:
        """Send many; the id or the exception of each, in order."""

    def queue_url(self, queue: str) -> str:
        """The URL of a queue."""

    def shutdown(self) -> None:
        """End what runs for it in this process."""


@dataclass(frozen=True)
class Sent:
    """A message that was sent."""

    id: str
    """Its message id, which ``.delay`` returned."""
    queue: str
    """The queue, by the name that the task gives it."""
    task: Optional[str]
    """The task's name; ``None`` for a body that is no call of a task."""
    args: list[Any]
    """The positional arguments, as JSON carries them."""
    kwargs: dict[str, Any]
    """The keyword arguments, likewise."""
    delay_seconds: int = 0
    """Seconds before which it does not run."""
    group: Optional[str] = None
    """Its message group."""
    dedup_id: Optional[str] = None
    """FIFO: its deduplication id."""
    attributes: dict[str, Union[str, int, float, bytes]] = field(default_factory=dict)
    """Its message attributes: the call's ``headers``, and PyQS's own."""
    body: str = field(default="", repr=False)
    """The message's body."""

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        call = f"{self.task}({', '.join(arguments)})" if self.task else repr(self.body)
        return f"{call} to {self.queue}" + (f" in {self.delay_seconds} s" if self.delay_seconds else "")


class Outbox:
    """The messages sent by this process since it began, in order."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []

    def sent(self, queue: Optional[str] = None, *, task: Optional[Callable[..., Any]] = None) -> list[Sent]:
        """What was sent: to this queue, of this task, or all.

        >>> assert not outbox.sent("email")
        >>> assert len(outbox.sent(task=send_email)) == 2
        """
        name = None if task is None else sender_of(task).path
        return [
            message
            for message in list(self._sent)
            if queue in (None, message.queue) and (name is None or message.task == name)
        ]

    def assert_sent(self, task: Callable[..., Any], *args: Any, **kwargs: Any) -> Sent:
        """Fail unless this very call was sent, whichever of its arguments were given by name; gives the last one.

        >>> outbox.assert_sent(send_email, "Hello", to="ada@example.org").delay_seconds
        60
        """
        sender = sender_of(task)
        of_task = self.sent(task=task)
        written = _decoded(sender.body(*args, **kwargs))
        wanted = _by_name(task, written["args"], written["kwargs"])
        for message in reversed(of_task):
            if _by_name(task, message.args, message.kwargs) == wanted:
                return message
        asked = Sent("", sender.queue, sender.path, list(args), kwargs)
        others = of_task or self._sent
        raise AssertionError("\n".join([f"not sent: {asked}", *_listed("sent of it" if of_task else "sent", others)]))

    def _keep(self, message_id: str, queue: str, message: Outgoing) -> Sent:
        try:
            decoded = _decoded(message.body)
        except UndecodableMessage:
            decoded = {"task": None, "args": [], "kwargs": {}}
        sent = Sent(
            message_id,
            queue,
            decoded["task"],
            decoded["args"],
            decoded["kwargs"],
            message.delay_seconds,
            message.group,
            message.dedup_id,
            dict(message.attributes),
            message.body,
        )
        self._sent.append(sent)
        return sent


def sender_of(task: Callable[..., Any]) -> Sender:
    """What sends this task. Raises ``TypeError`` for a function that is none."""
    sender = getattr(getattr(task, "apply_async", None), "__self__", None)
    if not isinstance(sender, Sender):
        raise TypeError(f"{task!r} is not marked with @task")
    return sender


def _decoded(body: str) -> dict[str, Any]:
    return _pyqs.decode_message(body, _pyqs.Reader())


def _by_name(task: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The arguments by their names, as far as the function has names for them."""
    try:
        bound = signature_of(task).bind_partial(*args, **kwargs)
    except TypeError:
        return args, kwargs
    return dict(bound.arguments)


def _listed(title: str, found: list[Any]) -> Iterator[str]:
    """What there is, for somebody who misses something."""
    if not found:
        yield f"nothing was {title.split()[0]}"
        return
    yield f"{title}:"
    for one in found[-LISTED_MAX:]:
        yield f"  {one}"
    if len(found) > LISTED_MAX:
        yield f"  and {len(found) - LISTED_MAX} before"


LISTED_MAX = 20
"""Of what a failed assertion lists, the last so many."""
