"""What was declared of a function, found out once: a worker asks for it with each message."""

from __future__ import annotations

import inspect
from typing import Any, Callable, NamedTuple, Optional

from . import _batch, _bound, _callbacks, _celery, _idempotency, _limits, _policy
from ._batch import Batch
from ._callbacks import Callbacks
from ._limits import Limits
from ._policy import Policy

FUNCTIONS_MAX = 10_000
"""Of so many the marks are kept; then they are found out anew."""


class Marks(NamedTuple):
    """Of one function."""

    function: Callable[..., Any]
    delay: object
    """Its ``delay``, which has them: another one, and they are others."""
    batch: Optional[Batch]
    limits: Limits
    policy: Policy
    callbacks: Callbacks
    bound: Optional[Callable[..., Any]]
    has_key: bool
    """It has an idempotency key."""
    has_request: bool
    """It is a task object of Celery's."""
    is_async: bool


# Keyed by id, since callable objects need not be hashable; the marks keep the object, and so its id, alive.
_found: dict[int, Marks] = {}


def of(function: Callable[..., Any]) -> Marks:
    """The marks of a function."""
    delay = getattr(function, "delay", None)
    marks = _found.get(id(function))
    if marks is not None and marks.delay is delay:
        return marks
    if len(_found) >= FUNCTIONS_MAX:
        _found.clear()
    marks = _found[id(function)] = Marks(
        function,
        delay,
        _batch.declared(function),
        _limits.declared(function),
        _policy.declared(function),
        _callbacks.declared(function),
        _bound.declared(function),
        _idempotency.is_declared(function),
        _celery.has_request(function),
        inspect.iscoroutinefunction(function),
    )
    return marks


def has_yield(function: Callable[..., Any]) -> bool:
    """Whether calling a function runs nothing of it."""
    function = inspect.unwrap(function)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
