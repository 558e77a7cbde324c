"""Connections around tasks: what Django does around a request, it does here around a task.

* Before and after a task, connections that are broken or older than ``CONN_MAX_AGE`` are closed, and caches let go.
* An ``async def`` task has a thread of its own for what it does by ``sync_to_async``, as each request has under ASGI:
  tasks that run at the same time share no connection. It ends with the task, and so do its connections.
* A connection that was open when a process was forked is left alone there: both would talk on it.

Connections within a transaction (``atomic``), as those of a test, are not touched.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.core.cache import close_caches
from django.db import connections, reset_queries

from .. import _execution
from ..events import get_events, register_event


def look_after() -> None:
    """From now on, do it in this process and in those that it forks."""
    events = get_events()
    if begin not in events.pre_process:
        register_event("pre_process", begin)
        register_event("post_process", end)
    if surround not in _execution.surroundings:
        _execution.surroundings.append(surround)


def begin(_context: object = None) -> None:
    """Before a task."""
    _forget_inherited()
    if not _is_on_event_loop():
        reset_queries()
        _close_old()


def end(_context: object = None) -> None:
    """After a task."""
    if not _is_on_event_loop():
        _close_old()
        close_caches()


async def surround(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run an ``async def`` task with a thread for its synchronous calls."""
    context = ThreadSensitiveContext()
    async with context:
        try:
            return await coroutine
        finally:
            # Only where the task has used it: it has a thread then, and may have connections.
            if context in SyncToAsync.context_to_thread_executor:
                await sync_to_async(close_all)()


def close_all() -> None:
    """Close this thread's connections: its task has ended, or it is about to fork and no child is to have them."""
    connections.close_all()
    close_caches()


def _close_old() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _is_on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _forget_inherited() -> None:
    """In a new process: drop the connections of the process that it was forked from, and say nothing on them."""
    global _pid
    if _pid == os.getpid():
        return
    _pid = os.getpid()
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _inherited.append(connection.connection)  # else it would be closed when it is collected
            connection.connection = None


_pid = os.getpid()
_inherited: list[object] = []
