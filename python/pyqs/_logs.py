"""What log records say of the task that runs where they are made."""

from __future__ import annotations

import logging
from typing import Any

from ._context import running

NO_TASK: dict[str, Any] = {"pyqs_message_id": "", "pyqs_task": "", "pyqs_queue": "", "pyqs_receive_count": 0}
"""The fields of a record that no task has made."""


def add_fields() -> None:
    """Give all records of this process, which is a worker's, the fields of the task that runs.

    ``logging.setLogRecordFactory`` would do for all but the records that bring a field of the same name as ``extra``:
    these are added after the factory, and logging refuses what is there already. The user's field stays, whoever has
    set it.
    """
    make_record = logging.Logger.makeRecord
    if getattr(make_record, "is_pyqs", False):
        return

    def make_record_with_fields(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make_record(self, *args, **kwargs)
        task = running.get()
        for name, value in (task.log_fields if task else NO_TASK).items():
            record.__dict__.setdefault(name, value)
        return record

    make_record_with_fields.is_pyqs = True  # type: ignore[attr-defined]
    logging.Logger.makeRecord = make_record_with_fields  # type: ignore[method-assign]


class Formatter(logging.Formatter):
    """The worker's format where the user has set up none: PyQS's, and behind it the task and the message."""

    def __init__(self) -> None:
        super().__init__("[%(levelname)s]: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, without the traceback."""
        line = super().formatMessage(record)
        message_id = getattr(record, "pyqs_message_id", "")
        return f"{line} [{getattr(record, 'pyqs_task', '')} {message_id}]" if message_id else line


def set_up(level: str) -> None:
    """Log to stderr from this level on, unless the caller's program has set up logging."""
    add_fields()
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(handlers=[handler], level=level)
