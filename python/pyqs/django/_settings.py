"""``PYQS`` in a project's settings: a worker's options, by their names, in any case.

>>> PYQS = {"QUEUES": ["email", "reports"], "CONCURRENCY": 4, "ENDPOINT_URL": "http://127.0.0.1:9324"}

What the command line says goes before, then the environment's ``PYQS_*`` variables, then these.
"""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

import pyqs

from .. import _pyqs

SENDING = ("region", "access_key_id", "secret_access_key", "endpoint_url", "format")
"""What :func:`pyqs.configure` takes: how this process sends."""


def given() -> dict[str, Any]:
    """The project's ``PYQS``, by names in small letters; what is ``None`` is left out."""
    found = getattr(settings, "PYQS", None)
    if not isinstance(found, dict):
        return {}
    return {str(name).lower(): value for name, value in found.items() if value is not None}


def configure_sending() -> None:
    """Let ``.delay`` go by the settings, where the environment has no variable for it."""
    found = given()
    chosen = {name: os.environ.get(f"PYQS_{name.upper()}") or found.get(name) for name in SENDING}
    if any(name in found for name in SENDING):
        pyqs.configure(**chosen)


@contextlib.contextmanager
def as_variables() -> Iterator[None]:
    """Within, the settings are in the environment, beneath the variables that are there."""
    found = given()
    if "queues" not in found:
        found["queues"] = _queues_of_tasks()
    added = {
        variable: _text(found[name])
        for name, variable in _pyqs.worker_variables().items()
        if name in found and variable not in os.environ and found[name] not in ([], ())
    }
    os.environ.update(added)
    try:
        yield
    finally:
        for variable in added:
            os.environ.pop(variable, None)


def _queues_of_tasks() -> list[str]:
    try:
        from ._tasks import queues
    except ImportError:  # a Django without tasks
        return []
    return queues()


def check(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Django's system check of ``PYQS``."""
    found = getattr(settings, "PYQS", None)
    if found is None:
        return []
    if not isinstance(found, dict):
        return [
            checks.Error(
                f"The setting PYQS is a {type(found).__name__}, not a dict.",
                hint='Write it as PYQS = {"QUEUES": ["email"], "CONCURRENCY": 4}.',
                id="pyqs.E001",
            )
        ]
    known = {*_pyqs.worker_variables(), *SENDING}
    problems = [_unknown(name, known) for name in found if str(name).lower() not in known]
    queues = given().get("queues", ["some"])
    if not queues or not isinstance(queues, (str, list, tuple)) or not all(map(_is_name, queues)):
        problems.append(
            checks.Error(
                f"PYQS['QUEUES'] is {queues!r}.",
                hint='Give queue names or patterns, as ["email", "reports*"], or leave it out.',
                id="pyqs.E003",
            )
        )
    return problems


def _unknown(name: Any, known: set[str]) -> checks.CheckMessage:
    close = difflib.get_close_matches(str(name).lower(), known, n=1)
    return checks.Error(
        f"PYQS has {name!r}, which is no option of a worker.",
        hint=f"Is it {close[0].upper()!r}?" if close else "`manage.py pyqs --help` shows the options.",
        id="pyqs.E002",
    )


def _is_name(queue: Any) -> bool:
    return isinstance(queue, str) and queue.strip() != ""


def _text(value: Any) -> str:
    """A value as an environment variable has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return str(value)
