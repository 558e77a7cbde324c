"""Tasks that run where they are sent."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Iterator
from typing import NamedTuple, Optional, Union

from .. import _batch, _lifespan, _on_message, _producer, _pyqs
from .._execution import Execution
from .._lifespan import Lifespan
from .._limits import NO_LIMITS, Clock
from .._producer import Outgoing
from .._resolve import Resolver
from ..errors import TaskRefused, UndecodableMessage, UnknownTask
from ._host import TestHost
from ._outbox import Outbox
from ._runs import FAILED_FOR_GOOD, Prepared, Run, worker_for_tests

CHAIN_MAX = 500
"""A task that sends itself, or asks for one more retry, so often in a row is taken to do so for ever."""


class EndlessChain(AssertionError):
    """A task sends itself again and again, or is retried for ever."""


_nested = 0
"""How many ``eager()`` hold."""


@contextlib.contextmanager
def eager(*, propagate: bool = True, run_delayed: bool = True, lifespan: bool = True) -> Iterator[Eager]:
    """While within, whatever is sent runs at once, in this process: no endpoint, no network, no waiting.

    >>> with eager() as tasks:
    ...     sign_up("ada@example.org")
    ...     tasks.assert_sent(send_email, "Welcome", to="ada@example.org")
    ...     assert tasks.runs[0].outcome == "succeeded"

    Each message is written and read as for a worker, so that what JSON can't carry, or SQS does not take, fails here
    too; its task is found by its name, and run by the worker's own code with its retries (without the waiting), its
    events and its ``self``. What a task sends runs when it has ended, in order, before the first ``.delay`` returns.

    It holds for all threads of this process. A batch task gets a list of one, or, of what ``delay_many`` sends, lists
    of up to ``batch``.

    :param propagate: what a task raises, when no retry is left, is raised by the ``.delay`` that began it all, once
        everything has run; ``Discard`` is not. ``False``: it is only kept, in ``runs``.
    :param run_delayed: ``False``: messages with a delay, and retries after one, wait for ``run_waiting()``.
    :param lifespan: ``False``: ``@pyqs.lifespan`` hooks are not set up. By default they are, as in a task process, and
        closed at the end, by the outermost ``eager()``.
    """
    global _nested
    tasks = Eager(propagate, run_delayed)
    with contextlib.ExitStack() as undo:
        undo.callback(tasks._host.close)
        undo.callback(_producer.replace, _producer.replace(tasks))
        _nested += 1
        undo.callback(_leave)
        if lifespan and _nested == 1:
            hooks = Lifespan(lambda coroutine: tasks._host.wait_for(coroutine, NO_LIMITS, Clock()))
            undo.callback(_lifespan.reopen)
            undo.callback(hooks.close)
            hooks.open()
        yield tasks


def _leave() -> None:
    global _nested
    _nested -= 1


class _Pending(NamedTuple):
    """A message that is to run."""

    id: str
    queue: str
    message: Outgoing
    attempt: int = 1
    depth: int = 0
    """How many tasks and retries led to it."""
    is_duplicate: bool = False
    """SQS would not deliver it."""
    many: int = 0
    """By which ``delay_many`` it was sent; 0 is none."""


class _Runnable(NamedTuple):
    """One that can be run."""

    pending: _Pending
    job: _pyqs.Job


class _Drain:
    """What is still to run before the outermost ``.delay`` returns."""

    def __init__(self, owner: Eager) -> None:
        self.owner = owner
        self.depth = 0
        """Of the message that runs."""
        self.failure: Optional[BaseException] = None
        self.context = contextvars.copy_context()
        """Each task runs in a copy of it."""
        self.context.run(_draining.set, self)
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._is_over = False

    def add(self, messages: list[_Pending]) -> bool:
        """To be run, too. ``False``: it is over."""
        with self._lock:
            if not self._is_over:
                self._pending.extend(messages)
            return not self._is_over

    def take(self) -> Optional[_Pending]:
        """The next one; after the last, it is over."""
        with self._lock:
            if not self._pending:
                self._is_over = True
                return None
            return self._pending.popleft()

    def take_along(self, first: _Pending, count: int) -> list[_Pending]:
        """What was sent with one by the same ``delay_many`` and is next, at most so many."""
        taken: list[_Pending] = []
        with self._lock:
            while len(taken) < count and self._pending and self._pending[0].many == first.many:
                taken.append(self._pending.popleft())
        return taken

    def give_back(self, messages: list[_Pending]) -> None:
        """They are next again."""
        with self._lock:
            self._pending.extendleft(reversed(messages))

    def end(self) -> None:
        """Run no more."""
        with self._lock:
            self._is_over = True


_draining: contextvars.ContextVar[Optional[_Drain]] = contextvars.ContextVar("pyqs_testing_drain", default=None)


class Eager(Outbox):
    """What was sent and run while ``eager()`` held."""

    def __init__(self, propagate: bool, run_delayed: bool) -> None:
        super().__init__()
        self.runs: list[Run] = []
        """All runs, in order: each retry is one."""
        self._propagate = propagate
        self._run_delayed = run_delayed
        self._waiting: list[_Pending] = []
        self._many = 0
        self._deduplicated: dict[tuple[str, str], str] = {}
        self._worker = worker_for_tests(Resolver())
        self._host = TestHost()

    def run_of(self, message_id: str) -> Run:
        """The last run of the message of this id."""
        for run in reversed(self.runs):
            if run.id == message_id:
                return run
        raise LookupError(f"no message {message_id} has run here")

    @property
    def waiting(self) -> int:
        """How many messages wait for ``run_waiting``."""
        return len(self._waiting)

    def run_waiting(self) -> None:
        """Run what waits, as if its time had come; what waits after that waits on."""
        waiting, self._waiting = self._waiting, []
        self._run_all([one._replace(message=one.message._replace(delay_seconds=0)) for one in waiting])

    # What the producer does elsewhere.

    def send(self, queue: str, message: Outgoing) -> str:
        """Take in a message, and run it."""
        pending = self._accept(queue, message)
        self._run_all([pending])
        return pending.id

    async def send_async(self, queue: str, message: Outgoing) -> str:
        """The same; an ``async def`` task runs on the caller's event loop."""
        pending = self._accept(queue, message)
        drain = self._begin([pending])
        if drain:
            for execution in self._turns(drain):
                if execution.is_async:
                    await execution.within(_started, execution)
                else:
                    execution.run(self._host)
        return pending.id

    def send_many(self, queue: str, messages: list[Outgoing]) -> list[Union[str, Exception]]:
        """Take in many, and run them."""
        accepted: list[Union[_Pending, Exception]] = []
        self._many += 1
        for message in messages:
            try:
                accepted.append(self._accept(queue, message)._replace(many=self._many))
            except Exception as error:
                accepted.append(error)
        self._run_all([one for one in accepted if isinstance(one, _Pending)])
        return [one.id if isinstance(one, _Pending) else one for one in accepted]

    def queue_url(self, queue: str) -> str:
        """A URL that leads nowhere, whose last part is the queue's name."""
        return f"eager://pyqs.testing/{queue}"

    def shutdown(self) -> None:
        """Nothing runs in the background."""

    def _accept(self, queue: str, message: Outgoing) -> _Pending:
        """Raises what sending would raise."""
        pending = _Pending(str(uuid.uuid4()), queue, message)
        with contextlib.suppress(UndecodableMessage):  # it is no call of a task: told when it runs
            self._job(pending)
        if queue.endswith(".fifo") and message.dedup_id is not None:
            # SQS takes the second one, and gives the first one's id (SQS developer guide, "Exactly-once processing").
            first = self._deduplicated.setdefault((queue, message.dedup_id), pending.id)
            if first != pending.id:
                return pending._replace(id=first, is_duplicate=True)
        self._keep(pending.id, queue, message)
        return pending

    def _job(self, pending: _Pending) -> tuple[_pyqs.Job, Optional[float]]:
        handler = _on_message.find(pending.queue)
        return _pyqs.job_of_sent(
            pending.queue,
            pending.message,
            self._worker.reader,
            message_id=pending.id,
            attempt=pending.attempt,
            handler=handler.path if handler else None,
        )

    def _run_all(self, messages: list[_Pending]) -> None:
        drain = self._begin(messages)
        if drain:
            for execution in self._turns(drain):
                execution.run(self._host)

    def _begin(self, messages: list[_Pending]) -> Optional[_Drain]:
        """What is to be run now; ``None`` where a task sends, which has it run later."""
        messages = [pending for pending in messages if not pending.is_duplicate]
        if not self._run_delayed:
            self._waiting += [pending for pending in messages if pending.message.delay_seconds]
            messages = [pending for pending in messages if not pending.message.delay_seconds]
        drain = _draining.get()
        if drain is not None and drain.owner is self:
            following = [pending._replace(depth=drain.depth + 1) for pending in messages]
            if drain.add(following):
                return None
        drain = _Drain(self)
        drain.add(messages)
        return drain

    def _turns(self, drain: _Drain) -> Iterator[Execution]:
        """Each task in turn, which is to be run before the next is asked for."""
        try:
            while True:
                pending = drain.take()
                if pending is None:
                    break
                drain.depth = pending.depth
                runnable = self._runnable(drain, pending)
                if runnable is None:
                    continue
                together = [runnable, *self._along(drain, runnable)]
                job = runnable.job
                if len(together) > 1:
                    job = job.with_others([one.job for one in together[1:]])
                prepared = drain.context.run(Prepared, job, self._worker._replace(context=drain.context))
                if prepared.execution:
                    yield prepared.execution
                for one, run in zip(together, prepared.runs()):
                    self._ended(drain, one.pending, run)
        finally:
            drain.end()
        if drain.failure:
            raise drain.failure

    def _runnable(self, drain: _Drain, pending: _Pending) -> Optional[_Runnable]:
        """``None``: it is not run, which is kept."""
        if pending.depth > CHAIN_MAX:
            raise EndlessChain(
                f"{CHAIN_MAX} tasks and retries in a row, the last in queue {pending.queue}: {pending.message.body}; "
                "where each waits before the next, eager(run_delayed=False) runs one at a time"
            )
        try:
            job, expires = self._job(pending)
        except UndecodableMessage as error:
            self._ended(drain, pending, Run(pending.id, pending.queue, "", [], {}, "unrunnable", error=error))
            return None
        if expires is not None and expires <= time.time():
            self._ended(drain, pending, Run(pending.id, pending.queue, job.task, [], {}, "expired"))
            return None
        return _Runnable(pending, job)

    def _along(self, drain: _Drain, first: _Runnable) -> list[_Runnable]:
        """What is run with a message, where its task takes batches and ``delay_many`` has sent it."""
        if not first.pending.many or first.job.pointer:
            return []
        size = self._batch_size(first)
        along = [self._runnable(drain, pending) for pending in drain.take_along(first.pending, size - 1)]
        runnable = [one for one in along if one]
        # A worker does not know of what task a stored body is, and runs it alone.
        drain.give_back([one.pending for one in runnable if one.job.pointer])
        return [one for one in runnable if not one.job.pointer]

    def _batch_size(self, first: _Runnable) -> int:
        handler = _on_message.find(first.pending.queue)
        batch = handler.batch if handler else None
        if handler is None:
            with contextlib.suppress(UnknownTask, TaskRefused):  # told when it runs
                batch = _batch.declared(self._worker.resolver.resolve(first.job.task))
        return batch.size if batch else 1

    def _ended(self, drain: _Drain, pending: _Pending, run: Run) -> None:
        self.runs.append(run)
        if run.error is not None and _is_for_the_test(run.error):
            raise run.error
        if run.outcome == "retry":
            message = pending.message._replace(delay_seconds=run.retry_seconds)
            retry = pending._replace(message=message, attempt=pending.attempt + 1, depth=pending.depth + 1)
            if run.retry_seconds and not self._run_delayed:
                self._waiting.append(retry)
            else:
                drain.add([retry])
        elif run.outcome in FAILED_FOR_GOOD and self._propagate:
            drain.failure = drain.failure or run.error


def _started(execution: Execution) -> Awaitable[None]:
    import asyncio

    return asyncio.ensure_future(execution.run_async())


def _is_for_the_test(error: BaseException) -> bool:
    """Whether it ends the test rather than the task: Ctrl-C, ``pytest.fail()``. A worker's task has no such errors."""
    if isinstance(error, (Exception, SystemExit, GeneratorExit)):
        return False
    return type(error).__name__ != "CancelledError"
