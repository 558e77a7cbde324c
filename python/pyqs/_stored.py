"""Messages whose body is stored elsewhere: it is fetched by the thread that is to run the task, within its lease."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from . import _on_message
from ._execution import Execution, Run, Worker, prepare_here
from ._pyqs import Job, Lane

if TYPE_CHECKING:
    from ._execution import Host
    from .payloads._receiving import Cleaner, Deletions


class StoredBodies:
    """What a task process has of its payload store: nothing before the first message that needs it."""

    def __init__(self, channel: Deletions) -> None:
        self._channel = channel
        self._cleaner: Optional[Cleaner] = None

    def run(self, job: Job, lane: Lane, worker: Worker) -> Run:
        """The run of a message whose body is stored."""
        return _StoredRun(job, lane, worker, self)

    def leave(self) -> None:
        """The process ends."""
        if self._cleaner:
            self._cleaner.leave()

    def open(self, job: Job, lane: Lane, worker: Worker) -> Optional[Execution]:
        """Fetch the body and find out what to call. ``None``: it can't be run, or not now, which is recorded."""
        from .payloads import _receiving

        handler = _on_message.find(job.queue_url)
        is_handled = job.system is not None or handler is not None
        if is_handled and ((handler and handler.batch) or not _receiving.is_pointer_here(job)):
            # A handler takes all bodies as they are.
            return prepare_here(job, lane, worker)
        # Two threads may make one each; both work.
        cleaner = self._cleaner = self._cleaner or _receiving.Cleaner(self._channel)
        opened = _receiving.open_job(job, lane, None if is_handled else worker.reader, cleaner, worker.tell_unrunnable)
        execution = prepare_here(opened.job, lane, worker) if opened else None
        if opened and execution:
            done = opened
            execution.when_done = lambda: cleaner.settle(done, lane)
        return execution


class _StoredRun(Run):
    """Fetches, then runs. It is not known before whether the task is ``async def``; one that is runs on the event loop
    all the same, while the thread waits."""

    def __init__(self, job: Job, lane: Lane, worker: Worker, bodies: StoredBodies) -> None:
        self._job = job
        self._lane = lane
        self._worker = worker
        self._bodies = bodies

    def run(self, host: Host) -> None:
        """Fetch the body, and run the task."""
        execution = self._bodies.open(self._job, self._lane, self._worker)
        if execution:
            execution.run(host)
