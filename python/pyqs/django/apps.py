"""The Django app: what a project gets by ``pyqs.django`` in its ``INSTALLED_APPS``."""

from __future__ import annotations

import contextlib

from django.apps import AppConfig
from django.core import checks

from . import _connections, _settings


class PyqsConfig(AppConfig):
    """Sets up sending, and what is done around each task."""

    name = "pyqs.django"
    label = "pyqs"
    verbose_name = "PyQS"

    def ready(self) -> None:
        """Called by Django in each process, once."""
        checks.register(_settings.check, "pyqs")
        _settings.configure()
        _connections.look_after()
        with contextlib.suppress(ImportError):  # a Django without tasks
            from . import _tasks  # noqa: F401 (from here workers know tasks of django.tasks)
