"""What happens to tasks and to the worker, for functions that want to know.

>>> from pyqs.events import TaskFailed, on
>>> @on(TaskFailed)
... def alert(event: TaskFailed):
...     notify(f"{event.task} of message {event.message_id} failed: {event.exception!r}")

A listener gets an event, a frozen dataclass: :class:`TaskReceived`, :class:`TaskStarted`, :class:`TaskSucceeded`,
:class:`TaskFailed`, :class:`TaskRetried`, :class:`TaskDiscarded`, :class:`ProcessStarted` and :class:`ProcessStopped`
in the task process, :class:`TaskCrashed`, :class:`WorkerStarted` and :class:`WorkerStopped` in the supervisor, which
knows the listeners of the program that starts the worker and of the modules that ``--preload`` names. A listener that
raises is logged and changes nothing.

PyQS's hooks are beside them, as they were:

>>> from pyqs.events import register_event
>>> def trace(context):
...     print(context["full_task_path"], context["args"])
>>> register_event("pre_process", trace)

Hooks run in the task process, in order of registration, with a plain dict: ``message_id``, ``task_name``, ``args``,
``kwargs``, ``full_task_path``, ``fetch_time``, ``queue_url``, ``timeout``, ``receipt_handle``. After the task also
``status`` (``success`` or ``exception``) and, for an exception, ``exception`` (its traceback as text). A
``pre_process`` hook that raises makes the task fail; a ``post_process`` hook that raises is logged and changes nothing,
since by then the task's outcome is recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable, Literal, Optional, TypeVar

from . import _callbacks

logger = logging.getLogger("pyqs")

Context = dict[str, Any]
Hook = Callable[[Context], object]

_EVENT_NAMES = ("pre_process", "post_process")


@dataclass(frozen=True)
class Event:
    """Something that has happened. Who listens to it hears of everything."""


@dataclass(frozen=True)
class WorkerEvent(Event):
    """Something about the worker as a whole, in its supervisor."""

    pid: int
    """The supervisor's process."""


@dataclass(frozen=True)
class WorkerStarted(WorkerEvent):
    """The worker has been started. Whether it reaches SQS is not known yet."""

    queues: tuple[str, ...]
    """Names and patterns of queues, as they were given."""
    concurrency: int
    """Task processes."""
    threads: int
    """Tasks that each of them runs at once."""


@dataclass(frozen=True)
class WorkerStopped(WorkerEvent):
    """All processes of the worker have ended."""

    error: Optional[str]
    """Why the worker could not go on; ``None`` when a signal has stopped it."""


@dataclass(frozen=True)
class ProcessEvent(Event):
    """Something about a task process, in it."""

    pid: int
    """The task process."""


@dataclass(frozen=True)
class ProcessStarted(ProcessEvent):
    """A task process is about to take tasks: its imports are done, its lifespan hooks are set up."""


@dataclass(frozen=True)
class ProcessStopped(ProcessEvent):
    """A task process takes no more tasks, and its last one has ended; its lifespan hooks are about to be closed. Not
    for one that is killed."""


@dataclass(frozen=True)
class TaskEvent(Event):
    """Something about a task and its message."""

    message_id: str
    """The message's id, which ``.delay`` returned."""
    task: str
    """The task's name, as the message gives it: ``module.function``."""
    queue: str
    """The name of the queue that the message came from."""
    receive_count: int
    """How often SQS has delivered it, this time included."""


@dataclass(frozen=True)
class TaskReceived(TaskEvent):
    """A task process has taken a message, and is about to read its arguments and to find its function. Where that
    fails, nothing follows but a line in the log."""


@dataclass(frozen=True)
class TaskRun(TaskEvent):
    """Something about one run of a task, in the task process."""

    retries: int
    """How often it was run before, as far as is known: 0 in the first run, never too low."""
    args: list[Any]
    """The positional arguments, as the message gives them."""
    kwargs: dict[str, Any]
    """The keyword arguments, as the message gives them."""


@dataclass(frozen=True)
class TaskStarted(TaskRun):
    """A task is about to run, before PyQS's ``pre_process`` hooks. What follows is one of :class:`TaskSucceeded`,
    :class:`TaskFailed`, :class:`TaskRetried`, :class:`TaskDiscarded` and, in the supervisor, :class:`TaskCrashed`; or
    the same message again, if its process was ended for another task that ran beside it, or the manager has died."""


@dataclass(frozen=True)
class TaskSucceeded(TaskRun):
    """A task has returned, which is recorded: its message will be deleted."""

    duration: float
    """Seconds that it ran."""
    result: Any
    """What it returned. Nobody else keeps it."""


@dataclass(frozen=True)
class TaskFailed(TaskRun):
    """A task has raised, and no retry follows by the task's own rules."""

    duration: float
    """Seconds that it ran."""
    exception: BaseException
    """What it raised, with its traceback."""
    outcome: Literal["failed", "exhausted", "dead_letter"]
    """What becomes of the message. ``failed``: the task has no rules for this; it comes again after the queue's
    visibility timeout. ``exhausted``: no retry is left; it stays, until the queue's redrive policy takes it.
    ``dead_letter``: it goes to that queue. (Where a Celery message has a ``link_error``, that is sent instead.)"""
    dead_letter: Optional[str]
    """The queue that the message goes to."""


@dataclass(frozen=True)
class TaskRetried(TaskRun):
    """A task has raised, and runs again."""

    duration: float
    """Seconds that it ran."""
    exception: BaseException
    """What it raised, with its traceback; :class:`pyqs.Retry` where it has asked for the retry."""
    delay: int
    """Seconds until the next run."""


@dataclass(frozen=True)
class TaskDiscarded(TaskRun):
    """A task has raised what its rules discard, or :class:`pyqs.Discard`: its message will be deleted."""

    duration: float
    """Seconds that it ran."""
    exception: BaseException
    """What it raised, with its traceback."""


@dataclass(frozen=True)
class TaskCrashed(TaskEvent):
    """A task has ended with its process: it was killed at its time limit, or by whatever else ends a process. Told in
    the supervisor, since the process can't any more."""

    pid: Optional[int]
    """The process that died, where it is known."""
    signal: Optional[int]
    """The signal that killed it."""
    exit_code: Optional[int]
    """What it exited with."""
    time_limit: Optional[float]
    """The limit in seconds, where the task was killed for that."""
    outcome: Literal["failed", "retry", "exhausted", "dead_letter"]
    """What becomes of the message, as in :class:`TaskFailed`; ``retry``: it runs again."""
    delay: Optional[int]
    """Seconds until the next run, for a ``retry``."""
    dead_letter: Optional[str]
    """The queue that the message goes to."""


E = TypeVar("E", bound=Event)
Listener = Callable[[Any], object]


def on(kind: type[E]) -> Callable[[Callable[[E], object]], Callable[[E], object]]:
    """Call the decorated function with each event of this class, or of one below it: ``on(TaskEvent)`` hears all of
    tasks. The function stays what it is. Listeners are called in the order in which they were declared.

    >>> @on(TaskSucceeded)
    ... def measure(event: TaskSucceeded):
    ...     statsd.timing(event.task, event.duration)
    """
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        raise TypeError(f"on({kind!r}): give a class of events, as @on(TaskFailed)")

    def listen(listener: Callable[[E], object]) -> Callable[[E], object]:
        _callbacks.check(f"the listener to {kind.__name__}", listener)
        _EVENTS.listen(kind, listener)
        return listener

    return listen


def off(listener: Callable[[E], object]) -> None:
    """Have a function listen to nothing any more."""
    _EVENTS.unlisten(listener)


class Events:
    """The hooks and the listeners of this process."""

    def __init__(self) -> None:
        self.pre_process: list[Hook] = []
        self.post_process: list[Hook] = []
        self._listeners: tuple[tuple[type[Event], Listener], ...] = ()
        self._by_kind: dict[type[Event], tuple[Listener, ...]] = {}
        self._not_here: tuple[type[Event], ...] = ()

    def clear(self) -> None:
        """Forget them all."""
        self.pre_process = []
        self.post_process = []
        self._set_listeners(())

    def listen(self, kind: type[Event], listener: Listener) -> None:
        """Tell this one from now on."""
        if kind in self._not_here:
            logger.warning(
                "%s listens to %s, which happens in the supervisor and not in this task process: have its module "
                "imported there with --preload",
                _name(listener),
                kind.__name__,
            )
        self._set_listeners((*self._listeners, (kind, listener)))

    def unlisten(self, listener: Listener) -> None:
        """Don't tell this one any more."""
        self._set_listeners(tuple(entry for entry in self._listeners if entry[1] != listener))

    def listeners(self, kind: type[Event]) -> tuple[Listener, ...]:
        """Who wants to be told of such an event. Asked before each is made, which costs more."""
        by_kind = self._by_kind
        found = by_kind.get(kind)
        if found is None:
            found = tuple(listener for wanted, listener in self._listeners if issubclass(kind, wanted))
            by_kind[kind] = found
        return found

    def enter_task_process(self) -> None:
        """From now on this process is one: what happens in the supervisor is not told here."""
        self._not_here = (TaskCrashed, WorkerStarted, WorkerStopped, WorkerEvent)

    def _set_listeners(self, listeners: tuple[tuple[type[Event], Listener], ...]) -> None:
        self._listeners = listeners
        self._by_kind = {}


def tell(event: Event, listeners: Iterable[Listener]) -> None:
    """Call these with the event, whatever they raise."""
    for listener in listeners:
        try:
            listener(event)
        except BaseException:  # sys.exit() in a listener is no reason to end a process
            logger.exception("%s raised when it was told of %s", _name(listener), type(event).__name__)


def _name(listener: Listener) -> str:
    module = getattr(listener, "__module__", None)
    name = getattr(listener, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(listener)


class NoEventException(Exception):
    """There is no event of this name."""


def register_event(name: str, callback: Hook) -> None:
    """Call ``callback`` with the task's context at each event ``name``: ``pre_process`` or ``post_process``."""
    if name not in _EVENT_NAMES:
        raise NoEventException(f"{name} is not a valid pyqs event.")
    getattr(_EVENTS, name).append(callback)


def get_events() -> Events:
    """The hooks registered in this process."""
    return _EVENTS


def clear_events() -> None:
    """Forget all hooks and listeners of this process."""
    _EVENTS.clear()


_EVENTS = Events()
