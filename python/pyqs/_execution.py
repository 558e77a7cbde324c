"""One task while it runs: the hooks around it, its outcome, its lines in the log."""

from __future__ import annotations

import contextvars
import inspect
import logging
import os
import time
import traceback
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, TypeVar

from . import (
    _bound,
    _declarations,
    _idempotency,
    _marks,
    _on_message,
    _policy,
    _streams,
    _values,
    events,
)
from ._bound import BoundTask, Request
from ._context import running
from ._limits import Clock, Limits
from ._policy import Decision, Policy
from ._pyqs import Job, Lane, Reader
from ._resolve import Resolver
from ._unrunnable import unrunnable
from .errors import SoftTimeLimitExceeded, TaskRefused, UndecodableMessage, UnknownTask
from .events import (
    TaskDiscarded,
    TaskFailed,
    TaskReceived,
    TaskRetried,
    TaskRun,
    TaskStarted,
    TaskSucceeded,
    get_events,
)

if TYPE_CHECKING:
    from typing import Protocol

    from ._idempotency import Guard
    from ._stored import StoredBodies
    from ._unsafe_pickle import PickleLoader

    class Host(Protocol):
        """What a plain function needs of the thread that it runs on."""

        def wait_for(self, coroutine: Coroutine[Any, Any, Any], limits: Limits, clock: Clock) -> Any:
            """Run a coroutine to its end; gives what it returns."""

        def soft_limit(self, lane: Lane, seconds: float, error: type[BaseException]) -> SoftLimit:
            """Raise this in the calling thread when the seconds are over, unless the lane's task is recorded."""

    class SoftLimit(AbstractContextManager["SoftLimit"], Protocol):
        """A soft time limit, while within."""

        def extend(self, seconds: float) -> None:
            """Raise so much later."""


logger = logging.getLogger("pyqs")

R = TypeVar("R")

CANCEL_GRACE_SECS = 1.0
"""An ``async def`` task is cancelled at its time limit; its process is killed only if it has not ended by then."""


VISIBILITY_SECS_MAX = 12 * 3600
"""SQS keeps a message hidden for no longer than this after it was received."""


surroundings: list[Callable[[Coroutine[Any, Any, Any]], Coroutine[Any, Any, Any]]] = []
"""Put around the coroutine of each ``async def`` task, the first outermost, by what a framework needs there."""


class Worker(NamedTuple):
    """What all tasks of a task process have in common."""

    resolver: Resolver
    reader: Reader
    limits: Limits
    pickles: Optional[PickleLoader] = None
    """For pickles that are more than data."""
    visibility_max: Optional[float] = None
    """For so many seconds a message's visibility is extended at most; ``None`` is as long as SQS lets."""
    context: contextvars.Context = contextvars.Context()
    """Each task runs in a copy of its own."""
    tell_unrunnable: Callable[[Job, Exception], object] = unrunnable.log
    """Called with a message that can't be run, and why."""
    stored: Optional[StoredBodies] = None
    """Where the bodies of messages are that SQS did not take."""


def prepare(job: Job, lane: Lane, worker: Worker) -> Optional[Run]:
    """Find out what to call and with what. ``None``: the message can't be run, which is recorded and logged."""
    if worker.stored and not job.others and job.pointer:
        return worker.stored.run(job, lane, worker)
    return prepare_here(job, lane, worker)


def prepare_here(job: Job, lane: Lane, worker: Worker) -> Optional[Execution]:
    """The same of a message that has its body."""
    handler = _on_message.find(job.queue_url)
    listeners = get_events().listeners(TaskReceived)
    if listeners:
        queue = job.queue_url.rpartition("/")[2]
        name = handler.path if handler else job.task
        events.tell(TaskReceived(job.message_id, name, queue, job.receive_count), listeners)
    if handler or job.system is not None:
        return _prepare_message(job, lane, handler, worker)
    try:
        # Of a batch each message is read by itself.
        is_several = bool(job.others)
        args, kwargs = ([], {}) if is_several else arguments(job, worker)
        function = worker.resolver.resolve(job.task)
        marks = _marks.of(function)
        if is_several and marks.batch is None:
            raise UnknownTask(f"{job.task} takes no batch here, and has one in another process")
        typed = job.attributes.get(_values.ATTRIBUTE)
        # A task object of Celery's gets what a worker of Celery's would give it.
        if typed is not None and marks.batch is None and not marks.has_request:
            _values.types_of(function).decode(job.task, args, kwargs, typed)
    except (UndecodableMessage, UnknownTask, TaskRefused) as reason:
        lane.record("unrunnable")
        worker.tell_unrunnable(job, reason)
        return None
    _declarations.meet(job.task, function)
    if _declarations.news:
        # Its module was imported just now, or this is its first message.
        lane.declare(_declarations.take())
    if marks.batch:
        from ._batch_execution import prepare_batch

        return prepare_batch(job, lane, worker, function)
    if job.left_out is not None:
        lane.warn_once(job.left_out)
    asked = Limits(job.time_limit, job.soft_time_limit)
    kind: type[Execution] = Execution
    if marks.has_request:
        from ._celery_execution import CeleryExecution

        kind = CeleryExecution
    limits = kind.declared_limits(function).within(asked).within(worker.limits)
    return kind(job, lane, function, args, kwargs, limits, worker)


def _prepare_message(
    job: Job, lane: Lane, handler: Optional[_on_message.Handler], worker: Worker
) -> Optional[Execution]:
    """Its queue has a handler: no task that the message may name is looked for."""
    if handler is None or (job.others and not handler.batch):
        # Another process has imported one, and this one something else.
        lane.record("unrunnable")
        worker.tell_unrunnable(job, UnknownTask(f"no module imported here has the queue's handler, {job.task}"))
        return None
    if handler.batch:
        from ._batch_execution import prepare_messages

        return prepare_messages(job, lane, handler, worker)
    from ._message_execution import MessageExecution

    return MessageExecution.of(job, lane, handler, worker)


def arguments(job: Job, worker: Worker) -> tuple[list[Any], dict[str, Any]]:
    """Decode a message's arguments. Raises :class:`UndecodableMessage`."""
    try:
        return job.arguments(worker.reader)
    except UndecodableMessage:
        data = job.pickle(worker.reader) if worker.pickles else None
        if worker.pickles is None or data is None:
            raise
    return worker.pickles.arguments(data)


class Run:
    """What is about to run in a lane: ``run`` it, or ``run_async``, once. Whatever it raises, these do not."""

    is_async = False
    """It is to run on the event loop."""

    def run(self, host: Host) -> None:
        """Run it on this thread."""
        raise NotImplementedError

    async def run_async(self) -> None:
        """Run it on the event loop, where others run meanwhile: called ``within``."""
        raise NotImplementedError

    def within(self, call: Callable[..., R], *arguments: Any) -> R:
        """Call this in a new context, which is for the task alone."""
        raise NotImplementedError


class Execution(Run):
    """A task about to run."""

    when_done: Optional[Callable[[], None]] = None
    """Called when nothing more is to come of the message, which is recorded."""
    soft_error: type[BaseException] = SoftTimeLimitExceeded
    """What is raised at the soft time limit in a plain function."""
    _result: Any = None
    _is_done = False
    _guard: Optional[Guard] = None

    @staticmethod
    def declared_limits(function: Callable[..., Any]) -> Limits:
        """The time limits of a function."""
        return _marks.of(function).limits

    def __init__(
        self,
        job: Job,
        lane: Lane,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        limits: Limits,
        worker: Worker,
    ) -> None:
        self._job = job
        self._worker = worker
        self._lane = lane
        self._function = function
        self._marks = _marks.of(function)
        self._limits = limits
        self.is_async = self._marks.is_async
        if limits.hard is not None:
            lane.limit(limits.hard, CANCEL_GRACE_SECS if self.is_async else 0.0)
        self._path = self._name()
        self._queue = job.queue_url.rpartition("/")[2]
        self._attempt = job.retries_before + job.attempt
        self._clock = Clock()
        self._hidden_until = job.fetch_time + (
            VISIBILITY_SECS_MAX if worker.visibility_max is None else max(job.timeout, worker.visibility_max)
        )
        self._foresee_death()
        self._before: dict[str, Any] = {
            "message_id": job.message_id,
            "task_name": self._path.rpartition(".")[2],
            "args": args,
            "kwargs": kwargs,
            "full_task_path": self._path,
            "fetch_time": job.fetch_time,
            "queue_url": job.queue_url,
            "timeout": job.timeout,
            "receipt_handle": job.receipt_handle,
        }
        # The hooks after the task get a copy of their own: what a hook before it replaces reaches only the task.
        self._after = dict(self._before)
        self._bound_task: Optional[BoundTask] = None
        self._pid = os.getpid()
        self._start = time.perf_counter()
        self._began = time.time()

    def _name(self) -> str:
        """The task's, for people and hooks."""
        return self._job.task

    def _declared_policy(self) -> Policy:
        """The rules for its failures."""
        return self._marks.policy

    def _foresee_death(self) -> None:
        """Leave word of what becomes of the message if this process dies: it can't say it then."""
        policy = self._declared_policy()
        if policy.retries is None:
            return  # it is left to its visibility timeout, as is a message of which nothing is said
        try:
            decision = policy.decide_death(self._attempt)
        except Exception:  # of the user's backoff function: logged where the task raises, and asks it again
            return
        assert decision.outcome != "discarded", "only what is raised discards"
        self._lane.foresee(decision.outcome, delay_seconds=decision.delay_seconds, queue=decision.queue)

    @property
    def log_fields(self) -> dict[str, Any]:
        """What the records say that are logged while it runs."""
        return {
            "pyqs_message_id": self._job.message_id,
            "pyqs_task": self._path,
            "pyqs_queue": self._queue,
            "pyqs_receive_count": self._job.receive_count,
        }

    def within(self, call: Callable[..., R], *arguments: Any) -> R:
        """Call this in a new context, which is for the task alone."""
        return self._worker.context.copy().run(call, *arguments)

    def run(self, host: Host) -> None:
        """Run the task and the hooks on this thread."""
        self.within(self._run, host)

    def _run(self, host: Host) -> None:
        running.set(self)
        if not self._begin():
            return
        self._tell(TaskStarted)
        try:
            result = self._call_within_soft_limit(host)
            if result is not None and inspect.iscoroutine(result):
                self._finish(host.wait_for(result, self._limits, self._clock))
            elif self._guard:
                self._finish(result)
        except BaseException as error:  # sys.exit() in a task is the task's failure, not this process's end
            if self._guard:
                self._end_if_forked(error)
                self._guard.release()
            self._failed(error)
        else:
            self._succeeded()
        self._end()

    async def run_async(self) -> None:
        """Run an ``async def`` task and the hooks on the event loop, where others run meanwhile: called ``within``."""
        from ._event_loop import aside, limited

        running.set(self)
        # A store of keys is asked on a thread, while others run.
        if self._marks.has_key and not await aside(self._begin):
            return
        self._tell(TaskStarted)
        try:
            result = await limited(self._call(), self._limits, self._clock)
            if self._guard:
                await aside(self._guard.finish)
            self._record_success(result)
        except BaseException as error:
            if self._guard:
                self._end_if_forked(error)
                await aside(self._guard.release)
            self._failed(error)
        else:
            self._succeeded()
        self._end()

    def _call_within_soft_limit(self, host: Host) -> Any:
        if self._limits.soft is None or self.is_async:
            return self._call_plain()
        with host.soft_limit(self._lane, self._limits.soft, self.soft_error) as limit:
            self._clock.add(limit.extend)
            return self._call_plain()

    def _call_plain(self) -> Any:
        result = self._call()
        if self._guard is None and (result is None or not inspect.iscoroutine(result)):
            # Within the soft limit: once it is recorded, the limit can't raise any more.
            self._record_success(result)
        return result

    def _begin(self) -> bool:
        """Take the task's idempotency key, if it has one. ``False``: it does not run, which is recorded."""
        if not self._marks.has_key:
            return True
        args, kwargs = self._before["args"], self._before["kwargs"]
        claim = None
        try:
            guard = _idempotency.guard(self._function, self._path, self._job.message_id, args, kwargs)
        except _idempotency.StoreMissing as reason:
            self._lane.record("unrunnable")
            self._worker.tell_unrunnable(self._job, reason)
            return False
        except BaseException as error:  # of the user's function, which is part of the task
            self._tell(TaskStarted)
            self._failed(error)
            self._end()
            return False
        if guard is None:
            return True
        try:
            claim = guard.begin(self._deadline())
            if claim.state == "begun":
                self._guard = guard
                return True
        except Exception as error:
            logger.warning(
                "Task %s does not run now: its idempotency key can't be looked up: %s: %s",
                self._path,
                type(error).__name__,
                error,
            )
        if claim is not None and claim.state == "done":
            self._lane.record("discarded")
            logger.info("Task %s was done before, by its idempotency key; its message is deleted", self._path)
            if self.when_done:
                self.when_done()
            return False
        delay = _idempotency.again_after(claim)
        self._lane.record("postponed", delay_seconds=delay)
        if claim is not None:
            logger.info("Task %s is in progress elsewhere, by its idempotency key; again in %d s", self._path, delay)
        return False

    def _finish(self, result: Any) -> None:
        """The function has returned this.

        The key is done before the outcome is recorded, and released before a failure is: from then on the message may
        be elsewhere, or gone. If the process dies between the two, it comes again, and is deleted or runs by its key.
        Neither is within the soft limit, whose exception would leave it open whether the key is done.
        """
        if self._guard:
            self._end_if_forked()
            self._guard.finish()
        self._record_success(result)

    def _call(self) -> Any:
        for hook in get_events().pre_process:
            hook(self._before)
        args, kwargs = self._before["args"], self._before["kwargs"]
        if self._bound_task:  # a hook has asked for it, and may have replaced what it says
            self._bound_task.request.args, self._bound_task.request.kwargs = args, kwargs
        return self._invoke(args, kwargs)

    def _invoke(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        bound = self._marks.bound
        if bound:
            _bound.hand_over(bound, self.bound_task())
        result = self._function(*args, **kwargs)
        if result is None:
            return None
        if (inspect.isgenerator(result) or inspect.isasyncgen(result)) and _marks.has_yield(self._function):
            raise TypeError(
                f"{self._function.__qualname__} has `yield`, so calling it runs nothing of it; "
                "a task is a plain function"
            )
        if inspect.iscoroutine(result):
            for surround in reversed(surroundings):
                result = surround(result)
        return result

    def bound_task(self) -> BoundTask:
        """What code that the task calls may know of it, and the task itself as its ``self``."""
        if self._bound_task is None:
            job = self._job
            request = Request(
                self._before["args"],
                self._before["kwargs"],
                id=job.message_id,
                retries=self._attempt - 1,
                receive_count=job.receive_count,
                queue=self._queue,
                attributes=job.attributes,
                deadline=self._deadline(),
            )
            self._bound_task = BoundTask(self._path, request, self._extend)
        return self._bound_task

    def _deadline(self) -> float:
        hard = self._limits.hard
        return self._hidden_until if hard is None else min(self._hidden_until, self._began + hard)

    def _extend(self, seconds: float) -> float:
        """Move the task's limits; gives its new deadline."""
        self._clock.extend(seconds)
        if self._limits.hard is not None:
            self._lane.extend(seconds)
            self._limits = self._limits._replace(hard=self._limits.hard + seconds)
            if self._guard:
                self._guard.begin(self._deadline())
        return self._deadline()

    def _tell(self, kind: type[TaskRun], own: Optional[Callable[[Any], object]] = None, **facts: Any) -> None:
        """Tell of the task's run: its own callback, then who listens to such events."""
        listeners = get_events().listeners(kind)
        if own:
            listeners = (own, *listeners)
        if not listeners:
            return
        job = self._job
        task = job.message_id, self._path, self._queue, job.receive_count
        # Copies: a listener changes nothing of what the task gets.
        args, kwargs = list(self._after["args"]), dict(self._after["kwargs"])
        events.tell(kind(*task, retries=self._attempt - 1, args=args, kwargs=kwargs, **facts), listeners)

    def _tell_failure(self, error: BaseException, decision: Decision, duration: float) -> None:
        facts: dict[str, Any] = {"duration": duration, "exception": error}
        if decision.outcome == "discarded":
            self._tell(TaskDiscarded, **facts)
        elif decision.outcome == "retry":
            self._tell(TaskRetried, **facts, delay=decision.delay_seconds)
        else:
            own = self._marks.callbacks.on_failure
            self._tell(TaskFailed, own, **facts, outcome=decision.outcome, dead_letter=decision.queue)

    def _failed(self, error: BaseException) -> None:
        duration = time.perf_counter() - self._start
        self._end_if_forked(error)
        decision = self._decide(error)
        self._is_done = decision.outcome == "discarded" or (decision.has_errbacks and decision.queue is None)
        self._after.update(status="exception")
        if get_events().post_process:
            # Only for hooks: it takes longer than many a task.
            self._after.update(exception=traceback.format_exc())
        if decision.outcome == "discarded":
            self._log_discarded(error)
        else:
            self._log_failure(error, decision)
        self._tell_failure(error, decision, duration)

    def _log_discarded(self, error: BaseException) -> None:
        logger.info("Task %s was discarded: %s: %s", self._path, type(error).__name__, error)

    def _log_failure(self, error: BaseException, decision: Decision) -> None:
        logger.log(
            logging.WARNING if decision.outcome == "retry" else logging.ERROR,
            "Task %s raised error in %.4f seconds: with args: %s and kwargs: %s: %s%s",
            self._path,
            time.perf_counter() - self._start,
            self._before.get("args"),
            self._before.get("kwargs"),
            type(error).__name__,
            _policy.what_follows(decision, self._attempt),
            exc_info=True,
        )

    def _decide(self, error: BaseException) -> Decision:
        """Find out what becomes of the message, and record it."""
        try:
            decision = self._decision(error)
            reason = f"{type(error).__name__}: {error}"
            if decision.outcome in ("failed", "exhausted", "dead_letter") and self._wants_errbacks(error):
                called = self._call_errbacks(error)
                self._lane.record_errbacks(self._job, decision.queue, reason, called)
                return decision._replace(has_errbacks=True)
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

    def _decision(self, error: BaseException) -> Decision:
        return self._declared_policy().decide(error, self._attempt)

    def _wants_errbacks(self, _error: BaseException) -> bool:
        return self._job.has_errbacks

    def _call_errbacks(self, _error: BaseException) -> list[int]:
        """Call those of the message's ``link_error`` that are to be called here; gives their numbers."""
        return []

    def _record_success(self, result: Any) -> None:
        self._result = result
        self._end_if_forked()
        if self._job.has_callbacks:
            self._lane.record_callbacks(self._job, result)
        else:
            self._lane.record("succeeded")
        self._is_done = True

    def _succeeded(self) -> None:
        duration = time.perf_counter() - self._start
        self._after["status"] = "success"
        logger.info(
            "Processed task %s in %.4f seconds with args: %s and kwargs: %s",
            self._path,
            duration,
            self._before.get("args"),
            self._before.get("kwargs"),
        )
        self._tell(TaskSucceeded, self._marks.callbacks.on_success, duration=duration, result=self._result)

    def _end(self) -> None:
        _bound.take_back()
        if self._lane.is_lease_lost:
            logger.warning(
                "Task %s (message %s) has ended after its visibility timeout could not be extended; it may run twice",
                self._path,
                self._after["message_id"],
            )
        if self.when_done and self._is_done:
            self.when_done()
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
