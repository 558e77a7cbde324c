"""``PYQS`` in a project's settings: :class:`pyqs.Settings` by their names, in any case.

>>> PYQS = {"QUEUES": ["email", "reports"], "CONCURRENCY": 4, "ENDPOINT_URL": "http://127.0.0.1:9324"}

What the command line says goes before, then the environment's ``PYQS_*`` variables, then these, then ``[tool.pyqs]``.
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

from .. import _pyqs, _settings

NAMES = pyqs.Settings._fields
"""What ``PYQS`` may have."""


def given() -> dict[str, Any]:
    """The project's ``PYQS``, by names in small letters; what is ``None``, or no setting, is left out."""
    found = getattr(settings, "PYQS", None)
    if not isinstance(found, dict):
        return {}
    said = {str(name).lower(): value for name, value in found.items() if value is not None}
    return {name: value for name, value in said.items() if name in NAMES}


def configure() -> None:
    """Let this process go by the settings, where the environment says nothing: ``.delay``, and workers that are
    started by ``pyqs.main._main``."""
    said = {name: value for name, value in given().items() if not os.environ.get(_variable(name))}
    pyqs.configure(**said)


@contextlib.contextmanager
def as_variables() -> Iterator[None]:
    """Within, the settings are in the environment, beneath the variables that are there."""
    found = given()
    if "queues" not in found:
        found["queues"] = _queues_of_tasks()
    # A store that is an object was configured here.
    texts = {_variable(name): _text(name, value) for name, value in found.items() if _is_text(name, value)}
    added = {variable: text for variable, text in texts.items() if text and not os.environ.get(variable)}
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        for variable in added:
            if variable in before:
                os.environ[variable] = before[variable]
            else:
                del os.environ[variable]


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
    problems = [_unknown(name) for name in found if str(name).lower() not in NAMES]
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


def _unknown(name: Any) -> checks.CheckMessage:
    close = difflib.get_close_matches(str(name).lower(), NAMES, n=1)
    return checks.Error(
        f"PYQS has {name!r}, which is no setting.",
        hint=f"Is it {close[0].upper()!r}?" if close else "The settings are the fields of pyqs.Settings.",
        id="pyqs.E002",
    )


def _is_name(queue: Any) -> bool:
    return isinstance(queue, str) and queue.strip() != ""


def _variable(name: str) -> str:
    return _pyqs.worker_variables().get(name, f"PYQS_{name.upper()}")


def _is_text(name: str, value: Any) -> bool:
    return name not in _settings.STORES or isinstance(value, str)


def _text(name: str, value: Any) -> str:
    """A value as its variable has it."""
    if isinstance(value, bool):
        is_contrary = _variable(name).startswith("PYQS_NO_")
        return "no" if value == is_contrary else "yes"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    return str(value)
