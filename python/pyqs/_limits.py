"""Time limits: how long a task may run.

The hard limit is the manager's, which kills this process. The soft limit is an exception raised in the task
(``_soft_limits.py``).
"""

from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple, Optional

from .errors import SettingsInvalid


class Limits(NamedTuple):
    """Seconds from a task's begin; ``None`` is no limit."""

    hard: Optional[float] = None
    soft: Optional[float] = None

    def within(self, other: Limits) -> Limits:
        """The smaller of each."""
        if other == NO_LIMITS:
            return self
        return Limits(_smaller(self.hard, other.hard), _smaller(self.soft, other.soft))


NO_LIMITS = Limits()


class Clock:
    """What keeps a running task's limits, so that they can be moved."""

    def __init__(self) -> None:
        self._moves: list[Callable[[float], object]] = []

    def add(self, move: Callable[[float], object]) -> None:
        """Something that keeps a limit: how it is moved by so many seconds."""
        self._moves.append(move)

    def extend(self, seconds: float) -> None:
        """Move all limits so much later."""
        for move in self._moves:
            move(seconds)


def checked(time_limit: Optional[float], soft_time_limit: Optional[float]) -> Limits:
    """A task's limits as they were declared, refused where they make no sense."""
    for name, limit in (("time_limit", time_limit), ("soft_time_limit", soft_time_limit)):
        if limit is not None and not is_positive(limit):
            raise SettingsInvalid(f"{name} is {limit!r}; give seconds above 0, or None for no limit")
    if time_limit is not None and soft_time_limit is not None and soft_time_limit >= time_limit:
        raise SettingsInvalid(
            f"soft_time_limit is {soft_time_limit!r}, which is not below the time_limit of {time_limit!r} seconds that "
            "ends the task before; lower the soft one or raise the other"
        )
    return Limits(time_limit, soft_time_limit)


def declare(function: Callable[..., Any], limits: Limits) -> None:
    """Make these the limits of a function that has its ``delay``. Decorators written above ``@task`` take that along,
    and with it the limits, as ``functools.wraps`` does."""
    function.delay.time_limits = limits  # type: ignore[attr-defined]


def declared(function: Callable[..., Any]) -> Limits:
    """The limits with which a function was marked."""
    limits = getattr(getattr(function, "delay", None), "time_limits", NO_LIMITS)
    return limits if isinstance(limits, Limits) else NO_LIMITS


def _smaller(one: Optional[float], other: Optional[float]) -> Optional[float]:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def is_positive(limit: object) -> bool:
    """Whether this is a number of seconds above 0."""
    is_number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
    return is_number and math.isfinite(limit) and limit > 0  # type: ignore[arg-type,operator]
