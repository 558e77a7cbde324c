"""PyQS's classes for running a worker from a program, on this engine. ``pyqs.main._main`` is the shorter way.

>>> manager = ManagerWorker(["email*"], worker_concurrency=4, interval=0, batchsize=10)
>>> manager.start()
>>> manager.sleep()

What PyQS had here that this engine can't have raises :class:`pyqs.errors.NotCarriedOver`, which names what to use.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn, Optional

from . import _pyqs
from ._supervisor import Supervisor
from .errors import NotCarriedOver
from .main import PYQS_PREFETCH_MULTIPLIER

MESSAGE_DOWNLOAD_BATCH_SIZE = 10
LONG_POLLING_INTERVAL = 20


class BaseManager:
    """What both managers have. A process runs one of them at a time."""

    def __init__(self, settings: _pyqs.WorkerSettings) -> None:
        self._settings = settings
        self._supervisor = Supervisor(settings)

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
        self._supervisor.start()

    def stop(self) -> None:
        """Stop gracefully, and return when the running tasks have ended."""
        self._supervisor.stop()
        self._supervisor.run()

    def sleep(self) -> NoReturn:
        """Wait until a signal has stopped the worker, then exit the process."""
        self._supervisor.run()
        sys.exit(0)


class ManagerWorker(BaseManager):
    """The default worker."""

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
    ) -> None:
        super().__init__(
            _pyqs.WorkerSettings(
                queues=list(queue_prefixes),
                concurrency=worker_concurrency,
                interval=interval,
                batchsize=max(1, batchsize),
                prefetch_multiplier=None if prefetch_multiplier == PYQS_PREFETCH_MULTIPLIER else prefetch_multiplier,
                region=region,
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                endpoint_url=endpoint_url,
            )
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
    ) -> None:
        super().__init__(
            _pyqs.WorkerSettings(
                queues=list(queue_prefixes),
                concurrency=worker_concurrency,
                interval=interval,
                batchsize=max(1, batchsize),
                simple_worker=True,
                region=region,
                access_key_id=access_key_id,
                secret_access_key=secret_access_key,
                endpoint_url=endpoint_url,
            )
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
