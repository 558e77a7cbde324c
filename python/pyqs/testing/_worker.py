"""A worker in a test's own process: the manager on a thread, tasks on threads or on the one that calls.

Nothing is forked, so that what a test has replaced is replaced for its tasks too, and what they do is there to be
looked at. The manager is the one of production: it polls, extends, retries, deletes and sends on. It is told that a
task process was forked when there is a thread for one.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import queue
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, NamedTuple, Optional, Union

from .. import _declarations, _lifespan, _producer, _pyqs
from .._lifespan import Lifespan
from .._limits import NO_LIMITS, Clock, Limits
from .._manager import Manager
from .._pyqs import Ledger, Reader, TaskChannel, WorkerSettings
from .._resolve import Resolver
from .._stored import StoredBodies
from .._supervisor import level_name
from ..errors import PyqsError, SettingsInvalid
from ._endpoint import Endpoint
from ._host import TestHost
from ._outbox import LISTED_MAX, sender_of
from ._runs import FAILED_FOR_GOOD, Prepared, Run, worker_for_tests

logger = logging.getLogger("pyqs")

STOP_SECS_MAX = 60.0
"""A worker that has not stopped by then is left behind: a task of it does not end."""

NO_PID = 0
"""A thread has none of its own, and the manager is to kill nothing."""


@contextlib.contextmanager
def worker(*queues: str, concurrency: int = 1, **settings: Any) -> Iterator[Worker]:
    """A worker on these queues while within, in this process: ``concurrency`` threads of it run tasks.

    >>> with endpoint(), worker("email") as working:
    ...     message_id = send_email.delay("Hello")
    ...     assert working.wait(message_id, timeout=5).outcome == "succeeded"

    Where SQS is, the environment says, as for ``.delay``. Queues given by their names are created. At the end tasks
    that run are waited for, and messages that have not begun stay in their queues. ``@pyqs.lifespan`` hooks are set up
    before, and closed after.

    :param settings: those of the command's options, as ``allow=["legacy.*"]``, but for those that are about processes.
        A task's own time limit ends no task here, since it would end the process, but for ``async def``.
    """
    _create(queues)
    running = Worker(_settings(queues, concurrency, settings), on_threads=True)
    try:
        running._start()
        yield running
    finally:
        running._stop()
    running._raise_if_failed()


def run_until_empty(*queues: str, propagate: bool = True, **settings: Any) -> list[Run]:
    """Run what is in these queues, one task after the other on this thread, until they are empty; gives the runs.

    >>> with endpoint():
    ...     send_email.delay("Hello")
    ...     (run,) = run_until_empty("email")

    Messages that tasks send to these queues run too. What is delayed, or waits for its next retry, is not waited for:
    it stays in its queue.

    :param propagate: when all have run, the first error is raised of those after which no retry comes; ``Discard`` is
        none. ``False``: it is only kept, in the runs.
    :param settings: as of ``worker``.
    """
    _create(queues)
    if isinstance(_producer.replaced(), Endpoint):
        # SQS itself must be given time to ask all its servers; such an endpoint knows at once.
        settings = {"receive_wait": 0.0, **settings}
    running = Worker(_settings(queues, 1, {**settings, "burst": True}), on_threads=False)
    try:
        running._start()
        running._run_here()
    finally:
        running._stop()
    running._raise_if_failed()
    errors = [run.error for run in running.runs if run.outcome in FAILED_FOR_GOOD and run.error]
    if errors and propagate:
        raise errors[0]
    return running.runs


class _Process(NamedTuple):
    """What the manager takes for a task process."""

    number: int
    channel: TaskChannel


class Worker:
    """A worker that runs in this process."""

    def __init__(self, settings: WorkerSettings, on_threads: bool) -> None:
        self.runs: list[Run] = []
        """All runs that have ended, in order: each retry is one."""
        self._settings = settings
        self._on_threads = on_threads
        self._host = TestHost()
        self._lifespan = Lifespan(lambda coroutine: self._host.wait_for(coroutine, NO_LIMITS, Clock()))
        self._changed = threading.Condition()
        self._processes: queue.SimpleQueue[Optional[_Process]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._killed: set[int] = set()
        self._fatal: Optional[str] = None
        self._telling = threading.Lock()
        self._ledger = Ledger.for_settings(settings)
        ours, theirs = socket.socketpair()
        self._manager = Manager(NO_PID, ours, self._ledger)
        manager = (settings, theirs.detach(), self._ledger)
        self._running = [
            threading.Thread(target=_pyqs.run_manager, args=manager, name="pyqs-testing-manager", daemon=True),
            threading.Thread(target=self._listen, name="pyqs-testing-worker", daemon=True),
        ]

    def _start(self) -> None:
        settings = self._settings
        for module in (*settings.preload, *settings.imports):
            importlib.import_module(module)
        self._lifespan.open()
        self._tasks = worker_for_tests(
            Resolver(settings.allow, settings.registered_only),
            Reader(cert_store=settings.cert_store),
            Limits(soft=settings.soft_time_limit),
        )
        for thread in self._running:
            thread.start()

    def wait(self, what: Union[str, Callable[..., Any]], *, timeout: float = 5.0) -> Run:
        """Wait until the message of this id, or a message of this task, is done: it has run, and is not to be retried.
        Gives its last run.

        >>> working.wait(send_email)
        >>> working.wait(message_id, timeout=30)

        :param timeout: after so many seconds it is an ``AssertionError``.
        """
        name = None if isinstance(what, str) else sender_of(what).path
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for run in reversed(self.runs):
                    if run.outcome not in ("retry", "postponed") and (
                        run.id == what if name is None else run.task == name
                    ):
                        return run
                left = end - time.monotonic()
                if self._fatal or left <= 0 or not self._changed.wait(left):
                    break
            ran = self.runs[-LISTED_MAX:]
        self._raise_if_failed()
        lines = [f"not within {timeout} s: {what if name is None else name}; {'ran:' if ran else 'nothing ran'}"]
        raise AssertionError("\n".join([*lines, *(f"  {run}" for run in ran)]))

    def _stop(self) -> None:
        self._tell({"stop": {"signal": "SIGTERM", "now": False}})
        end = time.monotonic() + STOP_SECS_MAX
        try:
            for thread in [*self._running, *self._threads]:
                if thread.ident is None:  # a lifespan hook has raised
                    continue
                thread.join(max(0.0, end - time.monotonic()))
                if thread.is_alive():
                    raise AssertionError(f"a task still runs {STOP_SECS_MAX:.0f} s after its worker was to stop")
        finally:
            self._manager.socket.close()
            self._lifespan.close()
            _lifespan.reopen()
            self._host.close()

    def _raise_if_failed(self) -> None:
        if self._fatal:
            raise PyqsError(self._fatal)

    def _run_here(self) -> None:
        """Run tasks on the calling thread until the manager has ended."""
        while True:
            process = self._processes.get()
            if process is None:
                return
            self._run_process(process)

    # What the supervisor does elsewhere.

    def _listen(self) -> None:
        manager = self._manager
        while not manager.is_at_end:
            select.select([manager.socket], [], [])
            for message in manager.read():
                for kind, fields in message.items():
                    self._obey(kind, fields)
        self._processes.put(None)

    def _obey(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "fork":
            self._start_process(fields["process"], fields["slot"])
        elif kind == "kill":
            self._killed.add(fields["process"])
            logger.error("A task has run past its time limit; in a test's own process nothing can end it")
        elif kind == "log":
            logger.log(fields["level"], "%s", fields["message"])
        elif kind == "fatal":
            with self._changed:
                self._fatal = fields["message"]
                self._changed.notify_all()

    def _start_process(self, number: int, slot: int) -> None:
        managers_end, task_end = socket.socketpair()
        process = _Process(number, TaskChannel(task_end.detach(), self._ledger, slot, self._settings))
        process.channel.declare(list(_declarations.known))
        self._tell({"forked": {"process": number, "pid": NO_PID}}, managers_end.fileno())
        managers_end.close()
        if not self._on_threads:
            self._processes.put(process)
            return
        name = f"pyqs-testing-tasks-{number}"
        thread = threading.Thread(target=self._run_process, args=(process,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run_process(self, process: _Process) -> None:
        (lane,) = process.channel.lanes
        stored = StoredBodies(process.channel)
        tasks = self._tasks._replace(stored=stored)
        try:
            for job in lane:
                prepared = Prepared(job, tasks, lane)
                if prepared.execution:
                    prepared.execution.run(self._host)
                with self._changed:
                    self.runs += prepared.runs()
                    self._changed.notify_all()
                if process.number in self._killed:
                    break
        except OSError as error:
            logger.error("A worker in a test has lost its socket, which a task may have closed: %s", error)
        finally:
            stored.leave()
            killed_by = 9 if process.number in self._killed else None
            self._tell({"died": {"process": process.number, "signal": killed_by, "code": None if killed_by else 0}})

    def _tell(self, message: dict[str, Any], *fds: int) -> None:
        # A manager that is gone needs to know nothing.
        with self._telling, contextlib.suppress(OSError):
            self._manager.send(message, *fds)


def _settings(queues: tuple[str, ...], concurrency: int, settings: dict[str, Any]) -> WorkerSettings:
    for name, value in settings.items():
        why = _NOT_HERE.get(name)
        if why and value not in (None, False):
            raise SettingsInvalid(f"{name}= {why}")
    if settings.get("threads") not in (None, 1):
        raise SettingsInvalid("threads= are those of a process, and there is none here; concurrency= gives threads")
    return WorkerSettings(
        **{
            "queues": list(queues),
            "concurrency": concurrency,
            "max_tasks_per_child": 0,
            "log_level": level_name(logger.getEffectiveLevel()),
            **settings,
        }
    )


_PROCESSES = "is about processes, and this one is the test's; start `pyqs` as a program for it"
_CONFIGURED = "is this process's own here; say it by pyqs.configure(...)"
_NOT_HERE = {
    **dict.fromkeys(("time_limit", "max_memory_per_child", "reload", "celery_app", "unsafe_pickle"), _PROCESSES),
    **dict.fromkeys(
        ("format", "create_queues", "payload_store", "payload_threshold", "keep_payloads", "idempotency_store"),
        _CONFIGURED,
    ),
}
"""Settings that a worker in a test's own process can't keep, and why."""


def _create(queues: tuple[str, ...]) -> None:
    """Create the queues that are given by name: a worker finds those that come later within 30 s only."""
    for name in queues:
        name = name.partition("=")[0].partition(":")[0]
        if not any(char in name for char in "*?[ ,"):
            _producer.queue_url(name)
