"""``@task(max_concurrency=, rate_limit=)``: how much of a task is done at once, in one worker."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Union

from ._limits import is_positive
from .errors import SettingsInvalid

_RATE_SECS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Pace(NamedTuple):
    """How much of a task is done at once, in one worker."""

    max_concurrency: Optional[int] = None
    rate: Optional[tuple[int, float]] = None
    """So many starts in so many seconds."""


NO_PACE = Pace()


def checked(max_concurrency: Optional[int], rate_limit: Union[str, float, None]) -> Pace:
    """A task's as they were declared, refused where they make no sense.

    >>> checked(2, "10/m")
    Pace(max_concurrency=2, rate=(10, 60.0))
    """
    is_count = isinstance(max_concurrency, int) and not isinstance(max_concurrency, bool)
    if max_concurrency is not None and not (is_count and 1 <= max_concurrency < 2**31):
        raise SettingsInvalid(f"max_concurrency is {max_concurrency!r}; give a whole number from 1 up, or None")
    return Pace(max_concurrency, None if rate_limit is None else _rate(rate_limit))


def _rate(limit: Union[str, float]) -> tuple[int, float]:
    if is_positive(limit):
        number, seconds = float(limit), 1.0
    else:
        digits, _, unit = limit.partition("/") if isinstance(limit, str) else ("", "", "")
        number = int(digits) if digits.isascii() and digits.isdigit() else 0
        seconds = _RATE_SECS.get(unit or "s", 0.0)
    if not seconds or not 1e-6 <= number < 2**31:
        raise SettingsInvalid(
            f"rate_limit is {limit!r}; give a number of starts a second, or a text as '100/s', '10/m' or '3/h'"
        )
    return (int(number), seconds) if number == int(number) else (1, seconds / number)


def declare(function: Callable[..., Any], pace: Pace) -> None:
    """Make this the pace of a function that has its ``delay``, which decorators above ``@task`` take along."""
    function.delay.pace = pace  # type: ignore[attr-defined]


def declared(function: Callable[..., Any]) -> Pace:
    """The pace with which a function was marked."""
    pace = getattr(getattr(function, "delay", None), "pace", NO_PACE)
    return pace if isinstance(pace, Pace) else NO_PACE
