"""Sending calls of one task: what ``.delay`` and its like stand on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _batch, _bodies, _formats, _options, _producer, _pyqs, _signature, _values
from ._options import NO_OPTIONS, Declared, Headers, SendOptions
from ._producer import MessageId, Outgoing
from ._signature import Parameters
from ._values import Arguments

if TYPE_CHECKING:
    from inspect import Parameter

logger = logging.getLogger("pyqs")

SQS_DELAY_SECONDS_MAX = 900
"""The longest delay that SQS itself keeps; beyond it, workers send the message on until it is due."""

MANY_AT_ONCE = 5000
"""Messages that ``delay_many`` holds at a time."""

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
        # Known at the first call: a program may import many tasks of which it sends few.
        self._parameters: Optional[Parameters] = None
        self._types = _values.UNKNOWN
        self._is_warned = False

    def delay(self) -> Callable[..., MessageId]:
        """The function that becomes ``.delay``: of its own, so that it can carry what else the task declares."""

        def delay(*args: Any, **kwargs: Any) -> MessageId:
            """Send this call to the queue and return the message's id.

            ``_delay_seconds=`` overrides the task's own delay, within the same limits.
            """
            return self._send((args, kwargs), self._options(kwargs))

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
        return self._send(_arguments(self._declared.path, args, {} if kwargs is None else kwargs), options)

    async def adelay(self, *args: Any, **kwargs: Any) -> MessageId:
        """As ``delay``, for ``async`` code: the event loop runs on meanwhile.

        A call that is cancelled may still be sent.
        """
        return await _producer.send_async(*self._prepared((args, kwargs), self._options(kwargs)))

    def delay_many(self, items: Iterable[Item]) -> list[Union[MessageId, Exception]]:
        """Send a call for each item, in parallel batches; of each the message's id or why it was not sent, in order.

        >>> send_email.delay_many([("Hello",), {"subject": "Hello", "to": "ada@example.org"}])
        ['219f8380-5770-4cc2-8c3e-5c715e145f5e', '0b7c4b8e-...']

        :param items: tuples (arguments by position) and mappings (arguments by keyword). No more than 5,000 are held at
            a time, so a generator may give any number. What it raises is raised when all before it is sent.
        """
        results: list[Union[MessageId, Exception]] = []
        chunk: list[Union[Outgoing, Exception]] = []
        try:
            for item in items:
                chunk.append(self._item(item))
                if len(chunk) == MANY_AT_ONCE:
                    full, chunk = chunk, []
                    results += self._send_chunk(full)
        finally:
            results += self._send_chunk(chunk)
        failed = [result for result in results if isinstance(result, Exception)]
        if failed:
            logger.warning(
                "%d of %d messages of task %s were not sent; the first: %s",
                len(failed),
                len(results),
                self._declared.path,
                failed[0],
            )
        return results

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> None:
        """As ``delay``, when Django's present transaction is committed; at once where there is none.

        The arguments are written now. What is rolled back is not sent.
        """
        try:
            from django.db import transaction  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise NotImplementedError("delay_on_commit needs Django: pip install django") from None
        queue, message = self._prepared((args, kwargs), self._options(kwargs))
        transaction.on_commit(lambda: _producer.send(queue, message))

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
        if self._parameters is None:
            self._learn()
        return self._message((args, kwargs), SendOptions())[1].body

    def _item(self, item: Item) -> Union[Outgoing, Exception]:
        try:
            if isinstance(item, tuple):
                arguments: Arguments = (item, {})
            elif isinstance(item, Mapping):
                arguments = _arguments(self._declared.path, (), item)
            else:
                kind = type(item).__name__
                raise TypeError(f"an item for {self._declared.path} is a {kind}; give a tuple, or a dict by name")
            return self._prepared(arguments, NO_OPTIONS)[1]
        except Exception as error:
            return error

    def _send_chunk(self, chunk: list[Union[Outgoing, Exception]]) -> list[Union[MessageId, Exception]]:
        messages = [message for message in chunk if isinstance(message, Outgoing)]
        answers = iter(_producer.send_many(self._declared.queue, messages) if messages else ())
        return [next(answers) if isinstance(message, Outgoing) else message for message in chunk]

    def _options(self, kwargs: dict[str, Any]) -> SendOptions:
        """What a call's own keyword says, which is none of the function's."""
        if "_delay_seconds" not in kwargs:
            return NO_OPTIONS
        return SendOptions(countdown=_options.delay_seconds(self._declared.path, kwargs.pop("_delay_seconds")))

    def _send(self, arguments: Arguments, options: SendOptions) -> MessageId:
        return _producer.send(*self._prepared(arguments, options))

    def _prepared(self, arguments: Arguments, options: SendOptions) -> tuple[str, Outgoing]:
        parameters = self._parameters or self._learn()
        missing = parameters.missing(self._declared.path, *arguments)
        prepared = self._message(arguments, options)
        if missing:
            self._warn_of(missing)
        logger.info("Delaying task %s: %s, %s", self._declared.path, *arguments)
        return prepared

    def _learn(self) -> Parameters:
        """Find out what the function takes."""
        parameters = _signature.ANYTHING
        if self._function is not None:
            called = _signature.as_called(self._function)
            self._types = _values.types_of(called)
            found = self._parameters_of(called) if self._is_checked else None
            if found is not None:
                parameters = Parameters(found)
        self._parameters = parameters
        return parameters

    @staticmethod
    def _parameters_of(function: Callable[..., Any]) -> Optional[list[Parameter]]:
        if not _batch.declared(function):
            return _signature.parameters_of(function)
        # A call gives one item of the list that a batch's function takes.
        try:
            return _batch.item_parameters(function)
        except Exception:  # of resolving the annotation, which its types tell where it matters
            return None

    def _warn_of(self, missing: list[str]) -> None:
        """Say it once: PyQS's users send such calls, and may have a worker whose function takes less."""
        if not self._is_warned:
            self._is_warned = True
            logger.warning(
                "Task %s is sent without %s, which it needs: it will fail where it runs. Give it, or give the function "
                "a default; this is said once",
                self._declared.path,
                ", ".join(missing),
            )

    def _message(self, arguments: Arguments, options: SendOptions) -> tuple[str, Outgoing]:
        """The queue for a call, and its message."""
        declared = self._declared
        times = _options.times(declared, options)
        queue = _options.queue(declared, options)
        format = _formats.chosen(declared.format)
        headers = _options.headers(declared.path, format, options.headers)
        written, mark = self._types.encode(declared.path, arguments, is_celerys=format == "celery")
        attributes: dict[str, Any] = {} if mark is None else {_values.ATTRIBUTE: mark}
        delay_seconds = times.delay_seconds
        if format == "celery":
            body = _bodies.celery(
                declared.path,
                written,
                self._types.advice,
                queue=queue,
                eta=times.due_at,
                expires=times.expires_at,
                limits=declared.limits,
                headers=headers,
            )
            # Beyond SQS's longest, whoever receives it goes by its eta.
            delay_seconds = min(delay_seconds, SQS_DELAY_SECONDS_MAX)
        else:
            body = _bodies.native(declared.path, written, self._types.advice)
            attributes.update(headers)
            if times.expires is not None:
                attributes[_pyqs.EXPIRES_ATTRIBUTE] = int(times.expires * 1000)
        group = _options.group(declared, options, *arguments)
        dedup_id = _options.dedup_id(declared, options, *arguments)
        return queue, Outgoing(body, delay_seconds, group, dedup_id, attributes)


def _arguments(path: str, args: Any, kwargs: Any) -> Arguments:
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        raise TypeError(f"the args of {path} are a {type(args).__name__}; give a list or a tuple")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise TypeError(f"the kwargs of {path} are {kwargs!r}; give a dict of arguments by their names")
    return tuple(args), dict(kwargs)
