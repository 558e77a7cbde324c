"""Calls of one task as messages: what ``.delay`` and its like do, imported by the first of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _batch, _bodies, _formats, _options, _producer, _pyqs, _signature, _values
from ._options import NO_OPTIONS, SQS_DELAY_SECONDS_MAX, Declared, SendOptions
from ._producer import MessageId, Outgoing
from ._signature import Parameters
from ._values import Arguments

if TYPE_CHECKING:
    from inspect import Parameter

    from ._sender import Item

logger = logging.getLogger("pyqs")

MANY_AT_ONCE = 5000
"""Messages that ``delay_many`` holds at a time."""


class Calls:
    """Calls of one task."""

    def __init__(self, declared: Declared, function: Optional[Callable[..., Any]], is_checked: bool) -> None:
        """The annotations of ``function`` say how arguments travel, and, if ``is_checked``, its signature which there
        may be: it is another function that runs, elsewhere, where a path of its own is given."""
        self._declared = declared
        self._function = function
        self._is_checked = is_checked
        # Known at the first call: a program may import many tasks of which it sends few.
        self._parameters: Optional[Parameters] = None
        self._types = _values.UNKNOWN
        self._is_warned = False

    def send(self, arguments: Arguments, options: SendOptions = NO_OPTIONS) -> MessageId:
        """Send a call; the message's id."""
        return _producer.send(*self._prepared(arguments, options))

    async def send_async(self, arguments: Arguments, options: SendOptions) -> MessageId:
        """The same, while the event loop runs on."""
        return await _producer.send_async(*self._prepared(arguments, options))

    def on_commit(self, arguments: Arguments, options: SendOptions) -> None:
        """The same, when Django's present transaction is committed."""
        try:
            from django.db import transaction  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise NotImplementedError("delay_on_commit needs Django: pip install django") from None
        queue, message = self._prepared(arguments, options)
        transaction.on_commit(lambda: _producer.send(queue, message))

    def send_many(self, items: Iterable[Item]) -> list[Union[MessageId, Exception]]:
        """Send a call for each item, in parallel batches: ids, or why not."""
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

    def body(self, arguments: Arguments) -> str:
        """What the message of this call would say."""
        if self._parameters is None:
            self._learn()
        return self._message(arguments, SendOptions())[1].body

    def _item(self, item: Item) -> Union[Outgoing, Exception]:
        try:
            if isinstance(item, tuple):
                arguments: Arguments = (item, {})
            elif isinstance(item, Mapping):
                arguments = arguments_of(self._declared.path, (), item)
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


def arguments_of(path: str, args: Any, kwargs: Any) -> Arguments:
    """Both kinds of arguments as a call has them. Raises ``TypeError`` for what can be none."""
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        raise TypeError(f"the args of {path} are a {type(args).__name__}; give a list or a tuple")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise TypeError(f"the kwargs of {path} are {kwargs!r}; give a dict of arguments by their names")
    return tuple(args), dict(kwargs)
