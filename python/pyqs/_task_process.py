"""A task process: takes tasks from the manager and runs them until it is told to leave: one at a time, on the main
thread, or several at once (``_lanes.py``).

The channel to the manager is Rust (``pyqs-worker``, ``process/child.rs``). It must hear ``record`` as soon as the
function has returned or raised, which decides whether the message is deleted; asking for the next task says that the
hooks are done too. Nothing that a task or a hook raises ends this process; a task that kills it takes down only itself.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _celery, _declarations, _logs, _producer, events
from ._execution import Run, Worker, prepare
from ._lanes import Lanes, Prepare
from ._lifespan import Lifespan
from ._limits import NO_LIMITS, Clock, Limits
from ._pyqs import Job, Lane, Reader, TaskChannel, WorkerSettings
from ._resolve import Resolver
from ._soft_limits import SignalLimit
from ._stored import StoredBodies
from .errors import PyqsError
from .events import ProcessEvent, ProcessStarted, ProcessStopped

if TYPE_CHECKING:
    from ._event_loop import EventLoop

logger = logging.getLogger("pyqs")


def run(channel: TaskChannel, settings: WorkerSettings) -> None:
    """Run tasks until the manager lets this process go, or is gone."""
    _logs.add_fields()
    events.get_events().enter_task_process()
    _producer.configure(
        region=settings.region,
        access_key_id=settings.access_key_id,
        secret_access_key=settings.secret_access_key,
        endpoint_url=settings.endpoint_url,
        format=settings.format,
        create_queues=settings.create_queues,
    )
    for module in settings.imports:
        try:
            importlib.import_module(module)
        except BaseException as error:  # sys.exit() in a module is no reason to end without a word
            logger.exception("Can't import %s, which --import names; no task runs without it", module)
            with contextlib.suppress(OSError):  # the manager is gone
                channel.cannot_start(f"can't import {module}, which --import names: {type(error).__name__}: {error}")
            sys.exit(1)
    accepted = _load_celery_app(channel, settings.celery_app) if settings.celery_app else None
    pickles = None
    if settings.unsafe_pickle:
        from ._unsafe_pickle import PickleLoader

        pickles = PickleLoader(settings.unsafe_pickle)
    _celery.adopt_current_app()
    if _declarations.known:
        _declarations.take()
        channel.declare(list(_declarations.known))
    stored = StoredBodies(channel)
    worker = Worker(
        Resolver(settings.allow, settings.registered_only),
        Reader(accepted=accepted, cert_store=settings.cert_store, opaque_pickles=pickles is not None),
        Limits(settings.time_limit, settings.soft_time_limit),
        pickles,
        settings.extend_visibility_max if settings.extend_visibility else 0.0,
        stored=stored,
    )

    def prepared(job: Job, lane: Lane) -> Optional[Run]:
        return prepare(job, lane, worker)

    lanes: Union[Lanes, _MainThread]
    lanes = Lanes(channel, prepared) if settings.threads > 1 else _MainThread(channel.lanes[0], prepared)
    lifespan = Lifespan(lambda coroutine: lanes.wait_for(coroutine, NO_LIMITS, Clock()))
    try:
        _open(lifespan, channel)
        worker = worker._replace(context=contextvars.copy_context())
        _tell(ProcessStarted)
        try:
            lanes.run()
        except OSError as error:
            logger.error("This task process has lost its socket, which a task may have closed: %s", error)
        stored.leave()
        _tell(ProcessStopped)
    finally:
        lifespan.close()
        lanes.close()


def _open(lifespan: Lifespan, channel: TaskChannel) -> None:
    try:
        lifespan.open()
    except BaseException as error:  # sys.exit() in a hook is no reason to end without a word
        reason = f"a lifespan hook raised: {type(error).__name__}: {error}"
        logger.exception("%s; no task runs without it", reason)
        with contextlib.suppress(OSError):  # the manager is gone
            channel.cannot_start(reason)
        sys.exit(1)


def _tell(kind: type[ProcessEvent]) -> None:
    events.tell(kind(os.getpid()), events.get_events().listeners(kind))


def _load_celery_app(channel: TaskChannel, path: str) -> Optional[list[str]]:
    """Load the application; gives the content types that it accepts."""
    from . import _celery_app

    try:
        return _celery_app.accepted(_celery_app.load(path))
    except PyqsError as error:
        logger.exception("%s; no task runs without it", error)
        with contextlib.suppress(OSError):  # the manager is gone
            channel.cannot_start(str(error))
        sys.exit(1)


class _MainThread:
    """Runs tasks one at a time, on the thread that calls."""

    def __init__(self, lane: Lane, prepare: Prepare) -> None:
        self._lane = lane
        self._prepare = prepare
        self._event_loop: Optional[EventLoop] = None

    def run(self) -> None:
        """Run tasks until no more come."""
        for job in self._lane:
            try:
                execution = self._prepare(job, self._lane)
                if execution:
                    execution.run(self)
            except BaseException:  # a logging handler that raises, say: the outcome was recorded before
                traceback.print_exc()

    def close(self) -> None:
        """End what is left, after ``run``."""
        if self._event_loop:
            self._event_loop.close()

    def wait_for(self, coroutine: Coroutine[Any, Any, Any], limits: Limits, clock: Clock) -> Any:
        """Run a coroutine on the process's event loop."""
        if self._event_loop is None:
            from ._event_loop import EventLoop

            self._event_loop = EventLoop()
        return self._event_loop.run(coroutine, limits, clock)

    def soft_limit(self, lane: Lane, seconds: float, error: type[BaseException]) -> SignalLimit:
        """Raise when the seconds are over."""
        return SignalLimit(lane, seconds, error)
