"""Celery's tasks, as far as they must be told from others and found by their names.

Celery is never imported here: it is there where a module of the user's has imported it, and else there are no tasks of
its.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any, Callable, Optional

Function = Callable[..., Any]


NEED_RESULTS = frozenset(["celery.chord_unlock"])
"""Tasks of Celery's own that would ask a result store for ever."""


def is_task(found: object) -> bool:
    """Whether this is a task object of Celery's, or stands for one."""
    # By `__class__`, since `shared_task` gives a proxy; by name, so that Celery need not be installed.
    return any(
        base.__name__ == "Task" and base.__module__.startswith("celery.") for base in inspect.getmro(found.__class__)
    )


def has_request(function: object) -> bool:
    """Whether this is a task object with all that Celery's own have: a request, retries, an app."""
    module = sys.modules.get("celery.app.task")
    return module is not None and isinstance(function, getattr(module, "Task", ()))


def unwrapped(found: Any) -> Any:
    """The task object itself, of one that may be a proxy for it."""
    proxy = getattr(sys.modules.get("celery.local"), "Proxy", None)
    return found._get_current_object() if proxy is not None and issubclass(type(found), proxy) else found


def registered(name: str) -> Optional[Function]:
    """The task of this name in the Celery applications of this process, the current one first."""
    state: Any = sys.modules.get("celery._state")
    if state is None:
        return None
    current = state.get_current_app()
    others = [app for app in state._get_active_apps() if app is not current]
    for app in (current, *others):
        task: Optional[Function] = app.tasks.get(name)
        if task is not None:
            return task
    return None


def adopt_current_app() -> None:
    """Make this thread's Celery application that of all threads: one that was made in this thread is current here
    alone, and elsewhere ``shared_task`` would find an empty one."""
    state: Any = sys.modules.get("celery._state")
    current = state and getattr(state._tls, "current_app", None)
    if current is not None and state.default_app is None:
        current.set_default()
