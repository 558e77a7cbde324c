"""The format in which calls of tasks are written: PyQS's own, or Celery's."""

from __future__ import annotations

import os
from typing import Literal, Optional, cast

from . import _settings
from .errors import SettingsInvalid

Format = Literal["pyqs", "celery"]

VARIABLE = "PYQS_FORMAT"
"""The environment's word, for all tasks that say nothing themselves."""


def checked(value: str, name: str) -> Format:
    """A format by its name; ``name`` is what is named where there is none such."""
    if value not in ("pyqs", "celery"):
        raise SettingsInvalid(f"{name} is {value!r}; the formats are 'pyqs' (the default) and 'celery'")
    return cast(Format, value)


def chosen(declared: Optional[Format]) -> Format:
    """The format for a task that declares this: its own, else the configured one, else the environment's, else the
    project's file's, else PyQS's."""
    if declared:
        return declared
    configured = _settings.configured().format
    if configured:
        return configured
    value = os.environ.get(VARIABLE)
    if value:
        return checked(value, VARIABLE)
    return _settings.ambient().get("format") or "pyqs"
