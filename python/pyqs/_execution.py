"""One task while it runs: the hooks around it, its outcome, its lines in the log."""

from __future__ import annotations

import inspect
import logging
import os
import time
import traceback
from collections.abc import Awaitable
from typing import Any, Callable, Optional

from . import _streams
from ._pyqs import Job, TaskChannel
from ._resolve import Resolver
from ._unrunnable import unrunnable
from .errors import TaskRefused, UndecodableMessage, UnknownTask
from .events import get_events

logger = logging.getLogger("pyqs")


def prepare(job: Job, channel: TaskChannel, resolver: Resolver) -> Optional[Execution]:
    """Find out what to call and with what. ``None``: the message can't be run, which is recorded and logged."""
    try:
        args, kwargs = job.arguments()
        function = resolver.resolve(job.task)
    except (UndecodableMessage, UnknownTask, TaskRefused) as reason:
        channel.record("unrunnable")
        unrunnable.log(job, reason)
        return None
    return Execution(job, channel, function, args, kwargs)


class Execution:
    """A task about to run: ``run`` it, once. Whatever it raises, nothing is raised here."""

    def __init__(
        self, job: Job, channel: TaskChannel, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
    ) -> None:
        self._channel = channel
        self._function = function
        self._path = job.task
        self._before: dict[str, Any] = {
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
        self._after = dict(self._before)
        self._pid = os.getpid()
        self._start = time.perf_counter()

    def run(self, wait_for: Callable[[Awaitable[Any]], Any]) -> None:
        """Run the task and the hooks. ``wait_for`` runs the coroutine that calling an ``async def`` gives."""
        try:
            result = self._call()
            if inspect.iscoroutine(result):
                wait_for(result)
        except BaseException as error:  # sys.exit() in a task is the task's failure, not this process's end
            self._failed(error)
        else:
            self._succeeded()
        self._run_post_hooks()

    def _call(self) -> Any:
        for hook in get_events().pre_process:
            hook(self._before)
        result = self._function(*self._before["args"], **self._before["kwargs"])
        if (inspect.isgenerator(result) or inspect.isasyncgen(result)) and _has_yield(self._function):
            raise TypeError(
                f"{self._function.__qualname__} has `yield`, so calling it runs nothing of it; "
                "a task is a plain function"
            )
        return result

    def _failed(self, error: BaseException) -> None:
        self._end_if_forked(error)
        self._channel.record("failed")
        self._after.update(status="exception", exception=traceback.format_exc())
        logger.exception(
            "Task %s raised error in %.4f seconds: with args: %s and kwargs: %s: %s",
            self._path,
            time.perf_counter() - self._start,
            self._before.get("args"),
            self._before.get("kwargs"),
            type(error).__name__,
        )

    def _succeeded(self) -> None:
        self._end_if_forked()
        self._channel.record("succeeded")
        self._after.update(status="success")
        logger.info(
            "Processed task %s in %.4f seconds with args: %s and kwargs: %s",
            self._path,
            time.perf_counter() - self._start,
            self._before.get("args"),
            self._before.get("kwargs"),
        )

    def _run_post_hooks(self) -> None:
        for hook in get_events().post_process:
            try:
                hook(self._after)
            except BaseException:
                logger.exception("A post_process hook raised after task %s", self._after["full_task_path"])

    def _end_if_forked(self, error: Optional[BaseException] = None) -> None:
        """End a process that the task has forked and that came back from it: task and channel are its parent's."""
        if os.getpid() == self._pid:
            return
        if error:
            traceback.print_exception(type(error), error, error.__traceback__)
        _streams.flush()
        os._exit(1 if error else 0)


def _has_yield(function: Callable[..., Any]) -> bool:
    function = inspect.unwrap(function)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
