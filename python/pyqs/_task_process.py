"""A task process: takes tasks from the manager and runs them, one at a time, until it is told to leave.

The channel to the manager is Rust (``pyqs-worker``, ``process/child.rs``). It must hear ``record`` as soon as the
function has returned or raised, which decides whether the message is deleted; asking for the next task says that the
hooks are done too. Nothing that a task or a hook raises ends this process; a task that kills it takes down only itself.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
import time
import traceback
from typing import Any, Callable, Optional

from . import _producer, _streams
from ._pyqs import Job, TaskChannel, WorkerSettings
from ._resolve import Resolver
from .errors import TaskRefused, UndecodableMessage, UnknownTask
from .events import get_events

logger = logging.getLogger("pyqs")

UNRUNNABLE_LINES_MAX = 10
UNRUNNABLE_PERIOD_SECS = 60.0
"""Of the messages that can't be run, so many are named within this time; the others are counted."""


def run(channel: TaskChannel, settings: WorkerSettings) -> None:
    """Run tasks until the manager lets this process go, or is gone."""
    _producer.configure(
        region=settings.region,
        access_key_id=settings.access_key_id,
        secret_access_key=settings.secret_access_key,
        endpoint_url=settings.endpoint_url,
    )
    for module in settings.imports:
        try:
            importlib.import_module(module)
        except Exception:
            logger.exception("Can't import %s, which --import names; no task runs without it", module)
            sys.exit(1)
    resolver = Resolver(settings.allow, settings.registered_only)
    try:
        for job in channel:
            try:
                _run_job(job, channel, resolver)
            except BaseException:  # a logging handler that raises, say: the outcome was recorded before
                traceback.print_exc()
    except OSError as error:
        logger.error("This task process has lost its socket, which a task may have closed: %s", error)


def _run_job(job: Job, channel: TaskChannel, resolver: Resolver) -> None:
    try:
        args, kwargs = job.arguments()
        function = resolver.resolve(job.task)
    except (UndecodableMessage, UnknownTask, TaskRefused) as reason:
        channel.record("unrunnable")
        _unrunnable.log(job, reason)
        return
    before: dict[str, Any] = {
        "message_id": job.message_id,
        "task_name": job.task.rpartition(".")[2],
        "args": args,
        "kwargs": kwargs,
        "full_task_path": job.task,
        "fetch_time": job.fetch_time,
        "queue_url": job.queue_url,
        "timeout": job.timeout,
        "receipt_handle": job.receipt_handle,
    }
    # The hooks after the task get a copy of their own: what a hook before it replaces reaches only the task.
    after = dict(before)
    pid = os.getpid()
    start = time.time()
    try:
        for hook in get_events().pre_process:
            hook(before)
        _finish(function, function(*before["args"], **before["kwargs"]))
    except BaseException as error:  # sys.exit() in a task is the task's failure, not this process's end
        _end_if_forked(pid, error)
        channel.record("failed")
        after.update(status="exception", exception=traceback.format_exc())
        logger.exception(
            "Task %s raised error in %.4f seconds: with args: %s and kwargs: %s: %s",
            job.task,
            time.time() - start,
            before.get("args"),
            before.get("kwargs"),
            type(error).__name__,
        )
    else:
        _end_if_forked(pid)
        channel.record("succeeded")
        after.update(status="success")
        logger.info(
            "Processed task %s in %.4f seconds with args: %s and kwargs: %s",
            job.task,
            time.time() - start,
            before.get("args"),
            before.get("kwargs"),
        )
    _run_post_hooks(after)


def _end_if_forked(pid: int, error: Optional[BaseException] = None) -> None:
    """End a process that the task has forked and that came back from it: the task and the channel are its parent's."""
    if os.getpid() == pid:
        return
    if error:
        traceback.print_exception(type(error), error, error.__traceback__)
    _streams.flush()
    os._exit(1 if error else 0)


def _finish(function: Callable[..., Any], result: Any) -> None:
    """See to it that a task has run, where calling its function has run nothing yet."""
    if inspect.iscoroutine(result):
        import asyncio  # here, since it costs more than the rest of this process's start

        asyncio.run(result)
    elif (inspect.isgenerator(result) or inspect.isasyncgen(result)) and _has_yield(function):
        raise TypeError(
            f"{function.__qualname__} has `yield`, so calling it runs nothing of it; a task is a plain function"
        )


def _has_yield(function: Callable[..., Any]) -> bool:
    function = inspect.unwrap(function)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _run_post_hooks(context: dict[str, Any]) -> None:
    for hook in get_events().post_process:
        try:
            hook(context)
        except BaseException:
            logger.exception("A post_process hook raised after task %s", context["full_task_path"])


class _UnrunnableLog:
    """Names messages that can't be run, but does not let a queue full of them fill the log."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._count = 0

    def log(self, job: Job, reason: Exception) -> None:
        now = time.monotonic()
        if now - self._since > UNRUNNABLE_PERIOD_SECS:
            if self._count > UNRUNNABLE_LINES_MAX:
                logger.error("%s more messages can't be run", self._count - UNRUNNABLE_LINES_MAX)
            self._since = now
            self._count = 0
        self._count += 1
        if self._count <= UNRUNNABLE_LINES_MAX:
            logger.error("Message %s of %s can't be run: %s", job.message_id, job.queue_url, reason)


_unrunnable = _UnrunnableLog()
