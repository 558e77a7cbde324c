"""The functions marked with ``@task`` in this process, by the paths that messages name them with."""

from __future__ import annotations

from typing import Any, Callable, Optional

Function = Callable[..., Any]

_by_path: dict[str, Function] = {}
# Keyed by id, since callable objects need not be hashable; the value keeps the object, and so its id, alive.
_by_id: dict[int, Function] = {}


def register(path: str, function: Function) -> None:
    """Make ``function`` the task of ``path``; of two the later wins, as it does with a module's names."""
    _by_path[path] = function
    _by_id[id(function)] = function


def find(path: str) -> Optional[Function]:
    """The task registered under ``path``."""
    return _by_path.get(path)


def is_task(function: object) -> bool:
    """Whether this very object was marked with ``@task``, under whatever path."""
    return id(function) in _by_id
