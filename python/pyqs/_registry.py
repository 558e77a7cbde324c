"""The functions marked with ``@task`` in this process, by the paths that messages name them with."""

from __future__ import annotations

from typing import Any, Callable, Optional

Function = Callable[..., Any]

_by_path: dict[str, Function] = {}
# Keyed by id, since callable objects need not be hashable; the value keeps the object, and so its id, alive.
_by_id: dict[int, object] = {}
_adopted: dict[type, Callable[[Any], Function]] = {}


def register(path: str, function: Function) -> None:
    """Make ``function`` the task of ``path``; of two the later wins, as it does with a module's names."""
    _by_path[path] = function
    for marked in (function, getattr(function, "delay", None)):
        if marked is not None:
            _by_id[id(marked)] = marked


def find(path: str) -> Optional[Function]:
    """The task registered under ``path``."""
    return _by_path.get(path)


def is_task(function: object) -> bool:
    """Whether this object was marked with ``@task``, under whatever path, or wraps one that was: decorators written
    above ``@task`` take its ``delay`` along, as ``functools.wraps`` does."""
    return id(function) in _by_id or id(getattr(function, "delay", _by_id)) in _by_id


def adopt(kind: type, function_of: Callable[[Any], Function]) -> None:
    """Let objects of this class, a framework's tasks, be tasks; ``function_of`` gives the ``@task`` function of one."""
    _adopted[kind] = function_of


def adopted(found: object) -> Optional[Function]:
    """The function of an object of an adopted class; ``None`` for any other."""
    for kind, function_of in _adopted.items():
        if isinstance(found, kind):
            return function_of(found)
    return None
