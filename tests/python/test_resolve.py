"""What may run, and what may not."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyqs import _registry
from pyqs._resolve import PATH_CHARS_MAX, Resolver
from pyqs.errors import PyqsError, TaskRefused, UnknownTask

USER = """
import functools, os, subprocess, weakref
from os import system
from subprocess import Popen, run
from pyqs import task
from fakelib import decorate, helper, library_task

def plain(): return "plain"

@decorate
def decorated(): return "decorated"

@functools.lru_cache
def cached(): return "cached"

class Callable:
    def __call__(self): return "instance"
    def method(self): return "method"

instance = Callable()
bound = instance.method
partial = functools.partial(plain)
partial_run = functools.partial(run, "true")
alias_of_task = library_task
number = 5
strip = "text".strip

@task(custom_function_path="elsewhere.name")
def custom(): return "custom"

def outer():
    @task()
    def inner(): return "inner"
    return inner

@decorate
@task()
def below(): return "below"

def twice():
    return "module"
twice = task()(twice)

class Inner:
    @task()
    def twice(self): return "method"

@task(custom_function_path="pkg.deep.tasks.f")
def stub(): return "stub"

@task(custom_function_path="os.getcwd")
def named_like_the_library(): return "custom"

@task()
class Marked: pass

class Shell(subprocess.Popen): pass

class Inheriting(Callable): pass

class Getter(weakref.ref): pass

getter = Getter(plain)
"""

LIBRARY = """
import functools
from pyqs import task

open("imported", "a").close()

def helper(): return "helper"

def decorate(function):
    @functools.wraps(function)
    def wrapper():
        return f"decorated {function()}"
    return wrapper

@task()
def library_task(): return "library task"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's project with a library in site-packages, both on ``sys.path``."""
    project = tmp_path / "project"
    library = tmp_path / "venv" / "lib" / "python3" / "site-packages"
    for path in (project / "pkg" / "deep", project / "namespace", library):
        path.mkdir(parents=True)
    (project / "usertasks.py").write_text(USER)
    (project / "pkg" / "__init__.py").write_text("")
    (project / "pkg" / "deep" / "__init__.py").write_text("")
    (project / "pkg" / "deep" / "tasks.py").write_text("def f(): return 'deep'")
    (library / "namespace").mkdir()
    (library / "namespace" / "installed.py").write_text("def f(): return 'never'")
    (project / "namespace" / "tasks.py").write_text("def f(): return 'namespace'")
    (project / "broken.py").write_text("1 / 0")
    (project / "leaving.py").write_text("import sys; sys.exit(3)")
    (library / "fakelib.py").write_text(LIBRARY)
    monkeypatch.setattr(_registry, "_by_path", {})
    monkeypatch.setattr(_registry, "_by_id", {})
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.syspath_prepend(str(library))
    before = set(sys.modules)
    yield project
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal(path: str, **options: Any) -> str:
    with pytest.raises((TaskRefused, UnknownTask)) as caught:
        Resolver(**options).resolve(path)
    assert isinstance(caught.value, PyqsError)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("usertasks.plain", "plain"),
        ("usertasks.decorated", "decorated decorated"),
        ("usertasks.cached", "cached"),
        ("usertasks.instance", "instance"),
        ("usertasks.bound", "method"),
        ("usertasks.partial", "plain"),
        ("usertasks.custom", "custom"),
        ("usertasks.alias_of_task", "library task"),
        ("pkg.deep.tasks.f", "deep"),
        ("namespace.tasks.f", "namespace"),
        ("usertasks.below", "decorated below"),
        ("usertasks.twice", "module"),
        ("usertasks.stub", "stub"),
    ],
)
def test_the_users_own_runs(folder: Path, path: str, result: str) -> None:
    assert Resolver().resolve(path)() == result


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "posix.system",
        "subprocess.run",
        "os.path.join",
        "builtins.eval",
        "builtins.exec",
        "shutil.rmtree",
        "sys.exit",
        "pytest.main",
        "pyqs.main._main",
        "pyqs._registry.register",
        "usertasks.run",
        "usertasks.Popen",
        "usertasks.system",
        "usertasks.partial_run",
        "usertasks.helper",
        "usertasks.number",
        "usertasks.Shell",
        "usertasks.Inheriting",
        "usertasks.getter",
        "usertasks.strip",
        "usertasks.__dir__",
        "usertasks.__init__",
        "fakelib.helper",
        "namespace.installed.f",
        "__phello__.main",
        "this.s",
    ],
)
def test_what_was_installed_is_refused(folder: Path, path: str) -> None:
    reason = refusal(path)
    assert reason.startswith("TaskRefused: ")
    assert path in reason
    assert "None" not in reason
    assert "--allow" in reason or "not a function" in reason


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nodots", "no import path"),
        ("", "no import path"),
        ("a..b", "no import path"),
        ("a b.c", "no import path"),
        ("../x.f", "no import path"),
        ("x" * (PATH_CHARS_MAX + 1) + ".f", "no import path"),
        ("nowhere_at_all.f", "there is no module nowhere_at_all"),
        ("usertasks.missing", "module usertasks has no missing"),
        ("usertasks.Callable.method", "there is no module usertasks.Callable"),
        ("broken.f", "ZeroDivisionError"),
        ("leaving.f", "SystemExit"),
        ("__main__.f", "script that it ran directly"),
    ],
)
def test_what_is_not_there(folder: Path, path: str, words: str) -> None:
    reason = refusal(path)
    assert reason.startswith("UnknownTask: ")
    assert words in reason


def test_nothing_of_a_library_is_executed_before_it_is_admitted(folder: Path) -> None:
    refusal("fakelib.library_task")
    assert not (folder / "imported").exists()
    assert "fakelib" not in sys.modules


def test_an_import_admits_a_librarys_tasks(folder: Path) -> None:
    importlib.import_module("fakelib")
    assert Resolver().resolve("fakelib.library_task")() == "library task"
    assert Resolver(registered_only=True).resolve("fakelib.library_task")() == "library task"
    refusal("fakelib.helper")


def test_allow_admits_more(folder: Path) -> None:
    assert Resolver(allow=["fakelib.*"]).resolve("fakelib.helper")() == "helper"
    assert Resolver(allow=["fakelib.helper"]).resolve("usertasks.helper")() == "helper"
    assert Resolver(allow=["os.getpid"]).resolve("os.getpid") is os.getpid
    assert "posix.getpid" in refusal("os.getpid", allow=["os.*"])
    # It is the function's own name that counts, not the one by which it was reached.
    assert "subprocess.run" in refusal("usertasks.run", allow=["usertasks.*"])


def test_registered_only_imports_nothing(folder: Path) -> None:
    assert "--import" in refusal("usertasks.plain", registered_only=True)
    assert "usertasks" not in sys.modules
    module = importlib.import_module("usertasks")
    assert "--import" in refusal("usertasks.plain", registered_only=True)
    resolver = Resolver(registered_only=True)
    assert resolver.resolve("elsewhere.name")() == "custom"
    module.outer()
    assert resolver.resolve("usertasks.inner")() == "inner"


def test_a_custom_path_leads_where_it_says(folder: Path) -> None:
    importlib.import_module("usertasks")
    # As with PyQS: the decorated function may be no more than the sender's stub for a task that lies elsewhere.
    assert Resolver().resolve("pkg.deep.tasks.f")() == "deep"
    # Where it leads nowhere, or where nothing may run, it is a name like any other.
    assert Resolver().resolve("elsewhere.name")() == "custom"
    assert Resolver().resolve("os.getcwd")() == "custom"
    assert Resolver(registered_only=True).resolve("pkg.deep.tasks.f")() == "stub"


def test_what_is_written_above_task_is_part_of_the_task(folder: Path) -> None:
    importlib.import_module("usertasks")
    assert Resolver(registered_only=True).resolve("usertasks.below")() == "decorated below"


def test_a_class_runs_only_where_it_is_marked(folder: Path) -> None:
    assert "is a class" in refusal("usertasks.Shell")
    assert Resolver().resolve("usertasks.Marked") is not None
    assert Resolver(allow=["usertasks.Shell"]).resolve("usertasks.Shell") is not None


def test_a_celery_task_counts(folder: Path) -> None:
    class Task:
        def __call__(self) -> str:
            return "celery"

    Task.__module__ = "celery.app.task"
    task_class = type("usertasks.shop", (Task,), {"__module__": "somewhere_foreign"})
    module = importlib.import_module("usertasks")
    module.shop = task_class()  # type: ignore[attr-defined]
    assert Resolver().resolve("usertasks.shop")() == "celery"


def test_a_script_is_the_users_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "script.py"
    script.write_text("def f(): return 'script'")
    module = ModuleType("__main__")
    module.__file__ = str(script)
    exec(compile(script.read_text(), str(script), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "__main__", module)
    assert Resolver().resolve("__main__.f")() == "script"


def test_the_registry_is_asked_each_time() -> None:
    def first() -> None: ...
    def second() -> None: ...

    resolver = Resolver()
    _registry.register("reloaded.task", first)
    assert resolver.resolve("reloaded.task") is first
    _registry.register("reloaded.task", second)
    assert resolver.resolve("reloaded.task") is second
