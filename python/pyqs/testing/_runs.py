"""Runs of tasks, by the worker's own code, kept for a test to look at."""

from __future__ import annotations

import contextvars
import logging
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, cast

from .._batch_execution import BatchExecution, Member
from .._declarations import Declaration
from .._execution import Execution, Worker, prepare_here
from .._limits import NO_LIMITS, Limits
from .._pyqs import Job, Reader
from .._resolve import Resolver
from .._stored import StoredBodies
from .._unrunnable import unrunnable

logger = logging.getLogger("pyqs")

Outcome = Literal[
    "succeeded", "failed", "retry", "exhausted", "discarded", "dead_letter", "unrunnable", "expired", "postponed"
]

FAILED_FOR_GOOD = ("failed", "exhausted", "dead_letter", "unrunnable")
"""Outcomes after which the task's error is the test's, where it wants to know."""


@dataclass(frozen=True)
class Run:
    """One run of a task."""

    id: str
    """The message id."""
    queue: str
    """The queue's name."""
    task: str
    """The task's name, as the message gives it."""
    args: list[Any]
    """What the function was called with, by position."""
    kwargs: dict[str, Any]
    """What it was called with, by keyword."""
    outcome: Outcome
    """``succeeded``; ``failed``, and without rules of the task's own its message comes back after its visibility
    timeout; ``retry``; ``exhausted``, no retry is left; ``discarded``; ``dead_letter``; ``unrunnable``, it can't be
    read or its task not found; ``expired``, and so it did not run; ``postponed``, it did not run yet, since its
    idempotency key is in progress or a store out of reach."""
    attempt: int = 1
    """Which run of its message this is, 1 for the first."""
    result: Any = None
    """What the function returned."""
    error: Optional[BaseException] = field(default=None, repr=False)
    """What it raised, or why it can't be run."""
    retry_seconds: int = 0
    """For ``retry``: in how many seconds it is to run again."""
    dead_letter: Optional[str] = None
    """For ``dead_letter``: the queue that its message goes to."""

    def __str__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        error = "" if self.error is None else f", {type(self.error).__name__}: {self.error}"
        return f"{self.task}({', '.join(arguments)}): {self.outcome}{error}"


class RecordedLane:
    """A lane in which one task runs: keeps its outcome, which is told to a worker's own lane where there is one.

    It has the methods of ``_pyqs.Lane`` that an execution calls. Time limits that end a process are not kept: the
    process is the test's.
    """

    def __init__(self, lane: Any = None) -> None:
        self._lane = lane
        self.outcome: Optional[Outcome] = None
        self.retry_seconds = 0
        self.dead_letter: Optional[str] = None
        self.ends: list[tuple[str, int, Optional[str], str]] = []
        """Of a batch: for each message its outcome, the seconds until its retry, its dead-letter queue, and why."""

    def end(self) -> None:
        """Let go of the worker's own lane, whose socket is closed when nobody has it: a traceback may keep this one."""
        self._lane = None

    def record(self, outcome: Outcome, *, delay_seconds: int = 0) -> None:
        """How the task ended; the first call counts."""
        if self._keep(outcome):
            self.retry_seconds = delay_seconds
            if self._lane is not None:
                self._lane.record(outcome, delay_seconds=delay_seconds)

    def record_dead_letter(self, queue: str, reason: str) -> None:
        """The task failed for good, and its message goes to this queue."""
        if self._keep("dead_letter"):
            self.dead_letter = queue
            if self._lane is not None:
                self._lane.record_dead_letter(queue, reason)

    def record_callbacks(self, job: Job, result: object) -> None:
        """The task returned this, and messages of Celery's follow it."""
        if self._lane is not None:
            self._lane.record_callbacks(job, result)
        self._keep("succeeded")

    def record_errbacks(self, job: Job, queue: Optional[str], reason: str, called: list[int]) -> None:
        """The task failed for good, and messages of Celery's follow it."""
        if self._lane is not None:
            self._lane.record_errbacks(job, queue, reason, called)
        if self._keep("exhausted" if queue is None else "dead_letter"):
            self.dead_letter = queue

    def record_each(self, ends: list[tuple[str, int, Optional[str], str]]) -> None:
        """What becomes of each message of a batch; the outcome of all is the first's."""
        if self._keep(ends[0][0]):  # type: ignore[arg-type]
            self.ends = ends
            if self._lane is not None:
                self._lane.record_each(ends)

    def foresee_each(self, _ends: list[tuple[str, int, Optional[str]]]) -> None:
        """Nothing: if this process dies, so does the test."""

    def foresee(self, _outcome: str, *, delay_seconds: int = 0, queue: Optional[str] = None) -> None:
        """Nothing: if this process dies, so does the test."""

    def limit(self, _seconds: float, _grace: float = 0.0) -> None:
        """Nothing: as above."""

    def extend(self, _seconds: float) -> None:
        """Nothing: as above."""

    def declare(self, declared: list[Declaration]) -> None:
        """Tell the worker, where there is one, what modules have declared that were imported just now."""
        if self._lane is not None:
            self._lane.declare(declared)

    def warn_once(self, line: str) -> None:
        """Log a warning."""
        logger.warning("%s", line)

    def interrupt(self, thread: int, exception: type[BaseException]) -> bool:
        """Raise this in a thread, unless the task's outcome is recorded."""
        import ctypes

        if not self.is_running:
            return False
        raised: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))
        return raised > 0

    @property
    def is_running(self) -> bool:
        """Whether its outcome is not recorded."""
        return self.outcome is None

    @property
    def is_lease_lost(self) -> bool:
        """Whether the task may run elsewhere too."""
        return self._lane is not None and bool(self._lane.is_lease_lost)

    def _keep(self, outcome: Outcome) -> bool:
        is_first = self.outcome is None
        if is_first:
            self.outcome = outcome
        return is_first


class Prepared:
    """A message about to be run, or one that can't be."""

    def __init__(self, job: Job, worker: Worker, lane: Any = None) -> None:
        self._job = job
        self._lane = RecordedLane(lane)
        self._error: Optional[BaseException] = None
        self._unread: dict[str, Exception] = {}
        worker = worker._replace(tell_unrunnable=self._unrunnable)
        prepare = worker.stored.open if worker.stored and job.pointer else prepare_here
        # The lane has what an execution asks of one.
        self.execution = prepare(job, self._lane, worker)  # type: ignore[arg-type]
        if self.execution:
            self._job = self.execution._job  # with its body
            self._watch(self.execution)

    def runs(self) -> list[Run]:
        """What became of it, and of those that are run with it, once they have run."""
        self._lane.end()
        jobs = [self._job, *self._job.others]
        if len(jobs) == 1 and not isinstance(self.execution, BatchExecution):
            return [self._run()]
        decided = self.execution._decisions if isinstance(self.execution, BatchExecution) else []
        members = {member.place: (member, error) for member, error, _ in decided}
        return [self._run_of(place, job, *members.get(place, (None, None))) for place, job in enumerate(jobs)]

    def _run(self) -> Run:
        job, lane, execution = self._job, self._lane, self.execution
        before: dict[str, Any] = execution._before if execution else {}
        return Run(
            job.message_id,
            job.queue_url.rpartition("/")[2],
            job.task,
            before.get("args", []),
            before.get("kwargs", {}),
            lane.outcome or "failed",
            job.attempt,
            execution._result if execution and self._error is None else None,
            self._error,
            lane.retry_seconds,
            lane.dead_letter,
        )

    def _run_of(self, place: int, job: Job, member: Optional[Member], error: Optional[BaseException]) -> Run:
        """What became of one of a batch."""
        lane, execution = self._lane, self.execution
        ends = lane.ends or [(lane.outcome or "failed", 0, None, "")] * (place + 1)
        outcome, retry_seconds, dead_letter, _reason = ends[place]
        return Run(
            job.message_id,
            job.queue_url.rpartition("/")[2],
            job.task,
            member.before["args"] if member else [],
            member.before["kwargs"] if member else {},
            cast(Outcome, outcome),
            job.attempt,
            execution._result if execution and member and error is None else None,
            error or self._unread.get(job.message_id),
            retry_seconds,
            dead_letter,
        )

    def _watch(self, execution: Execution) -> None:
        """Learn what it raises, of whatever kind it is."""
        failed = execution._failed

        def watched(error: BaseException) -> None:
            self._error = error
            failed(error)

        execution._failed = watched  # type: ignore[method-assign]

    def _unrunnable(self, job: Job, reason: Exception) -> None:
        self._error = self._unread[job.message_id] = reason
        unrunnable.log(job, reason)


def worker_for_tests(resolver: Resolver, reader: Optional[Reader] = None, limits: Limits = NO_LIMITS) -> Worker:
    """What tasks of a test's own process have in common."""
    context = contextvars.copy_context()
    return Worker(resolver, reader or Reader(), limits, context=context, stored=StoredBodies(_Deleted()))


class _Deleted:
    """Where there is no queue, a message is gone when it is done."""

    def is_deleted(self, _receipt: str) -> bool:
        """Whether its payload may go."""
        return True
