"""One task while it runs: the hooks around it, its outcome, its lines in the log."""

from __future__ import annotations

import inspect
import logging
import os
import time
import traceback
from collections.abc import Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Callable, Optional

from . import _limits, _policy, _streams
from ._limits import Limits
from ._policy import Decision
from ._pyqs import Job, Lane
from ._resolve import Resolver
from ._unrunnable import unrunnable
from .errors import TaskRefused, UndecodableMessage, UnknownTask
from .events import get_events

if TYPE_CHECKING:
    from typing import Protocol

    class Host(Protocol):
        """What a plain function needs of the thread that it runs on."""

        def wait_for(self, coroutine: Coroutine[Any, Any, Any], limits: Limits) -> None:
            """Run a coroutine to its end."""

        def soft_limit(self, lane: Lane, seconds: float) -> AbstractContextManager[None]:
            """Raise in the calling thread when the seconds are over, unless the lane's task is recorded."""


logger = logging.getLogger("pyqs")

CANCEL_GRACE_SECS = 1.0
"""An ``async def`` task is cancelled at its time limit; its process is killed only if it has not ended by then."""


def prepare(job: Job, lane: Lane, resolver: Resolver, worker_limits: Limits) -> Optional[Execution]:
    """Find out what to call and with what. ``None``: the message can't be run, which is recorded and logged."""
    try:
        args, kwargs = job.arguments()
        function = resolver.resolve(job.task)
    except (UndecodableMessage, UnknownTask, TaskRefused) as reason:
        lane.record("unrunnable")
        unrunnable.log(job, reason)
        return None
    asked = Limits(job.time_limit, job.soft_time_limit)
    limits = _limits.declared(function).within(asked).within(worker_limits)
    return Execution(job, lane, function, args, kwargs, limits)


class Execution:
    """A task about to run: ``run`` it, or ``run_async``, once. Whatever it raises, nothing is raised here."""

    def __init__(
        self,
        job: Job,
        lane: Lane,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        limits: Limits,
    ) -> None:
        self._lane = lane
        self._function = function
        self._limits = limits
        self.is_async = inspect.iscoroutinefunction(function)
        if limits.hard is not None:
            lane.limit(limits.hard, CANCEL_GRACE_SECS if self.is_async else 0.0)
        self._path = job.task
        self._attempt = job.attempt
        self._foresee_death()
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

    def _foresee_death(self) -> None:
        """Leave word of what becomes of the message if this process dies: it can't say it then."""
        try:
            decision = _policy.declared(self._function).decide_death(self._attempt)
        except Exception:  # of the user's backoff function: logged where the task raises, and asks it again
            return
        assert decision.outcome != "discarded", "only what is raised discards"
        if decision.outcome != "failed":
            self._lane.foresee(decision.outcome, delay_seconds=decision.delay_seconds, queue=decision.queue)

    def run(self, host: Host) -> None:
        """Run the task and the hooks on this thread."""
        try:
            with self._soft_limit(host):
                result = self._call()
                if not inspect.iscoroutine(result):
                    # Within: once it is recorded, the limit can't raise any more.
                    self._record_success()
            if inspect.iscoroutine(result):
                host.wait_for(result, self._limits)
                self._record_success()
        except BaseException as error:  # sys.exit() in a task is the task's failure, not this process's end
            self._failed(error)
        else:
            self._succeeded()
        self._end()

    async def run_async(self) -> None:
        """Run an ``async def`` task and the hooks on the event loop, where others run meanwhile."""
        from ._event_loop import limited

        try:
            await limited(self._call(), self._limits)
            self._record_success()
        except BaseException as error:
            self._failed(error)
        else:
            self._succeeded()
        self._end()

    def _soft_limit(self, host: Host) -> AbstractContextManager[None]:
        if self._limits.soft is None or self.is_async:
            return nullcontext()
        return host.soft_limit(self._lane, self._limits.soft)

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
        decision = self._decide(error)
        self._after.update(status="exception", exception=traceback.format_exc())
        if decision.outcome == "discarded":
            logger.info("Task %s was discarded: %s: %s", self._path, type(error).__name__, error)
            return
        logger.log(
            logging.WARNING if decision.outcome == "retry" else logging.ERROR,
            "Task %s raised error in %.4f seconds: with args: %s and kwargs: %s: %s%s",
            self._path,
            time.perf_counter() - self._start,
            self._before.get("args"),
            self._before.get("kwargs"),
            type(error).__name__,
            _what_follows(decision, self._attempt),
            exc_info=True,
        )

    def _decide(self, error: BaseException) -> Decision:
        """Find out what becomes of the message, and record it."""
        try:
            decision = _policy.declared(self._function).decide(error, self._attempt)
            reason = f"{type(error).__name__}: {error}"
        except Exception:  # of the user's backoff function, or the error's own text
            logger.exception("What becomes of task %s can't be found out; its message comes back", self._path)
            decision, reason = Decision("failed"), ""
        if decision.queue is not None:
            self._lane.record_dead_letter(decision.queue, reason)
        elif decision.outcome == "retry":
            self._lane.record("retry", delay_seconds=decision.delay_seconds)
        elif decision.outcome != "dead_letter":
            self._lane.record(decision.outcome)
        return decision

    def _record_success(self) -> None:
        self._end_if_forked()
        self._lane.record("succeeded")

    def _succeeded(self) -> None:
        self._after.update(status="success")
        logger.info(
            "Processed task %s in %.4f seconds with args: %s and kwargs: %s",
            self._path,
            time.perf_counter() - self._start,
            self._before.get("args"),
            self._before.get("kwargs"),
        )

    def _end(self) -> None:
        if self._lane.is_lease_lost:
            logger.warning(
                "Task %s (message %s) has ended after its visibility timeout could not be extended; it may run twice",
                self._path,
                self._after["message_id"],
            )
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


def _what_follows(decision: Decision, attempt: int) -> str:
    if decision.outcome == "retry":
        return f"; run {attempt}, the next one in {decision.delay_seconds} s"
    if decision.outcome == "exhausted":
        return f"; run {attempt}, and no retry is left: its message stays in its queue"
    if decision.queue is not None:
        return f"; run {attempt}, its message goes to dead-letter queue {decision.queue}"
    return ""


def _has_yield(function: Callable[..., Any]) -> bool:
    function = inspect.unwrap(function)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
