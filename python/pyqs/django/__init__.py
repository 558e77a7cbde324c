"""PyQS in a Django project: ``INSTALLED_APPS = [..., "pyqs.django"]``.

* ``manage.py pyqs QUEUE...`` is the command ``pyqs``, with the project set up and the apps' ``tasks`` modules imported.
* Database connections are looked after around each task, as Django does around a request.
* ``PYQS = {"QUEUES": ["email"], "CONCURRENCY": 4}`` in the settings are the worker's options.
* ``TASKS = {"default": {"BACKEND": "pyqs.django.TasksBackend"}}`` sends tasks of ``django.tasks`` to SQS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._tasks import TasksBackend

__all__ = ["TasksBackend"]


def __getattr__(name: str) -> Any:
    # Not before it is asked for: Django imports this package before it is set up, and may have no tasks framework.
    if name == "TasksBackend":
        from ._tasks import TasksBackend

        return TasksBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
