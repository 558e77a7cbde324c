"""Tasks on Amazon SQS: the Python face of a Rust engine, a drop-in for PyQS.

>>> from pyqs import task
>>> @task(queue="email")
... def send_email(subject, to): ...
>>> message_id = send_email.delay("Hello", to="ada@example.org")

Run the tasks with ``pyqs email``. Importing this package starts nothing: no thread, no runtime, no connection.
"""

from ._batch import BatchItem
from ._bound import BoundTask, Request
from ._context import current
from ._lifespan import lifespan
from ._on_message import Message, on_message
from ._policy import Discard, Retry
from ._producer import configure
from ._pyqs import __version__
from ._settings import Settings
from .decorator import task

__title__ = "pyqs"
__all__ = [
    "BatchItem",
    "BoundTask",
    "Discard",
    "Message",
    "Request",
    "Retry",
    "Settings",
    "__title__",
    "__version__",
    "configure",
    "current",
    "lifespan",
    "on_message",
    "task",
]
