"""A batch while it runs: one call for several messages, and an outcome for each."""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any, Callable, NamedTuple, Optional

from . import _callbacks, _policy, _values, events
from ._batch import BatchItem, Part
from ._execution import Execution, Worker, arguments
from ._limits import Limits
from ._message_execution import message_of
from ._on_message import Handler, Message
from ._policy import Decision, Policy
from ._pyqs import Job, Lane
from .errors import UndecodableMessage
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

logger = logging.getLogger("pyqs")

End = tuple[str, int, Optional[str], str]
"""What becomes of a message: outcome, seconds until a retry, dead-letter queue, reason."""

UNRUNNABLE: End = ("unrunnable", 0, None, "")


class Member(NamedTuple):
    """A message of a batch that can be run."""

    place: int
    """Among all of the batch."""
    job: Job
    part: Part
    before: dict[str, Any]
    """What hooks are told of it."""

    @property
    def attempt(self) -> int:
        """Which run of the message this is."""
        return self.job.retries_before + self.job.attempt


class BatchExecution(Execution):
    """A call for several messages. What is said of one message is said of the first; all else is overridden here."""

    def __init__(
        self,
        jobs: list[Job],
        lane: Lane,
        function: Callable[..., Any],
        parts: list[Optional[Part]],
        limits: Limits,
        worker: Worker,
        handler: Optional[Handler] = None,
    ) -> None:
        self._handler = handler
        self._count = len(jobs)
        self._decisions: list[tuple[Member, Optional[BaseException], Decision]] = []
        self._members: list[Member] = []
        name = handler.path if handler else jobs[0].task
        for place, (job, part) in enumerate(zip(jobs, parts)):
            if part is not None:
                self._members.append(Member(place, job, part, _told(job, part, name)))
        given = [member.part for member in self._members]
        super().__init__(self._members[0].job, lane, function, [given], {}, limits, worker)
        for part in given:
            part._is_part = True
            if isinstance(part, Message):
                part.deadline, part._extend = self._deadline(), self._extend

    def _name(self) -> str:
        return self._handler.path if self._handler else self._job.task

    def _declared_policy(self) -> Policy:
        return self._handler.policy if self._handler else _policy.declared(self._function)

    def _foresee_death(self) -> None:
        ends: list[tuple[str, int, Optional[str]]] = [("failed", 0, None)] * self._count
        for member in self._members:
            try:
                decision = self._declared_policy().decide_death(member.attempt)
            except Exception:  # of the user's backoff function: logged where the task raises, and asks it again
                continue
            ends[member.place] = (decision.outcome, decision.delay_seconds, decision.queue)
        if any(outcome != "failed" for outcome, _, _ in ends):
            self._lane.foresee_each(ends)

    def _call(self) -> Any:
        for member in self._members:
            for hook in get_events().pre_process:
                hook(member.before)
            if isinstance(member.part, BatchItem):
                # As of a single call: what a hook replaces reaches the task.
                member.part.args, member.part.kwargs = member.before["args"], member.before["kwargs"]
        return self._invoke([[member.part for member in self._members]], {})

    def _tell(self, kind: type[TaskRun], own: Optional[Callable[[Any], object]] = None, **facts: Any) -> None:
        if kind is TaskStarted:
            for member in self._members:
                self._tell_of(member, kind, own, **facts)

    def _tell_of(
        self, member: Member, kind: type[TaskRun], own: Optional[Callable[[Any], object]] = None, **facts: Any
    ) -> None:
        """As for a message that is run alone."""
        batch = self._job, self._attempt, self._after
        self._job, self._attempt, self._after = member.job, member.attempt, member.before
        try:
            super()._tell(kind, own, **facts)
        finally:
            self._job, self._attempt, self._after = batch

    def _record_success(self, result: Any) -> None:
        self._end_if_forked()
        self._result = result
        self._record_each(None)

    def _record_each(self, error: Optional[BaseException]) -> None:
        """What was raised is what all have failed with that have not failed with something else."""
        ends = [UNRUNNABLE] * self._count
        self._decisions = []
        for member in self._members:
            own = member.part._part_error or error
            decision = self._decision_for(member, own)
            reason = f"{type(own).__name__}: {own}" if own else ""
            queue = decision.queue if decision.outcome == "dead_letter" else None
            outcome = "succeeded" if own is None else decision.outcome
            ends[member.place] = (outcome, decision.delay_seconds, queue, reason)
            self._decisions.append((member, own, decision))
        self._lane.record_each(ends)
        self._is_done = all(own is None or decision.outcome == "discarded" for _, own, decision in self._decisions)

    def _decision_for(self, member: Member, error: Optional[BaseException]) -> Decision:
        if error is None:
            return Decision("failed")
        try:
            return self._declared_policy().decide(error, member.attempt)
        except Exception:  # of the user's backoff function
            logger.exception("What becomes of task %s can't be found out; its message comes back", self._path)
            return Decision("failed")

    def _failed(self, error: BaseException) -> None:
        self._end_if_forked(error)
        if self._lane.is_running:
            self._record_each(error)
        self._tell_ends(error)

    def _succeeded(self) -> None:
        self._tell_ends(None)

    def _tell_ends(self, raised: Optional[BaseException]) -> None:
        duration = time.perf_counter() - self._start
        failed = [(member, error, decision) for member, error, decision in self._decisions if error is not None]
        logger.log(
            logging.WARNING if failed else logging.INFO,
            "Processed a batch of %d messages with task %s in %.4f seconds: %d failed",
            self._count,
            self._path,
            duration,
            len(failed),
        )
        self._log_failures(failed, raised)
        own = _callbacks.declared(self._function)
        for member, error, decision in self._decisions:
            if error is None:
                member.before.update(status="success")
                self._tell_of(member, TaskSucceeded, own.on_success, duration=duration, result=self._result)
                continue
            member.before.update(status="exception")
            if get_events().post_process:
                lines = traceback.format_exception(type(error), error, error.__traceback__)
                member.before.update(exception="".join(lines))
            self._tell_failure_of(member, error, decision, duration)

    def _log_failures(
        self, failed: list[tuple[Member, BaseException, Decision]], raised: Optional[BaseException]
    ) -> None:
        """A line for each error, not for each message: what was raised fails them all."""
        told: set[int] = set()
        for member, error, decision in failed:
            if id(error) in told:
                continue
            told.add(id(error))
            alike = sum(other is error for _, other, _ in failed)
            level = {"discarded": logging.INFO, "retry": logging.WARNING}.get(decision.outcome, logging.ERROR)
            logger.log(
                level,
                "Task %s raised error in a batch: message %s%s: %s: %s%s",
                self._path,
                member.job.message_id,
                f" and {alike - 1} others" if alike > 1 else "",
                type(error).__name__,
                error,
                _policy.what_follows(decision, member.attempt),
                exc_info=(type(error), error, error.__traceback__) if error is raised else None,
            )

    def _tell_failure_of(self, member: Member, error: BaseException, decision: Decision, duration: float) -> None:
        facts: dict[str, Any] = {"duration": duration, "exception": error}
        if decision.outcome == "discarded":
            self._tell_of(member, TaskDiscarded, **facts)
        elif decision.outcome == "retry":
            self._tell_of(member, TaskRetried, **facts, delay=decision.delay_seconds)
        else:
            facts.update(outcome=decision.outcome, dead_letter=decision.queue)
            self._tell_of(member, TaskFailed, _callbacks.declared(self._function).on_failure, **facts)

    def _end(self) -> None:
        for member in self._members:
            self._after = member.before
            super()._end()


def prepare_batch(job: Job, lane: Lane, worker: Worker, function: Callable[..., Any]) -> Optional[Execution]:
    """The call for a message of a batch task and those that are run with it."""
    jobs = _received(job, job.task)
    parts: list[Optional[Part]] = [_item(job, worker, function) for job in jobs]
    if all(part is None for part in parts):
        lane.record("unrunnable")
        return None
    asked = Limits()
    for job in jobs:
        asked = asked.within(Limits(job.time_limit, job.soft_time_limit))
    limits = BatchExecution.declared_limits(function).within(asked).within(worker.limits)
    return BatchExecution(jobs, lane, function, parts, limits, worker)


def prepare_messages(job: Job, lane: Lane, handler: Handler, worker: Worker) -> Execution:
    """The call of a handler for several messages."""
    jobs = _received(job, handler.path)
    parts: list[Optional[Part]] = [message_of(job) for job in jobs]
    return BatchExecution(jobs, lane, handler.function, parts, handler.limits.within(worker.limits), worker, handler)


def _received(job: Job, name: str) -> list[Job]:
    """All of a batch; of the first who listens has been told."""
    others = job.others
    listeners = get_events().listeners(TaskReceived)
    if listeners:
        for other in others:
            queue = other.queue_url.rpartition("/")[2]
            events.tell(TaskReceived(other.message_id, name, queue, other.receive_count), listeners)
    return [job, *others]


def _item(job: Job, worker: Worker, function: Callable[..., Any]) -> Optional[BatchItem]:
    """``None``: this one can't be run, which is logged; the others are."""
    try:
        args, kwargs = arguments(job, worker)
        typed = job.attributes.get(_values.ATTRIBUTE)
        if typed is not None:
            _values.types_of(function).decode(job.task, args, kwargs, typed)
        if job.has_callbacks or job.has_errbacks:
            raise UndecodableMessage("it asks for what is to follow its task, which a batch has not", "task")
    except UndecodableMessage as reason:
        worker.tell_unrunnable(job, reason)
        return None
    return BatchItem(
        args,
        kwargs,
        id=job.message_id,
        receive_count=job.receive_count,
        retries=job.retries_before + job.attempt - 1,
        attributes=job.attributes,
    )


def _told(job: Job, part: Part, name: str) -> dict[str, Any]:
    args, kwargs = (part.args, part.kwargs) if isinstance(part, BatchItem) else ([part], {})
    return {
        "message_id": job.message_id,
        "task_name": name.rpartition(".")[2],
        "args": args,
        "kwargs": kwargs,
        "full_task_path": name,
        "fetch_time": job.fetch_time,
        "queue_url": job.queue_url,
        "timeout": job.timeout,
        "receipt_handle": job.receipt_handle,
    }
