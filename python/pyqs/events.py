"""Hooks before and after each task.

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

from typing import Any, Callable

Context = dict[str, Any]
Hook = Callable[[Context], object]

_EVENT_NAMES = ("pre_process", "post_process")


class Events:
    """The hooks of this process."""

    def __init__(self) -> None:
        self.pre_process: list[Hook] = []
        self.post_process: list[Hook] = []

    def clear(self) -> None:
        """Forget all hooks."""
        self.pre_process = []
        self.post_process = []


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
    """Forget all hooks of this process."""
    _EVENTS.clear()


_EVENTS = Events()
