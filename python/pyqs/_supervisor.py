"""The supervisor: the process that called the worker. It forks, reaps, and passes signals on; it runs no task.

It forks a manager (Rust, which talks to SQS) and, when the manager asks for them, task processes; ``_manager.py`` has
what they say to each other. One thread, so that every fork is from a process with one thread, and what the caller set
up (Django, events, logging) is there in every task process. When this process is gone, the manager reads the end of
its socket and stops; when the manager is gone, each task process reads the end of its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import logging
import os
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any, Callable, NamedTuple, NoReturn, Optional

from . import _producer, _pyqs, _resolve, _streams, _task_process, events
from ._manager import Manager
from ._pyqs import Ledger, WorkerSettings
from ._signals import STOP_SIGNALS, Signals, do_nothing
from .errors import PyqsError
from .events import TaskCrashed, WorkerStarted, WorkerStopped

logger = logging.getLogger("pyqs")

MANAGER_SETTLED_SECS = 30.0
"""A manager that lived this long died of something new, so the next one starts at once."""

MANAGER_DELAY_SECS_MIN = 0.5
MANAGER_DELAY_SECS_MAX = 30.0
"""The waits before another manager, when they keep dying: none before the second, then doubled each time."""

KILL_AFTER_NOW_SECS = 5.0
"""After a second signal the manager has this long to give messages back."""

KILL_AFTER_TASKS_SECS = 30.0
"""After the last task the manager stops within 25 s, whatever the endpoint does: a receive is open for 20 s."""


class ManagerFailed(PyqsError):
    """The manager gave up; its message is for the user."""


class TaskProcess(NamedTuple):
    """A task process that lives."""

    pid: int
    process: int
    manager: Manager


class Supervisor:
    """Runs a worker with these settings: ``start``, then ``run``, which returns when a signal has stopped it.

    Only the main thread may, since signals go there. With ``orders``, signals come as bytes from that socket instead,
    and its end is a ``SIGTERM``: so a program has its supervisor in a process beside it. What comes from ``changes``
    stops it too, and ``is_changed`` says so.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        orders: Optional[socket.socket] = None,
        changes: Optional[socket.socket] = None,
    ) -> None:
        self._settings = settings
        self._orders = orders
        self._changes = changes
        self.is_changed = False
        self._signals: Optional[Signals] = None
        self._selector = selectors.DefaultSelector()
        self._manager: Optional[Manager] = None
        self._ledger: Optional[Ledger] = None
        self._task_processes: dict[int, TaskProcess] = {}
        self._stops = 0
        self._is_finished = False  # the manager has ended by itself, as --burst and --max-tasks have it
        self._fatal: Optional[str] = None
        self._manager_delay = 0.0  # before the next one
        self._start_manager_at: Optional[float] = None
        self._kill_all_at: Optional[float] = None

    def start(self) -> None:
        """Import what ``--preload`` names, and fork the manager."""
        # Where the caller has set up logging, its level counts; the manager need not send what nobody wants.
        self._settings.log_level = level_name(logger.getEffectiveLevel())
        if self._settings.unsafe_pickle:
            logger.warning(
                "--unsafe-pickle %s: whoever can send to the queues may have these classes called, with any arguments",
                ",".join(self._settings.unsafe_pickle),
            )
        # Before the user's modules, which may say something else.
        _producer.configure(
            payload_store=self._settings.payload_store,
            payload_threshold=self._settings.payload_threshold,
            keep_payloads=self._settings.keep_payloads,
            idempotency_store=self._settings.idempotency_store,
        )
        for module in self._settings.preload:
            try:
                importlib.import_module(module)
            except Exception as error:
                raise PyqsError(
                    f"can't import {module}, which --preload names: {type(error).__name__}: {error}"
                ) from error
        for module in self._settings.imports:
            # Each task process imports them, but not one could where there is nothing to import.
            if not _is_there(module.partition(".")[0]):
                raise PyqsError(
                    f"there is no module {module}, which --import names; start the worker where it can be imported"
                )
        # Its threads would not survive the fork, and what they hold would be held for ever.
        _producer.shutdown()
        if self._settings.celery_app:
            self._ask_celery_app(self._settings.celery_app)
        if self._settings.preload:
            gc.collect()
        # What is here now is left alone by the children's collectors, whose marks would copy its memory.
        gc.freeze()
        self._signals = Signals()
        self._selector.register(self._signals.read_end, selectors.EVENT_READ, self._take_signals)
        if self._orders:
            self._selector.register(self._orders, selectors.EVENT_READ, self._take_orders)
        if self._changes:
            self._selector.register(self._changes, selectors.EVENT_READ, self._take_change)
        self._start_manager()
        self._tell_started()

    def _tell_started(self) -> None:
        settings = self._settings
        listeners = events.get_events().listeners(WorkerStarted)
        if listeners:
            facts = tuple(settings.queues), settings.concurrency, settings.threads
            events.tell(WorkerStarted(os.getpid(), *facts), listeners)

    def _ask_celery_app(self, path: str) -> None:
        from ._celery_app import described_by_child

        described = described_by_child(path)
        if not self._settings.queues:
            self._settings.queues = list(described.queues.values())
        self._settings.set_celery_queues(
            described.prefix, described.predefined, described.default_queue, described.routes
        )
        if not self._settings.cert_store:
            self._settings.cert_store = described.cert_store

    def run(self) -> None:
        """Supervise until all is stopped. Raises :class:`ManagerFailed` if the manager gave up."""
        try:
            while not self._is_over():
                for key, _ in self._selector.select(self._timeout()):
                    key.data()
                self._keep_time()
        finally:
            self._kill_all()
            if self._signals:
                self._selector.close()
                self._signals.restore()
        events.tell(WorkerStopped(os.getpid(), self._fatal), events.get_events().listeners(WorkerStopped))
        if self._fatal:
            raise ManagerFailed(self._fatal)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Stop gracefully: ``run`` returns when the running tasks have ended. The second call stops now."""
        self._stops += 1
        logger.info("Received shutdown signal %s", int(signum))
        if self._stops == 1:
            logger.info("Graceful shutdown. Sending shutdown signal to children.")
            if self._settings.shutdown_timeout is not None:
                # The manager keeps this limit itself; a manager that can't is not waited for.
                self._kill_all_after(self._settings.shutdown_timeout + KILL_AFTER_TASKS_SECS)
        else:
            self._kill_all_after(KILL_AFTER_NOW_SECS if self._stops == 2 else 0.0)
        self._start_manager_at = None
        self._tell({"stop": {"signal": signal.Signals(signum).name, "now": self._stops > 1}})

    def _is_over(self) -> bool:
        is_ending = self._stops > 0 or self._is_finished or self._fatal is not None
        return is_ending and not self._manager and not self._task_processes

    # The manager

    def _start_manager(self) -> None:
        """Fork a manager, with a ledger of its own: task processes of an earlier one may still write to theirs."""
        try:
            ledger = self._ledger.successor() if self._ledger else Ledger.for_settings(self._settings)
            ours, theirs = socket.socketpair()

            def manager() -> int:
                for signum in STOP_SIGNALS:
                    signal.signal(signum, signal.SIG_IGN)  # it stops when we say so, or are gone
                ours.close()
                return _pyqs.run_manager(self._settings, theirs.detach(), ledger)

            pid = self._fork(manager)
        except OSError as error:
            self._start_manager_later(f"can't be started ({error})")
            return
        theirs.close()
        self._ledger = ledger
        self._manager = Manager(pid, ours, ledger)
        self._selector.register(ours, selectors.EVENT_READ, self._listen)
        if self._task_processes:
            self._tell({"left": {"pids": list(self._task_processes)}})

    def _start_manager_later(self, cause: str) -> None:
        delay = self._manager_delay
        self._manager_delay = min(max(MANAGER_DELAY_SECS_MIN, delay * 2), MANAGER_DELAY_SECS_MAX)
        self._start_manager_at = time.monotonic() + delay
        logger.error("The manager %s; starting another %s", cause, f"in {delay:.1f} seconds" if delay else "at once")

    def _listen(self) -> None:
        """Do what the manager asks for."""
        manager = self._manager
        if manager is None:
            return
        try:
            for message in manager.read():
                self._obey(message)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            self._give_up_on(manager, f"sends what is no message of its own ({error})")
        if manager.is_at_end:
            self._hang_up(manager)

    def _obey(self, message: dict[str, Any]) -> None:
        for kind, fields in message.items():
            if kind == "fork":
                self._start_task_process(fields["process"], fields["slot"])
            elif kind == "kill":
                self._kill_task_process(fields["process"])
            elif kind == "kill_left":
                if fields["pid"] in self._task_processes:
                    _kill(fields["pid"])
            elif kind == "log":
                logger.log(fields["level"], "%s", fields["message"])
            elif kind == "crashed":
                events.tell(TaskCrashed(**fields), events.get_events().listeners(TaskCrashed))
            elif kind == "fatal":
                self._fatal = fields["message"]

    def _tell(self, message: dict[str, Any], *fds: int) -> None:
        manager = self._manager
        if manager is None or manager.is_at_end:
            return
        try:
            manager.send(message, *fds)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has just died, and is reaped next
        except OSError as error:
            self._give_up_on(manager, f"does not listen ({error})")

    def _give_up_on(self, manager: Manager, cause: str) -> None:
        """A manager that talks nonsense or has stopped reading won't be well again."""
        logger.error("Manager %s %s; killing it", manager.pid, cause)
        self._hang_up(manager)
        _kill(manager.pid)

    def _hang_up(self, manager: Manager) -> None:
        manager.is_at_end = True
        with contextlib.suppress(KeyError):
            self._selector.unregister(manager.socket)

    def _manager_died(self, manager: Manager, status: int) -> None:
        self._listen()  # its last words
        self._hang_up(manager)
        manager.socket.close()
        self._manager = None
        if self._fatal:
            return
        if status == 0 and not self._stops:
            self._is_finished = True
            return
        cause = f"(pid {manager.pid}) {_describe(status)}"
        if self._stops:
            if status != 0:
                logger.error("The manager %s while stopping", cause)
            return
        if manager.lived_secs() >= MANAGER_SETTLED_SECS:
            self._manager_delay = 0.0
        self._start_manager_later(f"{cause} and messages that had not begun come back after their visibility timeout")

    # Task processes

    def _start_task_process(self, process: int, slot: int) -> None:
        manager = self._manager
        if manager is None:
            return
        # Found out once here, and not in each process. Not at the start: the manager is at work meanwhile.
        _resolve.installed_folders()
        try:
            managers_end, task_end = socket.socketpair()

            def task_process() -> int:
                for signum in STOP_SIGNALS:
                    # Tasks end in their own time. A handler, since what a task starts would inherit an ignored signal.
                    signal.signal(signum, do_nothing)
                manager.socket.close()
                managers_end.close()
                logger.info("Running ProcessWorker, pid: %s", os.getpid())
                channel = _pyqs.TaskChannel(task_end.detach(), manager.ledger, slot, self._settings)
                _task_process.run(channel, self._settings)
                return 0

            pid = self._fork(task_process)
        except OSError as error:
            logger.error("A task process can't be started (%s)", error)
            self._tell({"died": {"process": process, "signal": None, "code": 1}})
            return
        task_end.close()
        self._task_processes[pid] = TaskProcess(pid, process, manager)
        self._tell({"forked": {"process": process, "pid": pid}}, managers_end.fileno())
        managers_end.close()

    def _kill_task_process(self, process: int) -> None:
        for child in self._task_processes.values():
            if child.process == process and child.manager is self._manager:
                _kill(child.pid)

    def _task_process_died(self, child: TaskProcess, status: int) -> None:
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        if child.manager is self._manager:
            self._tell({"died": {"process": child.process, "signal": killed_by, "code": code}})
        else:
            # Its manager is gone, and another one's process may have the same number.
            self._tell({"left_died": {"pid": child.pid, "signal": killed_by, "code": code}})

    # Processes, signals, time

    def _fork(self, body: Callable[[], int]) -> int:
        """Run ``body`` in a child, which ends with its result and never returns here."""
        assert self._signals is not None, "start() comes first"
        _streams.flush()
        self._signals.hold()
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    self._signals.forget()
                    self._selector.close()
                    if self._orders:
                        self._orders.close()
                    end_child(body)
                finally:
                    os._exit(1)  # whatever happens, there is one supervisor
            return pid
        finally:
            self._signals.release()

    def _take_signals(self) -> None:
        assert self._signals is not None, "registered by start()"
        for signum in self._signals.read():
            if signum in STOP_SIGNALS and not self._orders:
                self.is_changed = False
                self.stop(signum)
        self._reap()

    def _take_orders(self) -> None:
        assert self._orders is not None, "registered by start()"
        orders = self._orders.recv(1)
        if orders:
            self.stop(orders[0])
            return
        self._selector.unregister(self._orders)
        if not self._stops:
            self.stop()

    def _take_change(self) -> None:
        assert self._changes is not None, "registered by start()"
        self._selector.unregister(self._changes)
        if self._changes.recv(1) and not self._stops:
            self.is_changed = True
            self.stop()

    def _children(self) -> list[int]:
        return [*self._task_processes, *([self._manager.pid] if self._manager else [])]

    def _reap(self) -> None:
        """Take in the deaths of our children. Others are left to the caller, whose they may be; but as PID 1, or as a
        subreaper, this process is the parent of all orphans."""
        # Task processes first: when both died, the manager's successor is to know nothing of them.
        for child in list(self._task_processes.values()):
            status = _wait(child.pid)
            if status is not None:
                del self._task_processes[child.pid]
                self._task_process_died(child, status)
        if self._manager:
            status = _wait(self._manager.pid)
            if status is not None:
                self._manager_died(self._manager, status)
        if os.getpid() == 1 or _pyqs.is_subreaper():
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if dead is None or dead.si_pid in self._children():
                    return  # one of ours that died just now: its SIGCHLD brings us back
                _wait(dead.si_pid)

    def _timeout(self) -> Optional[float]:
        deadlines = [at for at in (self._start_manager_at, self._kill_all_at) if at is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._kill_all_at is not None and now >= self._kill_all_at:
            self._kill_all_at = None
            if self._children():
                logger.error("Killing what has not stopped in time: %s", self._children())
                self._kill_all()
        if self._start_manager_at is not None and now >= self._start_manager_at:
            self._start_manager_at = None
            self._start_manager()

    def _kill_all_after(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        self._kill_all_at = at if self._kill_all_at is None else min(at, self._kill_all_at)

    def _kill_all(self) -> None:
        for pid in self._children():
            _kill(pid)


def end_child(body: Callable[[], int]) -> NoReturn:
    """Run a child's body and end the child without running what the caller registered for its own end."""
    code = 1
    try:
        code = body()
        # Threads that a task has started are awaited, as they were with PyQS.
        threading._shutdown()  # type: ignore[attr-defined]
        logging.shutdown()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        _streams.flush()
        os._exit(code)


def _is_there(package: str) -> bool:
    """Whether there is such a package or module; it is not imported for this."""
    return package in sys.modules or (package != "" and importlib.util.find_spec(package) is not None)


def _wait(pid: int) -> Optional[int]:
    """The status of a child that has ended; ``None`` while it lives."""
    try:
        waited, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0  # somebody in the caller's process waits for every child, and has had this one
    return status if waited == pid else None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with code {os.WEXITSTATUS(status)}"


def level_name(level: int) -> str:
    """The highest of the standard levels that lets through all that ``level`` does."""
    standard = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO)
    return logging.getLevelName(next((known for known in standard if known <= level), logging.DEBUG))
