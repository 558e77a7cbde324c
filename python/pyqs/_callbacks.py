"""``@task(on_success=, on_failure=)``: a task's own listeners to two events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from ._signature import signature_of
from .errors import SettingsInvalid

if TYPE_CHECKING:
    from .events import TaskFailed, TaskSucceeded

    OnSuccess = Callable[[TaskSucceeded], object]
    OnFailure = Callable[[TaskFailed], object]


class Callbacks(NamedTuple):
    """Functions that are called with an event of one task."""

    on_success: Optional[OnSuccess] = None
    on_failure: Optional[OnFailure] = None

    def checked(self) -> Callbacks:
        """The same, if they can be called. Raises :class:`SettingsInvalid`."""
        for name, callback in zip(self._fields, self):
            if callback is not None:
                check(f"{name}=", callback)
        return self


NO_CALLBACKS = Callbacks()


def check(name: str, callback: object) -> None:
    """Refuse what can't be called with an event, or would do nothing when it is."""
    import inspect  # here, since it takes longer to import than all the rest

    if not callable(callback):
        raise SettingsInvalid(f"{name} is {callback!r}; give a function that takes the event")
    if inspect.iscoroutinefunction(callback) or inspect.isgeneratorfunction(callback):
        raise SettingsInvalid(f"{name} is {callback!r}, of which a call runs nothing; give a plain function")
    try:
        signature = signature_of(callback)
    except (ValueError, TypeError):  # of a function in C, which says nothing of its parameters
        return
    try:
        signature.bind("the event")
    except TypeError as error:
        raise SettingsInvalid(f"{name} is {callback!r}, which can't be called with one event: {error}") from None


def declare(function: Callable[..., Any], callbacks: Callbacks) -> None:
    """Make these the callbacks of a function that has its ``delay``, which decorators above ``@task`` take along."""
    function.delay.callbacks = callbacks  # type: ignore[attr-defined]


def declared(function: Callable[..., Any]) -> Callbacks:
    """The callbacks with which a function was marked."""
    callbacks = getattr(getattr(function, "delay", None), "callbacks", NO_CALLBACKS)
    return callbacks if isinstance(callbacks, Callbacks) else NO_CALLBACKS
