"""Sending calls of one task: what ``.delay`` and its like stand on.

What that takes is imported by the first call: a program may mark many tasks and send none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _options
from ._options import NO_OPTIONS, Declared, Headers, SendOptions

if TYPE_CHECKING:
    from datetime import datetime

    from ._calls import Calls
    from ._producer import MessageId

Item = Union[tuple[Any, ...], Mapping[str, Any]]
"""The arguments of one call of ``delay_many``."""


class Sender:
    """Sends calls of one task."""

    def __init__(
        self, declared: Declared, function: Optional[Callable[..., Any]] = None, is_checked: bool = True
    ) -> None:
        """The annotations of ``function`` say how arguments travel, and, if ``is_checked``, its signature which there
        may be: it is another function that runs, elsewhere, where a path of its own is given."""
        self._declared = declared.checked()
        self._function = function
        self._is_checked = is_checked
        self._made: Optional[Calls] = None

    def delay(self) -> Callable[..., MessageId]:
        """The function that becomes ``.delay``: of its own, so that it can carry what else the task declares."""

        def delay(*args: Any, **kwargs: Any) -> MessageId:
            """Send this call to the queue and return the message's id.

            ``_delay_seconds=`` overrides the task's own delay, within the same limits.
            """
            return self._calls().send((args, kwargs), self._options(kwargs))

        return delay

    def apply_async(
        self,
        args: Sequence[Any] = (),
        kwargs: Optional[Mapping[str, Any]] = None,
        *,
        countdown: Optional[float] = None,
        eta: Optional[datetime] = None,
        expires: Union[float, datetime, None] = None,
        queue: Optional[str] = None,
        group: Optional[str] = None,
        dedup_id: Optional[str] = None,
        headers: Optional[Headers] = None,
    ) -> MessageId:
        """Send a call with these arguments to the queue and return the message's id.

        >>> send_email.apply_async(["Hello"], {"to": "ada@example.org"}, countdown=60, expires=3600)
        '219f8380-5770-4cc2-8c3e-5c715e145f5e'

        :param args: the arguments by position.
        :param kwargs: the arguments by keyword.
        :param countdown: not to be run before so many seconds, at most 366 days; fractions are rounded up.
        :param eta: not to be run before this moment, which has a time zone; one that is past is now.
        :param expires: not to be run after so many seconds, or after this moment: a worker deletes it then.
        :param queue: another queue than the task's.
        :param group: the message group: on a FIFO queue order is kept within it, on a standard queue it is the tenant
            of SQS's fair queues.
        :param dedup_id: on a FIFO queue a message of the same id within 5 minutes is not delivered again.
        :param headers: text, numbers or bytes that go with the message: as its message attributes, or, in Celery's
            format, as its headers.
        """
        options = SendOptions(countdown, eta, expires, queue, group, dedup_id, headers)
        from ._calls import arguments_of

        arguments = arguments_of(self._declared.path, args, {} if kwargs is None else kwargs)
        return self._calls().send(arguments, options)

    async def adelay(self, *args: Any, **kwargs: Any) -> MessageId:
        """As ``delay``, for ``async`` code: the event loop runs on meanwhile.

        A call that is cancelled may still be sent.
        """
        return await self._calls().send_async((args, kwargs), self._options(kwargs))

    def delay_many(self, items: Iterable[Item]) -> list[Union[MessageId, Exception]]:
        """Send a call for each item, in parallel batches; of each the message's id or why it was not sent, in order.

        >>> send_email.delay_many([("Hello",), {"subject": "Hello", "to": "ada@example.org"}])
        ['219f8380-5770-4cc2-8c3e-5c715e145f5e', '0b7c4b8e-...']

        :param items: tuples (arguments by position) and mappings (arguments by keyword). No more than 5,000 are held at
            a time, so a generator may give any number. What it raises is raised when all before it is sent.
        """
        return self._calls().send_many(items)

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """As ``delay``, when Django's present transaction is committed; at once where there is none.

        The arguments are written now. What is rolled back is not sent.
        """
        self._calls().on_commit((args, kwargs), self._options(kwargs))

    @property
    def path(self) -> str:
        """The task's name in its messages."""
        return self._declared.path

    @property
    def queue(self) -> str:
        """The task's queue."""
        return self._declared.queue

    def body(self, *args: Any, **kwargs: Any) -> str:
        """What the message of this call would say."""
        return self._calls().body((args, kwargs))

    def _calls(self) -> Calls:
        if self._made is None:
            from ._calls import Calls

            self._made = Calls(self._declared, self._function, self._is_checked)
        return self._made

    def _options(self, kwargs: dict[str, Any]) -> SendOptions:
        """What a call's own keyword says, which is none of the function's."""
        if "_delay_seconds" not in kwargs:
            return NO_OPTIONS
        return SendOptions(countdown=_options.delay_seconds(self._declared.path, kwargs.pop("_delay_seconds")))
