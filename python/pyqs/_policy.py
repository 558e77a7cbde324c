"""What is to become of a message whose task failed: ``@task(retries=, backoff=, ...)``, ``Retry`` and ``Discard``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Callable, Literal, NamedTuple, Optional, Union

from .errors import SettingsInvalid

Backoff = Union[float, Sequence[float], Callable[[int], float]]
"""Seconds before each retry: the base of an exponential, one after the other, or a function of the retry's number."""

Errors = Union[type[BaseException], tuple[type[BaseException], ...]]

BACKOFF_DEFAULT_SECS = 1.0
"""The base, where ``retries`` is given and ``backoff`` is not."""

BACKOFF_MAX_SECS = 900.0
"""An exponential ends here, or at its base if that is longer."""

DELAY_MAX_SECS = 366 * 24 * 3600
"""The longest delay of a retry, and of a message."""


class Retry(Exception):
    """Raised in a task: run it again.

    >>> raise Retry(after=60)

    :param after: in so many seconds; without it, as the task's ``backoff`` says.

    It counts as a failed run: where the task has ``retries``, these end it too.
    """

    def __init__(self, message: str = "", *, after: Optional[float] = None) -> None:
        super().__init__(message)
        if after is not None:
            check_seconds("Retry(after=...)", after)
        self.after = after


class Discard(Exception):
    """Raised in a task: its message is deleted, and nothing comes of it.

    >>> raise Discard("the order is gone")
    """


Outcome = Literal["failed", "retry", "exhausted", "discarded", "dead_letter"]


class Decision(NamedTuple):
    """What becomes of a message."""

    outcome: Outcome
    delay_seconds: int = 0
    queue: Optional[str] = None
    has_errbacks: bool = False
    """Its message's ``link_error`` is sent, and then the message is deleted."""


class Policy(NamedTuple):
    """A task's own rules for its failures. All ``None``: the message is left to its visibility timeout."""

    retries: Optional[int] = None
    backoff: Optional[Backoff] = None
    retry_on: Optional[Errors] = None
    discard_on: Optional[Errors] = None
    dead_letter_on: Optional[Errors] = None
    dead_letter: Optional[str] = None

    def checked(self) -> Policy:
        """The same, if it can be. Raises :class:`SettingsInvalid`."""
        retries = self.retries
        if retries is not None and (not isinstance(retries, int) or isinstance(retries, bool) or retries < 0):
            raise SettingsInvalid(f"retries={retries!r}; give a whole number, 0 for none: 3 is up to four runs")
        if retries is None and (self.backoff is not None or self.retry_on is not None):
            raise SettingsInvalid("backoff= and retry_on= need retries=, the number of retries")
        if self.dead_letter is not None and (not isinstance(self.dead_letter, str) or not self.dead_letter):
            raise SettingsInvalid(f"dead_letter={self.dead_letter!r}; give a queue's name")
        if self.dead_letter is not None and retries is None and self.dead_letter_on is None:
            raise SettingsInvalid("dead_letter= needs retries=, after which it is used, or dead_letter_on=")
        if self.dead_letter_on is not None and self.dead_letter is None:
            raise SettingsInvalid("dead_letter_on= needs dead_letter=, the queue's name")
        _check_backoff(self.backoff)
        for name in ("retry_on", "discard_on", "dead_letter_on"):
            _check_errors(name, getattr(self, name))
        return self

    def decide(self, error: BaseException, attempt: int) -> Decision:
        """What becomes of the message after its run number ``attempt`` raised ``error``."""
        if isinstance(error, Discard) or _is(error, self.discard_on):
            return Decision("discarded")
        if _is(error, self.dead_letter_on):
            return Decision("dead_letter", queue=self.dead_letter)
        is_wanted = isinstance(error, Retry)
        if self.retries is None and not is_wanted:
            return Decision("failed")
        if not is_wanted and self.retry_on is not None and not _is(error, self.retry_on):
            return self._give_up()
        return self._next_run(attempt, error.after if isinstance(error, Retry) else None)

    def decide_death(self, attempt: int) -> Decision:
        """What becomes of the message if its run number ``attempt`` ends with its process: killed, crashed, or at its
        time limit. It raises nothing that ``retry_on`` and the others could name, so it is retried while retries are
        left."""
        return Decision("failed") if self.retries is None else self._next_run(attempt)

    def _next_run(self, attempt: int, after: Optional[float] = None) -> Decision:
        if self.retries is not None and attempt > self.retries:
            return self._give_up()
        return Decision("retry", delay_seconds=math.ceil(self.pause(attempt) if after is None else after))

    def _give_up(self) -> Decision:
        return Decision("dead_letter", queue=self.dead_letter) if self.dead_letter else Decision("exhausted")

    def pause(self, attempt: int) -> float:
        """Seconds before the retry that follows the run number ``attempt``, 1 for the first."""
        backoff = BACKOFF_DEFAULT_SECS if self.backoff is None else self.backoff
        if callable(backoff):
            seconds = backoff(attempt)
            check_seconds("what backoff= returned", seconds)
            return seconds
        if isinstance(backoff, (int, float)):
            import random  # here, since whoever sends needs none

            longest = max(BACKOFF_MAX_SECS, backoff)
            # The upper half, so that messages that failed together do not come back together.
            return min(backoff * 2.0 ** min(attempt - 1, 60), longest) * random.uniform(0.5, 1.0)
        return backoff[min(attempt, len(backoff)) - 1]


NO_POLICY = Policy()


def declare(function: Callable[..., Any], policy: Policy) -> None:
    """Make this the policy of a function that has its ``delay``, which decorators above ``@task`` take along."""
    function.delay.policy = policy  # type: ignore[attr-defined]


def declared(function: Callable[..., Any]) -> Policy:
    """The policy with which a function was marked."""
    policy = getattr(getattr(function, "delay", None), "policy", NO_POLICY)
    return policy if isinstance(policy, Policy) else NO_POLICY


def _is(error: BaseException, errors: Optional[Errors]) -> bool:
    return errors is not None and isinstance(error, errors)


def _check_backoff(backoff: Any) -> None:
    if backoff is None or callable(backoff):
        return
    if isinstance(backoff, (int, float)) and not isinstance(backoff, bool):
        check_seconds("backoff=", backoff)
        return
    if isinstance(backoff, str) or not isinstance(backoff, Sequence) or not backoff:
        raise SettingsInvalid(
            f"backoff={backoff!r}; give seconds, a list of the seconds before each retry, or a function of its number"
        )
    for seconds in backoff:
        check_seconds("backoff=", seconds)


def check_seconds(name: str, seconds: Any) -> None:
    """Refuse what is no delay."""
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 <= seconds <= DELAY_MAX_SECS:
        raise SettingsInvalid(f"{name} is {seconds!r}; give seconds from 0 to {DELAY_MAX_SECS}, which is 366 days")


def _check_errors(name: str, errors: Any) -> None:
    if errors is None:
        return
    of_it = errors if isinstance(errors, tuple) else (errors,)
    if not all(isinstance(error, type) and issubclass(error, BaseException) for error in of_it):
        raise SettingsInvalid(f"{name}={errors!r}; give an exception class, or a tuple of them")


def what_follows(decision: Decision, attempt: int) -> str:
    """What is to be logged behind a failure."""
    if decision.has_errbacks:
        whereto = "is deleted" if decision.queue is None else f"goes to dead-letter queue {decision.queue}"
        return f"; run {attempt}, its link_error is sent, and then its message {whereto}"
    if decision.outcome == "retry":
        return f"; run {attempt}, the next one in {decision.delay_seconds} s"
    if decision.outcome == "exhausted":
        return f"; run {attempt}, and no retry is left: its message stays in its queue"
    if decision.queue is not None:
        return f"; run {attempt}, its message goes to dead-letter queue {decision.queue}"
    return ""
