"""``@task``: gives a function ``.delay``, which sends a call of it to a queue."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union, cast, overload

from . import _bound, _limits, _policy, _producer, _registry
from ._limits import NO_LIMITS, Limits
from ._policy import DELAY_MAX_SECS, NO_POLICY, Backoff, Errors, Policy
from ._producer import MessageId
from .errors import SettingsInvalid
from .utils import function_to_import_path

if TYPE_CHECKING:
    from typing import Literal, Protocol, TypeVar

    from typing_extensions import Concatenate, ParamSpec

    from ._bound import BoundTask

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)

    class Task(Protocol[P, R]):
        """A function marked with ``@task``: itself when called, a message when delayed."""

        __name__: str

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

        @overload
        def delay(self, *args: P.args, **kwargs: P.kwargs) -> MessageId: ...

        # A keyword beside a ParamSpec can't be written down, so with `_delay_seconds` arguments go unchecked.
        @overload
        def delay(self, *args: Any, _delay_seconds: Optional[int], **kwargs: Any) -> MessageId: ...

    class Decorator(Protocol):
        """What ``task(...)`` returns: to be applied to a function."""

        queue_name: Optional[str]
        delay_seconds: Optional[int]
        function_path: Optional[str]

        def __call__(self, function: Callable[P, R]) -> Task[P, R]: ...

    class BoundDecorator(Protocol):
        """What ``task(bind=True)`` returns: callers don't give the function's ``self``."""

        queue_name: Optional[str]
        delay_seconds: Optional[int]
        function_path: Optional[str]

        def __call__(self, function: Callable[Concatenate[BoundTask, P], R]) -> Task[P, R]: ...


logger = logging.getLogger("pyqs")

DELAY_SECONDS_MAX = DELAY_MAX_SECS
"""The longest delay, 366 days: what is above is more likely milliseconds, or a moment, than seconds."""

SQS_DELAY_SECONDS_MAX = 900
"""The longest delay that SQS itself keeps; beyond it, workers send the message on until it is due."""


@overload
def task(queue: Callable[P, R]) -> Task[P, R]: ...


@overload
def task(
    queue: Optional[str] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    retries: Optional[int] = None,
    backoff: Optional[Backoff] = None,
    retry_on: Optional[Errors] = None,
    discard_on: Optional[Errors] = None,
    dead_letter_on: Optional[Errors] = None,
    dead_letter: Optional[str] = None,
    bind: Literal[False] = False,
) -> Decorator: ...


@overload
def task(
    queue: Optional[str] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    retries: Optional[int] = None,
    backoff: Optional[Backoff] = None,
    retry_on: Optional[Errors] = None,
    discard_on: Optional[Errors] = None,
    dead_letter_on: Optional[Errors] = None,
    dead_letter: Optional[str] = None,
    bind: Literal[True],
) -> BoundDecorator: ...


def task(
    queue: Union[str, Callable[..., Any], None] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    retries: Optional[int] = None,
    backoff: Optional[Backoff] = None,
    retry_on: Optional[Errors] = None,
    discard_on: Optional[Errors] = None,
    dead_letter_on: Optional[Errors] = None,
    dead_letter: Optional[str] = None,
    bind: bool = False,
) -> Any:
    """Mark a function as a task. The very same function comes back, with one attribute more: ``delay``.

    >>> @task(queue="email", delay_seconds=5)
    ... def send_email(subject, to="everyone"):
    ...     print(subject, to)
    >>> send_email("now, here")
    now, here everyone
    >>> send_email.delay("later, in a worker", to="ada@example.org", _delay_seconds=60)
    '219f8380-5770-4cc2-8c3e-5c715e145f5e'

    :param queue: the queue's name; by default the function's path, ``module.function``.
    :param delay_seconds: how long the message waits before it runs, in whole seconds; 0 by default, at most 31622400,
        which is 366 days. On a FIFO queue SQS takes none. Above 900, SQS's longest, the message carries the time at
        which it is due, which workers of the original PyQS don't know: they run it after 900 s.
    :param custom_function_path: the name in the message, instead of ``module.function``.
    :param time_limit: seconds after which the task is ended, whatever it does, by killing its process; an
        ``async def`` task is cancelled first. It counts as failed.
    :param soft_time_limit: seconds after which :class:`pyqs.errors.SoftTimeLimitExceeded` is raised in it.
    :param retries: a failed task is run again up to so many times: 3 is up to four runs. By default its message is left
        to the queue's visibility timeout, as PyQS does.
    :param backoff: seconds before each retry: a number is the base of an exponential (at most 900, spread over its
        upper half; 1 by default), a list is taken in order and its last repeats, a function gets the retry's number.
    :param retry_on: only these exceptions are retried; others are at once as after the last retry.
    :param discard_on: for these exceptions the message is deleted, as for ``raise Discard()``.
    :param dead_letter_on: for these exceptions the message goes to ``dead_letter`` at once.
    :param dead_letter: the queue to which a message goes after the last retry; without it, the message stays with the
        queue's visibility timeout, until the queue's own redrive policy takes it.
    :param bind: the function's first parameter, ``self``, is a :class:`pyqs.BoundTask`, which has the message as
        ``self.request`` and can ``retry`` and ``extend``. Callers don't give it.

    ``@task`` without parentheses is ``@task()``.
    """
    if callable(queue):
        return _Decorator(None, None, None)(queue)
    policy = Policy(retries, backoff, retry_on, discard_on, dead_letter_on, dead_letter).checked()
    limits = _limits.checked(time_limit, soft_time_limit)
    return _Decorator(queue, delay_seconds, custom_function_path, limits, policy, bind)


class _Decorator:
    def __init__(
        self,
        queue: Optional[str],
        delay_seconds: Optional[int],
        custom_function_path: Optional[str],
        limits: Limits = NO_LIMITS,
        policy: Policy = NO_POLICY,
        is_bound: bool = False,
    ) -> None:
        self.queue_name = queue
        self.delay_seconds = delay_seconds
        self.function_path = custom_function_path
        self._limits = limits
        self._policy = policy
        self._is_bound = is_bound

    def __call__(self, function: Callable[..., Any]) -> Any:
        if self._is_bound:
            function = _bound.bind(function, self.function_path or function_to_import_path(function))
        cast(Any, function).delay = task_delayer(
            self.function_path or function, self.queue_name, self.delay_seconds, override=bool(self.function_path)
        )
        _limits.declare(function, self._limits)
        _policy.declare(function, self._policy)
        if self._is_bound:
            _bound.declare(function)
        if self.function_path:
            _registry.register(self.function_path, function)
        _registry.register(function_to_import_path(function), function)
        return function


def task_delayer(
    func_to_delay: Union[str, Callable[..., Any]],
    queue_name: Optional[str],
    delay_seconds: Optional[int] = None,
    override: bool = False,
) -> Callable[..., MessageId]:
    """The function that becomes ``.delay``. Kept for code that PyQS's users wrote; ``@task`` is the usual way.

    With ``override``, ``func_to_delay`` is the path itself.
    """
    path = function_to_import_path(func_to_delay, override=override)
    queue = queue_name or path
    _checked_delay(path, delay_seconds)

    def delay(*args: Any, **kwargs: Any) -> MessageId:
        """Send this call to the queue and return the message's id.

        ``_delay_seconds=`` overrides the task's own delay, within the same limits.
        """
        seconds = _checked_delay(path, kwargs.pop("_delay_seconds", delay_seconds))
        body = _body(path, args, kwargs)
        logger.info("Delaying task %s: %s, %s", path, args, kwargs)
        return _producer.send(queue, body, seconds)

    return delay


class Queue(NamedTuple):
    """A queue, as far as code that used boto3's object through PyQS needs it."""

    url: str

    def send_message(self, MessageBody: str, DelaySeconds: int = 0) -> dict[str, str]:
        """Send a body as it is, delayed by at most SQS's 900 s; the answer has its ``MessageId``."""
        if not 0 <= DelaySeconds <= SQS_DELAY_SECONDS_MAX:
            raise SettingsInvalid(
                f"DelaySeconds is {DelaySeconds!r}; SQS takes 0 to {SQS_DELAY_SECONDS_MAX} (.delay takes more)"
            )
        name = self.url.rsplit("/", 1)[1]
        return {"MessageId": str(_producer.send(name, MessageBody, DelaySeconds))}


def get_or_create_queue(queue_name: str) -> Queue:
    """The queue of this name, which is created where it is missing. Kept for code that PyQS's users wrote."""
    return Queue(_producer.queue_url(queue_name))


def _checked_delay(path: str, seconds: Optional[int]) -> int:
    if seconds is None:
        return 0
    if not isinstance(seconds, int) or not 0 <= seconds <= DELAY_SECONDS_MAX:
        raise SettingsInvalid(
            f"the delay of {path} is {seconds!r}; give whole seconds from 0 to {DELAY_SECONDS_MAX}, which is 366 days"
        )
    return seconds


def _body(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The message, byte for byte as PyQS writes it."""
    try:
        return json.dumps({"task": path, "args": args, "kwargs": kwargs})
    except (TypeError, ValueError, RecursionError) as error:
        raise _unserialisable(path, args, kwargs, error) from None


def _unserialisable(path: str, args: tuple[Any, ...], kwargs: dict[str, Any], cause: Exception) -> Exception:
    """An error of the same class that names the argument which JSON can't carry."""
    named = [(f"argument {position}", value) for position, value in enumerate(args, start=1)]
    named += [(f"argument {name}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            return type(error)(
                f"{name} of {path} is a {type(value).__name__} that JSON can't carry ({error}); "
                "send plain values: numbers, text, lists, dicts"
            )
    return cause
