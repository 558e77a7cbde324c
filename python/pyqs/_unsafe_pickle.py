"""``--unsafe-pickle``: Python's own loader for the arguments of pickled messages, for those who must.

Loading a pickle calls what it names. Whoever can send to the queue can have every class called that the patterns admit,
with any arguments, and each is imported before. What is read as data needs none of this, and does not come here.
"""

from __future__ import annotations

import fnmatch
import importlib
import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from .errors import UndecodableMessage

# What the reader of data takes, by the names that pickles have for it; Python 2's are translated by the loader.
_DATA = {
    *(f"builtins.{name}" for name in ("set", "frozenset", "bytes", "bytearray", "complex", "dict", "object", "list")),
    *(f"builtins.{name}" for name in ("tuple", "int", "float", "bool", "str")),
    *(f"datetime.{name}" for name in ("date", "time", "datetime", "timedelta", "timezone")),
    "decimal.Decimal",
    "uuid.UUID",
    "collections.OrderedDict",
    "collections.defaultdict",
    "_codecs.encode",
    "copyreg._reconstructor",
    "pytz._UTC",
    "pytz._FixedOffset",
    "pytz.FixedOffset",
}
# Signatures are maps with methods of Celery's; as maps they are read.
_MAPS = {"celery.canvas.signature", "celery.canvas.subtask"}


class PickleLoader:
    """Loads pickled payloads, where the patterns admit what they name."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = tuple(patterns)

    def arguments(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """The arguments in a payload of Celery's, of either protocol. Raises :class:`UndecodableMessage`."""
        payload = self._load(data)
        canvas: Any = None
        if isinstance(payload, Mapping):
            args, kwargs, canvas = payload.get("args", ()), payload.get("kwargs") or {}, payload
        elif isinstance(payload, (list, tuple)) and len(payload) == 3:
            args, kwargs, canvas = payload
        else:
            raise UndecodableMessage(
                f"of type {type(payload).__name__}, where Celery writes a list or a map", "payload"
            )
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
            raise UndecodableMessage("its arguments are no list and map", "task")
        if isinstance(canvas, Mapping):
            for name in ("chain", "callbacks", "chord"):
                if canvas.get(name):
                    raise UndecodableMessage(
                        f"a {name} beside arguments that --unsafe-pickle loads is not sent", "task"
                    )
        return list(args), kwargs

    def _load(self, data: bytes) -> Any:
        try:
            return _Unpickler(data, self._find).load()
        except UndecodableMessage:
            raise
        except BaseException as error:  # of the user's classes, which may do anything
            raise UndecodableMessage(f"pickle: {type(error).__name__}: {error}", "payload") from error

    def _find(self, module: str, name: str) -> Any:
        """What a pickle names, if it may be called."""
        path = f"{module}.{name}"
        if path in _MAPS:
            return dict
        if path in _DATA:
            return getattr(importlib.import_module(module), name)
        if not self._admits(path):
            raise self._refusal(path)
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        if path in self._patterns:
            return found
        # By a pattern only classes, and by where they are defined: not what a module has imported for itself.
        own_path = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"
        if not isinstance(found, type) or not self._admits(own_path):
            raise self._refusal(own_path if isinstance(found, type) else path)
        return found

    def _admits(self, path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self._patterns)

    def _refusal(self, path: str) -> UndecodableMessage:
        return UndecodableMessage(
            f"pickle: it names {path}, which --unsafe-pickle {','.join(self._patterns)} does not admit; "
            "a pattern admits the classes defined under it, a name in full what it leads to",
            "payload",
        )


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, find: Callable[[str, str], Any]) -> None:
        # Python 2's strings are text where they can be.
        super().__init__(io.BytesIO(data), encoding="utf-8", errors="surrogateescape")
        self._find = find

    def find_class(self, module: str, name: str) -> Any:
        if module in ("copy_reg", "__builtin__"):
            module = {"copy_reg": "copyreg", "__builtin__": "builtins"}[module]
            name = {"unicode": "str", "long": "int"}.get(name, name)
        return self._find(module, name)
