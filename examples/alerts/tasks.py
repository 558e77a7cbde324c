"""Tasks whose failures somebody hears of, with log lines in JSON that name the task and its message.

    pyqs orders --preload tasks --loglevel INFO

``--preload``, so that the supervisor knows the listener too: it hears of tasks that end with their process.
"""

from __future__ import annotations

import json
import logging
import os
import sys

import pyqs
from pyqs import task
from pyqs.events import TaskCrashed, TaskEvent, TaskFailed, TaskSucceeded, on

ALERTS = os.environ.get("ALERTS", "alerts.jsonl")

logger = logging.getLogger("shop")


class JsonLines(logging.Formatter):
    """One JSON object a line. The fields ``pyqs_*`` are there in every record of a worker."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"level": record.levelname, "message": record.getMessage()}
        for name in ("pyqs_task", "pyqs_message_id", "pyqs_queue", "pyqs_receive_count"):
            line[name] = getattr(record, name, None)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


handler = logging.StreamHandler(sys.stderr)
handler.setFormatter(JsonLines())
logging.root.handlers = [handler]


@task(queue="orders", retries=1, backoff=[1])
def charge(order: int, cents: int) -> None:
    """Fails for what can't be charged, and dies for what nobody could."""
    if cents == 0:
        os._exit(3)
    if cents < 0:
        raise ValueError(f"order {order} is about {cents} cents")
    pay(order, cents)


def pay(order: int, cents: int) -> None:
    """What a task calls may ask which message it is for: the provider charges once for a key."""
    current = pyqs.current()
    key = current.request.id if current else "by hand"
    logger.info("order %s is paid: %s cents, key %s", order, cents, key)


@on(TaskFailed)
def failed(event: TaskFailed) -> None:
    tell(event, repr(event.exception))


@on(TaskCrashed)
def crashed(event: TaskCrashed) -> None:
    tell(event, f"process {event.pid} died, signal {event.signal}, exit code {event.exit_code}")


@on(TaskSucceeded)
def measure(event: TaskSucceeded) -> None:
    logger.debug("%s took %.3f s", event.task, event.duration)


def tell(event: TaskEvent, why: str) -> None:
    """A line in a file stands for the pager."""
    alert = {"task": event.task, "message": event.message_id, "receives": event.receive_count, "why": why}
    with open(ALERTS, "a") as file:
        file.write(json.dumps(alert) + "\n")
