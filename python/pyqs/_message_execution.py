"""A handler's message while it is handled."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Optional

from ._execution import Execution, Worker
from ._limits import Limits
from ._on_message import Handler, Message
from ._policy import Policy
from ._pyqs import Job, Lane


class MessageExecution(Execution):
    """A handler about to be called with a message."""

    def __init__(self, job: Job, lane: Lane, handler: Handler, limits: Limits, worker: Worker) -> None:
        self._handler = handler
        # The message knows of its limits, which are known once it is about to be handled.
        super().__init__(job, lane, handler.function, [message_of(job)], {}, limits, worker)

    @classmethod
    def of(cls, job: Job, lane: Lane, handler: Handler, worker: Worker) -> MessageExecution:
        """That of a message, within all limits that there are."""
        return cls(job, lane, handler, handler.limits.within(worker.limits), worker)

    def _declared_policy(self) -> Policy:
        return self._handler.policy

    def _name(self) -> str:
        return self._handler.path

    def _invoke(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        for message in args:
            if isinstance(message, Message):
                message.retries = self._attempt - 1
                message.deadline = self._deadline()
                message._extend = self._extend
        return super()._invoke(args, kwargs)


def message_of(job: Job) -> Message:
    """The message of a job, as a handler gets it."""
    system = job.system or {}
    return Message(
        job.body,
        id=job.message_id,
        queue=job.queue_url.rpartition("/")[2],
        attributes=job.attributes,
        receive_count=job.receive_count,
        retries=job.retries_before + job.attempt - 1,
        sent_at=_moment(system.get("sent_at_millis")),
        first_received_at=_moment(system.get("first_received_at_millis")),
        group=system.get("group"),
        dedup_id=system.get("deduplication_id"),
        sequence_number=system.get("sequence_number"),
        trace_header=system.get("trace_header"),
        dead_letter_source=system.get("dead_letter_source"),
    )


def _moment(unix_millis: Optional[int]) -> Optional[datetime]:
    return None if unix_millis is None else datetime.fromtimestamp(unix_millis / 1000, timezone.utc)
