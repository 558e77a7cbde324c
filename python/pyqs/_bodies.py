"""The body of a message: a call of a task, in PyQS's format or in Celery's."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Callable, NamedTuple, Optional

from . import _pyqs
from ._limits import NO_LIMITS, Limits

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Of one call: by position, and by keyword."""

_UNWRITABLE = (TypeError, ValueError, RecursionError)


def native(task: str, arguments: Arguments) -> str:
    """The call, byte for byte as PyQS writes it."""
    args, kwargs = arguments
    try:
        return json.dumps({"task": task, "args": args, "kwargs": kwargs})
    except _UNWRITABLE as error:
        advice = "; send plain values: numbers, text, lists, dicts"
        raise _named(task, arguments, json.dumps, error, advice) from None


class CeleryFacts(NamedTuple):
    """What a message in Celery's format says of a call besides its arguments."""

    task: str
    id: str
    queue: str
    eta: Optional[datetime]
    expires: Optional[datetime]
    time_limit: Optional[float]
    soft_time_limit: Optional[float]
    origin: str
    headers: dict[str, Any]


def celery(
    task: str,
    arguments: Arguments,
    *,
    queue: str,
    eta: Optional[datetime] = None,
    expires: Optional[datetime] = None,
    limits: Limits = NO_LIMITS,
    headers: Optional[Mapping[str, Any]] = None,
) -> str:
    """The call as Celery 4.4 and later run it: protocol 2, JSON, with datetime, date, time, Decimal, UUID and bytes
    as kombu 5.3 and later type them. Times have a zone."""
    facts = CeleryFacts(
        task=task,
        id=str(uuid.uuid4()),
        queue=queue,
        eta=eta,
        expires=expires,
        time_limit=limits.hard,
        soft_time_limit=limits.soft,
        origin=f"gen{os.getpid()}@{socket.gethostname()}",
        headers=dict(headers or {}),
    )
    args, kwargs = arguments
    try:
        return _pyqs.celery_body(facts, args, kwargs)
    except _UNWRITABLE as error:

        def write(value: Any) -> object:
            return _pyqs.celery_body(facts, (value,), {})

        raise _named(task, arguments, write, error) from None


def _named(
    task: str, arguments: Arguments, write: Callable[[Any], object], cause: Exception, advice: str = ""
) -> Exception:
    """An error of the same class that names the argument which the format can't carry."""
    args, kwargs = arguments
    named = [(f"argument {position}", value) for position, value in enumerate(args, start=1)]
    named += [(f"argument {name}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            write(value)
        except _UNWRITABLE as error:
            return type(error)(f"{name} of {task} is a {type(value).__name__} that JSON can't carry ({error}){advice}")
    return cause
