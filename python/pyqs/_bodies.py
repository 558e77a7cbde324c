"""The body of a message: a call of a task, in PyQS's format or in Celery's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Callable, NamedTuple, Optional

from . import _pyqs, _values
from ._limits import NO_LIMITS, Limits
from ._values import Arguments, Place

_UNWRITABLE = (TypeError, ValueError, RecursionError)


Advice = Callable[[Place], str]
"""What to do about an argument that the format can't carry."""


def native(task: str, arguments: Arguments, advice: Advice = _values.UNKNOWN.advice) -> str:
    """The call, byte for byte as PyQS writes it."""
    args, kwargs = arguments
    try:
        return json.dumps({"task": task, "args": args, "kwargs": kwargs})
    except _UNWRITABLE as error:
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
    advice: Advice = _values.UNKNOWN.advice,
    *,
    queue: str,
    eta: Optional[datetime] = None,
    expires: Optional[datetime] = None,
    limits: Limits = NO_LIMITS,
    headers: Optional[Mapping[str, Any]] = None,
) -> str:
    """The call as Celery 4.4 and later run it: protocol 2, JSON, with datetime, date, time, Decimal, UUID and bytes
    as kombu 5.3 and later type them. Times have a zone."""
    # Here, since they take longer to import than all the rest, and most programs send no such messages.
    import socket
    import uuid

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

        raise _named(task, arguments, write, error, advice) from None


def _named(
    task: str, arguments: Arguments, write: Callable[[Any], object], cause: Exception, advice: Advice
) -> Exception:
    """An error of the same class that names the argument which the format can't carry."""
    for place, value in _values.places_of(arguments):
        try:
            write(value)
        except _UNWRITABLE as error:
            kind = type(value).__name__
            help = advice(place) if isinstance(error, TypeError) else ""
            return type(error)(f"{_values.named(place)} of {task} is a {kind} that JSON can't carry ({error}){help}")
    return cause
