"""PyQS's classes for running a worker from a program, on this engine. ``pyqs.main._main`` is the shorter way.

>>> manager = ManagerWorker(["email*"], worker_concurrency=4, interval=0, batchsize=10)
>>> manager.start()
>>> manager.sleep()

What PyQS had here that this engine can't have raises :class:`pyqs.errors.NotCarriedOver`, which names what to use.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from typing import Any, NoReturn, Optional

from . import _producer, _pyqs, _settings, _streams
from ._signals import STOP_SIGNALS
from ._supervisor import Supervisor, end_child
from .errors import NotCarriedOver, PyqsError, SettingsInvalid
from .main import PYQS_PREFETCH_MULTIPLIER

logger = logging.getLogger("pyqs")

MESSAGE_DOWNLOAD_BATCH_SIZE = 10
LONG_POLLING_INTERVAL = 20


class BaseManager:
    """What both managers have.

    The supervisor runs in a process forked from this one, so that the worker works while the program does other
    things between ``start`` and ``stop``.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        if options.get("reload"):
            raise SettingsInvalid(
                "reload= starts a program anew, and this one is more than its worker; use `pyqs --reload`, or "
                "pyqs.main._main(..., reload=True)"
            )
        self._settings = _settings.of_worker(options, {})
        if self._settings.reload:
            logger.warning("%s does not start anew when code changes, as reload says; `pyqs` does", type(self).__name__)
        self._supervisor: Optional[tuple[int, socket.socket]] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "WORKER_CHILDREN_CLASS" in vars(cls):
            raise NotCarriedOver(
                f"{cls.__name__}.WORKER_CHILDREN_CLASS: tasks are run by the engine's own processes; "
                "use the hooks of pyqs.events to do something before or after each task"
            )

    @property
    def queue_urls(self) -> list[str]:
        """The URLs of the queues that match now; a running worker looks again every 30 seconds."""
        return _pyqs.find_queues(self._settings)

    def start(self) -> None:
        """Start the worker and return."""
        if self._supervisor:
            raise PyqsError("this worker has been started already; make another one, or call stop() before")
        _producer.shutdown()  # its threads would not survive the fork
        ours, orders = socket.socketpair()
        _streams.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            end_child(lambda: _supervise(self._settings, orders))
        orders.close()
        self._supervisor = (pid, ours)
        _started.append(self)

    def stop(self) -> None:
        """Stop gracefully, and return when the running tasks have ended."""
        self._order(signal.SIGTERM)
        if self._wait() != 0:
            raise PyqsError("the worker failed; it has said why on standard error")

    def sleep(self) -> NoReturn:
        """Wait until a signal has stopped the worker, then exit the process."""
        for signum in STOP_SIGNALS:
            signal.signal(signum, lambda signum, _frame: self._order(signum))
        sys.exit(self._wait())

    def _order(self, signum: int) -> None:
        if self._supervisor:
            # One that has ended needs no orders.
            with contextlib.suppress(OSError):
                self._supervisor[1].send(bytes([signum]))

    def _wait(self) -> int:
        """Wait for the supervisor's end: 0, or 1 when it failed."""
        if not self._supervisor:
            return 0
        pid, ours = self._supervisor
        _, status = os.waitpid(pid, 0)
        ours.close()
        self._supervisor = None
        _started.remove(self)
        return 0 if status == 0 else 1


# A worker that was started goes on, as PyQS's did, when the program keeps no reference to it.
_started: list[BaseManager] = []


def _supervise(settings: _pyqs.WorkerSettings, orders: socket.socket) -> int:
    try:
        supervisor = Supervisor(settings, orders)
        supervisor.start()
        supervisor.run()
    except PyqsError as error:
        print(f"pyqs: {error}", file=sys.stderr)
        return 1
    return 0


class ManagerWorker(BaseManager):
    """The default worker. Further settings are those of the command's options, as for ``pyqs.main._main``."""

    def __init__(
        self,
        queue_prefixes: list[str],
        worker_concurrency: int,
        interval: float,
        batchsize: int,
        prefetch_multiplier: int = PYQS_PREFETCH_MULTIPLIER,
        region: Optional[str] = None,
        access_key_id: Optional[str] = None,
        secret_access_key: Optional[str] = None,
        endpoint_url: Optional[str] = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            {
                "queues": list(queue_prefixes),
                "concurrency": worker_concurrency,
                "interval": interval,
                "batchsize": max(1, batchsize),
                "prefetch_multiplier": None if prefetch_multiplier == PYQS_PREFETCH_MULTIPLIER else prefetch_multiplier,
                "region": region,
                "access_key_id": access_key_id,
                "secret_access_key": secret_access_key,
                "endpoint_url": endpoint_url,
                **settings,
            }
        )


class SimpleManagerWorker(BaseManager):
    """``--simple-worker``: the same engine, which holds no messages beside those that run."""

    def __init__(
        self,
        queue_prefixes: list[str],
        worker_concurrency: int,
        interval: float,
        batchsize: int,
        region: Optional[str] = None,
        access_key_id: Optional[str] = None,
        secret_access_key: Optional[str] = None,
        endpoint_url: Optional[str] = None,
        **settings: Any,
    ) -> None:
        super().__init__(
            {
                "queues": list(queue_prefixes),
                "concurrency": worker_concurrency,
                "interval": interval,
                "batchsize": max(1, batchsize),
                "simple_worker": True,
                "region": region,
                "access_key_id": access_key_id,
                "secret_access_key": secret_access_key,
                "endpoint_url": endpoint_url,
                **settings,
            }
        )


class _EngineProcess:
    """Stands where PyQS had a process class that users could make or inherit from."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotCarriedOver(f"{type(self).__name__}: {_INSTEAD_OF_PROCESSES}")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__ != __name__:
            raise NotCarriedOver(f"{cls.__bases__[0].__name__}, which {cls.__name__} extends: {_INSTEAD_OF_PROCESSES}")


_INSTEAD_OF_PROCESSES = (
    "reading and running are the engine's own; run a worker with pyqs.main._main or ManagerWorker, and use the hooks "
    "of pyqs.events to do something before or after each task"
)


class BaseWorker(_EngineProcess):
    """PyQS's worker process: not carried over."""


class ReadWorker(BaseWorker):
    """PyQS's process that received messages: not carried over."""


class BaseProcessWorker(BaseWorker):
    """PyQS's process that ran tasks: not carried over."""


class ProcessWorker(BaseProcessWorker):
    """PyQS's process that ran tasks: not carried over."""


class SimpleProcessWorker(BaseProcessWorker):
    """PyQS's process that received and ran: not carried over."""


def get_conn(*_args: Any, **_kwargs: Any) -> NoReturn:
    """PyQS's boto3 client: not carried over."""
    raise NotCarriedOver("get_conn: this package does without boto3; use boto3.client('sqs') in your own code")
