"""Tasks on Amazon SQS: the Python face of a Rust engine, a drop-in for PyQS.

>>> from pyqs import task
>>> @task(queue="email")
... def send_email(subject, to): ...
>>> message_id = send_email.delay("Hello", to="ada@example.org")

Run the tasks with ``pyqs email``. Importing this package starts nothing: no thread, no runtime, no connection.
"""

from ._pyqs import __version__

TYPE_CHECKING = False  # a type checker takes it for typing's, which takes longer to import than all the rest
if TYPE_CHECKING:
    from ._batch import BatchItem
    from ._bound import BoundTask, Request
    from ._context import current
    from ._lifespan import lifespan
    from ._on_message import Message, on_message
    from ._policy import Discard, Retry
    from ._producer import configure
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

# Each is imported when it is first asked for: a command needs few of them, and a program that only sends tasks not all.
_MODULES = {
    "BatchItem": "_batch",
    "BoundTask": "_bound",
    "Discard": "_policy",
    "Message": "_on_message",
    "Request": "_bound",
    "Retry": "_policy",
    "Settings": "_settings",
    "configure": "_producer",
    "current": "_context",
    "lifespan": "_lifespan",
    "on_message": "_on_message",
    "task": "decorator",
}

# After a plain `import pyqs` these are there too, as with PyQS.
_SUBMODULES = ("decorator", "errors", "utils")

if not TYPE_CHECKING:  # which would take any name for one of this package

    def __getattr__(name: str) -> object:
        if name in _SUBMODULES:
            return _module(name)
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_module(_MODULES[name]), name)
        return value

    def _module(name: str) -> object:
        return __import__(f"{__name__}.{name}", fromlist=["it"])  # importlib is not imported everywhere

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
