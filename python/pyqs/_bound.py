"""``self`` of a task marked ``@task(bind=True)``: what it knows of its message, and what it may ask for."""

from __future__ import annotations

import contextvars
import functools
import math
from typing import Any, Callable, NoReturn, Optional, Union

from ._policy import Retry
from ._signature import signature_of
from .errors import SettingsInvalid

Function = Callable[..., Any]


class Request:
    """The message that a task runs for.

    Where the task was called directly, as a function, there is none: ``id`` and ``queue`` are empty, numbers are 0 and
    ``deadline`` is infinite.
    """

    def __init__(
        self,
        args: list[Any],
        kwargs: dict[str, Any],
        *,
        id: str = "",
        retries: int = 0,
        receive_count: int = 0,
        queue: str = "",
        attributes: Optional[dict[str, Union[str, bytes]]] = None,
        deadline: float = math.inf,
    ) -> None:
        self.id = id
        """The message id, which ``.delay`` returned. It stays the same when the message is sent on or retried."""
        self.retries = retries
        """How often it was run before, as far as is known: 0 in the first run, never too low."""
        self.receive_count = receive_count
        """How often SQS has delivered it, this time included."""
        self.queue = queue
        """The name of the queue that it came from."""
        self.args = args
        """The positional arguments."""
        self.kwargs = kwargs
        """The keyword arguments."""
        self.attributes = {} if attributes is None else attributes
        """Its message attributes: texts and numbers as ``str``, the others as ``bytes``."""
        self.deadline = deadline
        """When the task must have ended, in seconds since 1970, as ``time.time()`` counts: at its time limit, or when
        its message can't be kept hidden any more, whichever comes first."""

    def __repr__(self) -> str:
        return f"Request(id={self.id!r}, retries={self.retries}, queue={self.queue!r})"


class BoundTask:
    """``self`` of a task marked ``@task(bind=True)``.

    >>> @task(queue="email", bind=True)
    ... def send_email(self: BoundTask, to):
    ...     if is_paused():
    ...         self.retry(after=300)
    ...     send(to, key=self.request.id)
    """

    def __init__(self, name: str, request: Request, extend: Optional[Callable[[float], float]] = None) -> None:
        self.name = name
        """The task's name, as messages give it."""
        self.request = request
        """The message."""
        self._extend = extend

    def __repr__(self) -> str:
        return f"<task {self.name} of {self.request!r}>"

    def retry(self, message: str = "", *, after: Optional[float] = None) -> NoReturn:
        """End this run and ask for another: it raises :class:`pyqs.Retry`.

        :param after: in so many seconds; without it, as the task's ``backoff`` says.
        """
        raise Retry(message, after=after)

    def extend(self, seconds: float) -> float:
        """Ask for so much more time: the soft and the hard time limit, where the task has them, come so many seconds
        later. Gives the new ``request.deadline``.

        The message's visibility timeout needs no such call: it is extended for as long as the task runs. Its end, 12
        hours or ``--extend-visibility-max`` after the message was received, does not move.
        """
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
            raise SettingsInvalid(f"extend({seconds!r}); give seconds, 0 or more")
        if self._extend:
            self.request.deadline = self._extend(seconds)
        return self.request.deadline


def bind(function: Function, path: str) -> Function:
    """A function that gives this one its ``self``: that of the message which runs, else one of a direct call."""
    import inspect  # here, since it takes longer to import than all the rest

    signature = signature_of(function)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    ):
        raise SettingsInvalid(f"bind=True gives {path} its `self`, so it needs a first parameter for it")

    def own_self(args: tuple[Any, ...], kwargs: dict[str, Any]) -> BoundTask:
        handed = _handed_over.get()
        if handed is None or handed[0] is not bound:
            return BoundTask(path, Request(list(args), kwargs))
        # Once: the task may call itself, or another one, directly.
        _handed_over.set(None)
        return handed[1]

    bound: Any
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def bound_async(*args: Any, **kwargs: Any) -> Any:
            return await function(own_self(args, kwargs), *args, **kwargs)

        bound = bound_async
    else:

        @functools.wraps(function)
        def bound_plain(*args: Any, **kwargs: Any) -> Any:
            return function(own_self(args, kwargs), *args, **kwargs)

        bound = bound_plain
    if parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]
    bound.__signature__ = signature.replace(parameters=parameters)
    return bound  # type: ignore[no-any-return]


def declare(function: Function) -> None:
    """Say of a function that has its ``delay`` that it is a bound one, which decorators above ``@task`` take along."""
    function.delay.bound = function  # type: ignore[attr-defined]


def declared(function: Function) -> Optional[Function]:
    """The function that ``bind`` gave, in this one or in what it decorates."""
    return getattr(getattr(function, "delay", None), "bound", None)


def hand_over(bound: Function, task: BoundTask) -> None:
    """Make this the ``self`` of the next call of a function that ``bind`` gave, in the present context."""
    _handed_over.set((bound, task))


def take_back() -> None:
    """A ``self`` that was not taken is for nobody else."""
    _handed_over.set(None)


_handed_over: contextvars.ContextVar[Optional[tuple[Function, BoundTask]]] = contextvars.ContextVar(
    "pyqs_bound_task", default=None
)
