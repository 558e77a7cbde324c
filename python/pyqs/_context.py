"""Which task runs here: a context variable, so that threads and tasks of an event loop each have their own."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from typing import Protocol

    from ._bound import BoundTask

    class Running(Protocol):
        """A task that runs."""

        @property
        def log_fields(self) -> dict[str, Any]:
            """What its log records say of it."""

        def bound_task(self) -> BoundTask:
            """Its name and its message."""


running: ContextVar[Optional[Running]] = ContextVar("pyqs_running", default=None)
"""The task that a worker runs in the present context."""


def current() -> Optional[BoundTask]:
    """The task that a worker runs here, with its message; ``None`` where none runs.

    >>> def charge(amount):
    ...     task = pyqs.current()
    ...     key = task.request.id if task else "by hand"

    It is what ``bind=True`` hands over as ``self``, for code that is called by a task. It goes by a context variable: a
    thread that the task starts itself has it only if it runs in ``contextvars.copy_context()``.
    """
    task = running.get()
    return task.bound_task() if task else None
