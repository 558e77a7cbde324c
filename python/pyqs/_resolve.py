"""From the task's name in a message to the function to call, and what may be called.

Anybody who can write to a queue chooses the name, so the name alone must not be able to run anything. What runs:

1. what an imported module holds under this name, if it is marked with ``@task`` or wraps what is: decorators written
   above ``@task`` are part of the task; or if it is a task of a framework that has been taken on (``django.tasks``);
2. else, where Celery is loaded, the task that its applications know by this name;
3. else, unless ``--registered-only``, what the name's import path leads to, if it is a function marked with ``@task``,
   a Celery task, or the user's own: neither of the standard library, nor of site-packages, nor of pyqs itself;
4. else a function marked with ``@task`` that is found under no import path: one with a ``custom_function_path`` (which
   may as well lead elsewhere, by 3), and one within a function or class.

``--allow PATTERN`` admits more. Each module on the path is located, and judged, before it is imported, since an import
runs code too. What it leads to is then judged by where *it* was defined: ``from subprocess import run`` in a user's
module makes ``run`` no task.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import importlib.util
import inspect
import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Callable, Optional

from . import _celery, _registry
from .errors import TaskRefused, UnknownTask

Function = Callable[..., Any]

PATH_CHARS_MAX = 1000
"""Longer names are no tasks, and would only fill the log."""


class Resolver:
    """Finds tasks by name, and remembers those found."""

    def __init__(self, allow: Sequence[str] = (), registered_only: bool = False) -> None:
        self._allow = tuple(allow)
        self._registered_only = registered_only
        self._found: dict[str, Function] = {}
        self._not_importable: set[str] = set()

    def resolve(self, path: str) -> Function:
        """The function of this name. Raises :class:`UnknownTask` or :class:`TaskRefused`, whatever its modules do."""
        try:
            function = _marked_in_module(path)
            if function is None:
                function = self._found.get(path)
            return self._search(path) if function is None else function
        except (UnknownTask, TaskRefused):
            raise
        except BaseException as error:  # a module may do anything, sys.exit included; this process goes on
            raise UnknownTask(f"looking for {path} raised {type(error).__name__}: {error}") from error

    def _search(self, path: str) -> Function:
        celery_task = _celery.registered(path)
        if celery_task is not None:
            if path in _celery.NEED_RESULTS:
                raise TaskRefused(
                    f"{path} may not run: it waits for the results of other tasks, which are not kept here"
                )
            self._found[path] = celery_task
            return celery_task
        if not self._registered_only and path not in self._not_importable:
            try:
                function = self._found[path] = self._find(path)
                return function
            except BaseException:
                if _registry.find(path) is None:
                    raise
                self._not_importable.add(path)
        registered = _registry.find(path)
        if registered is None:
            raise UnknownTask(f"{path} is no @task function of the modules imported here; name its module by --import")
        return registered

    def _find(self, path: str) -> Function:
        module_name, _, name = path.rpartition(".")
        if len(path) > PATH_CHARS_MAX or not module_name or not all(map(str.isidentifier, path.split("."))):
            raise UnknownTask(f"{path[:PATH_CHARS_MAX]!r} is no import path like module.function")
        module = self._import(path, module_name)
        _celery.adopt_current_app()
        try:
            found = getattr(module, name)
        except AttributeError:
            raise UnknownTask(f"module {module_name} has no {name}{_hint(module_name)}") from None
        adopted = _registry.adopted(found)
        if adopted is not None:
            return adopted
        self._judge(path, found)
        return _celery.unwrapped(found)  # type: ignore[no-any-return]

    def _import(self, path: str, module_name: str) -> ModuleType:
        """Import the module, after looking at where it and each of its packages lie."""
        parts = module_name.split(".")
        # `__main__` is not imported but there, and what it holds is judged like everything.
        allowed = self._allows(path) or module_name == "__main__"
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[:length])
            locations = _module_locations(name)
            if locations is not None and not allowed and not _is_users_own(locations):
                raise TaskRefused(
                    f"{path} may not run: {_belonging(name, locations)}; if it is a task of yours, "
                    f"start the worker with --import {module_name} (for @task functions) or --allow '{path}'"
                )
        return importlib.import_module(module_name)

    def _judge(self, path: str, found: Any) -> None:
        if not callable(found):
            raise TaskRefused(f"{path} may not run: it is a {type(found).__name__}, not a function")
        # A pattern admits what is defined under it, a path in full admits what it leads to.
        if _registry.is_task(found) or _celery.is_task(found) or path in self._allow:
            return
        definition = _definition(found)
        module_name = _module_name(definition)
        own_path = f"{module_name}.{definition.__qualname__}"
        if self._allows(own_path):
            return
        locations = _definition_locations(definition)
        if not _is_users_own(locations):
            raise TaskRefused(
                f"{path} may not run: it is {own_path}, and {_belonging(module_name, locations)}; "
                f"if it must, mark a function of yours with @task, or start the worker with --allow '{own_path}'"
            )
        if inspect.isclass(found):
            # Calling one of the user's may run code that is not: that of a class it inherits from.
            raise TaskRefused(
                f"{path} may not run: it is a class, not a function; if calling it is a task, mark it @task"
            )

    def _allows(self, path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self._allow)


def _marked_in_module(path: str) -> Optional[Function]:
    """What an imported module holds under this name, if it is marked with ``@task``."""
    module_name, _, name = path.rpartition(".")
    found = getattr(sys.modules.get(module_name), name, None)
    if callable(found) and _registry.is_task(found):
        return found  # type: ignore[no-any-return]
    return _registry.adopted(found)


def _module_locations(name: str) -> Optional[list[str]]:
    """The file that a module comes from: none for one that is built in, ``None`` for a namespace package, which has
    no code that could run.

    ``find_spec`` imports the module's parent, so the parent must have been judged before.
    """
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is not None and spec is None:
        # `__main__` of a script, and modules put together by hand.
        return [file for file in [getattr(module, "__file__", None)] if file]
    if spec is None:
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # something that the parent imports
                raise
            # The parent is no package.
    if spec is None:
        raise UnknownTask(
            f"there is no module {name} on sys.path ({os.getcwd()} is the current directory); a task whose name is no "
            "path is known once its module is imported (--import, --celery-app)"
        )
    if spec.has_location and spec.origin:
        return [spec.origin]
    return None if spec.submodule_search_locations else []


def _definition(found: Any) -> Any:
    """Where a callable's code is written: inside wrappers, partials, bound methods and callable objects."""
    while isinstance(found, functools.partial):
        found = found.func
    found = inspect.unwrap(found)
    found = getattr(found, "__func__", found)
    if hasattr(found, "__qualname__"):
        return found
    call = type(found).__call__
    # One that is not written in Python says only which class has it.
    return call if inspect.isfunction(call) else getattr(call, "__objclass__", type(found))


def _module_name(definition: Any) -> str:
    # Methods of built-in classes have none.
    return getattr(definition, "__module__", None) or "builtins"


def _definition_locations(definition: Any) -> list[str]:
    """The file of its module, and that of its code where there is one: both must be the user's."""
    module_name = _module_name(definition)
    locations = (_module_locations(module_name) if module_name in sys.modules else None) or []
    code_file = getattr(getattr(definition, "__code__", None), "co_filename", None)
    # Generated code names no file, and compiled code may name one of the machine that compiled it.
    if code_file is not None and os.path.exists(code_file):
        return [*locations, code_file] if locations else []
    return locations


def _is_users_own(locations: Sequence[str]) -> bool:
    """Whether all of them are outside what Python and pip installed. What has no location is built in."""
    return bool(locations) and not any(_is_installed(location) for location in locations)


def _is_installed(location: str) -> bool:
    parents = _parents(os.path.realpath(location))
    return not parents.isdisjoint(installed_folders()) or any(
        os.path.basename(parent) in ("site-packages", "dist-packages") for parent in parents
    )


def _parents(path: str) -> frozenset[str]:
    parents = {path}
    while os.path.dirname(path) != path:
        path = os.path.dirname(path)
        parents.add(path)
    return frozenset(parents)


@functools.cache
def installed_folders() -> frozenset[str]:
    """Where Python's own modules, installed packages and pyqs itself lie. An editable install lies elsewhere: it is the
    user's own, and so is a project that has its virtual environment inside it, or lies inside one beside ``lib``."""
    paths: Iterable[str] = [
        *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
        *getattr(site, "getsitepackages", list)(),
        site.getusersitepackages(),
        os.path.dirname(__file__),
    ]
    return frozenset(os.path.realpath(path) for path in paths)


def _belonging(module_name: str, locations: Sequence[str]) -> str:
    if not locations:
        return f"{module_name} is built into Python"
    return f"{module_name} is installed ({locations[-1]}), not a module of your own"


def _hint(module_name: str) -> str:
    if module_name != "__main__":
        return ""
    return (
        " (the sender defined it in a script that it ran directly: move it to a module, or run the worker from "
        "that script)"
    )
