"""A backend for ``django.tasks``, of Django 6 or of the package ``django-tasks``: its tasks go to SQS.

>>> TASKS = {"default": {"BACKEND": "pyqs.django.TasksBackend", "QUEUES": ["default", "email"]}}

A message names a task by its path, and carries what the framework says of it besides in the attribute
``django.task``. A worker runs it only if a ``Task`` of the framework is under that path.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime
from traceback import format_exception
from typing import Any, Callable

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import checks
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from .. import _registry, decorator
from .._bound import BoundTask, Request
from .._signature import signature_of
from ..errors import SettingsInvalid

try:
    from django.tasks import Task, TaskContext, TaskResult, TaskResultStatus, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TaskError
    from django.tasks.signals import task_enqueued, task_finished, task_started
except ImportError:  # before Django 6
    from django_tasks import TaskContext, TaskResult, TaskResultStatus, task_backends
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskError
    from django_tasks.signals import task_enqueued, task_finished, task_started

HEADER = "django.task"
"""The message attribute with the result's id, the backend's alias and when it was enqueued, as JSON."""

TASK_OPTIONS = ("backoff", "dead_letter", "expires", "retries", "soft_time_limit", "time_limit")
"""Those of ``OPTIONS`` that are :func:`pyqs.task`'s, and hold for all tasks of the backend."""


class TasksBackend(BaseTaskBackend):
    """Sends tasks to SQS, for ``manage.py pyqs`` to run them.

    ``ENQUEUE_ON_COMMIT``, ``False`` by default: send when the present transaction is committed; what is rolled back is
    not sent. ``OPTIONS`` may have ``queue_prefix``, which comes before each queue's name in SQS, and those of
    :func:`pyqs.task` in :data:`TASK_OPTIONS`.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = False  # SQS keeps none
    supports_priority = False

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        self._enqueues_on_commit = bool(params.get("ENQUEUE_ON_COMMIT", False))

    def enqueue(self, task: Task, args: Iterable[Any], kwargs: Mapping[str, Any]) -> TaskResult:
        """Send a call of the task. The result knows its id; no more becomes known of it here."""
        self.validate_task(task)
        result = TaskResult(
            task=task,
            id=get_random_string(32),
            status=TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=list(args),
            kwargs=dict(kwargs),
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        if self._enqueues_on_commit:
            transaction.on_commit(functools.partial(self._send, result))
        else:
            self._send(result)
        return result

    def sqs_name(self, queue: str) -> str:
        """A queue's name in SQS."""
        return f"{self.options.get('queue_prefix', '')}{queue}"

    def task_options(self) -> dict[str, Any]:
        """What :func:`pyqs.task` is told of this backend's tasks."""
        return {name: self.options[name] for name in TASK_OPTIONS if name in self.options}

    def check(self, **_kwargs: Any) -> Iterable[checks.CheckMessage]:
        """Django's system check of this backend's settings."""
        where = f"TASKS[{self.alias!r}]"
        for name in sorted(set(self.options) - {*TASK_OPTIONS, "queue_prefix"}):
            known = ", ".join(["queue_prefix", *TASK_OPTIONS])
            yield checks.Error(f"{where}['OPTIONS'] has {name!r}.", hint=f"Known are {known}.", id="pyqs.E004")
        try:
            decorator.task(**self.task_options())
        except (SettingsInvalid, TypeError) as error:
            yield checks.Error(f"{where}['OPTIONS']: {error}.", id="pyqs.E005")
        for queue in sorted(self.queues):
            name = self.sqs_name(queue)
            if not _is_sqs_name(name):
                hint = "SQS allows letters, digits, - and _, and .fifo at the end; 80 characters."
                yield checks.Error(f"{where}: {name!r} is no queue name of SQS.", hint=hint, id="pyqs.E006")

    def _send(self, result: TaskResult) -> None:
        task = result.task
        enqueued_at = timezone.now()
        told = {"id": result.id, "backend": self.alias, "enqueued_at": enqueued_at.isoformat()}
        runnable(task).apply_async(
            result.args,
            result.kwargs,
            eta=_aware(task.run_after),
            queue=self.sqs_name(task.queue_name),
            headers={HEADER: json.dumps(told)},
        )
        _set(result, enqueued_at=enqueued_at)
        task_enqueued.send(type(self), task_result=result)


def queues() -> list[str]:
    """The queues in SQS of the project's ``TASKS``, without doubles."""
    if not isinstance(getattr(settings, "TASKS", None), dict):
        return []
    ours = [task_backends[alias] for alias in settings.TASKS]
    names = [
        backend.sqs_name(queue)
        for backend in ours
        if isinstance(backend, TasksBackend)
        for queue in sorted(backend.queues)
    ]
    return list(dict.fromkeys(names))


def runnable(task: Task) -> Any:
    """The ``@task`` function that stands for a task of the framework: its calls are sent, and run in a worker."""
    path = task.module_path
    known = _runnable.get(path)
    if known is not None and known[0] is task.func:
        return known[1]
    function = _function(task)
    backend = task.get_backend()
    options = backend.task_options() if isinstance(backend, TasksBackend) else {}
    made = decorator.task(task.queue_name, format="pyqs", bind=True, **options)(function)
    _runnable[path] = (task.func, made)
    return made


_runnable: dict[str, tuple[Any, Any]] = {}


def _function(task: Task) -> Callable[..., Any]:
    """What runs the task, as a bound task of PyQS."""
    if inspect.iscoroutinefunction(task.func):

        async def run_async(self: BoundTask, *args: Any, **kwargs: Any) -> Any:
            run = _Run(task, self.request)
            await sync_to_async(run.started)()
            try:
                value = await task.func(*run.leading, *args, **kwargs)
            except BaseException as error:
                await sync_to_async(run.failed)(error)
                raise
            await sync_to_async(run.succeeded)(value)

        function: Callable[..., Any] = run_async
    else:

        def run_plain(self: BoundTask, *args: Any, **kwargs: Any) -> Any:
            run = _Run(task, self.request)
            run.started()
            try:
                value = task.func(*run.leading, *args, **kwargs)
            except BaseException as error:
                run.failed(error)
                raise
            run.succeeded(value)

        function = run_plain
    # By these it is found, and calls are held against what the task takes. Not so its annotations: arguments are what
    # JSON has, as Django says.
    function.__module__, function.__name__ = task.func.__module__, task.func.__name__
    function.__qualname__, function.__doc__ = task.func.__qualname__, task.func.__doc__
    taken = signature_of(task.func).parameters.values()
    parameters = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in taken]
    if not task.takes_context:
        parameters.insert(0, inspect.Parameter("_self", inspect.Parameter.POSITIONAL_ONLY))
    vars(function)["__signature__"] = inspect.Signature(parameters)
    return function


class _Run:
    """One run of a task, as the framework tells of it: its result, its signals."""

    def __init__(self, task: Task, request: Request) -> None:
        told = _told(request.attributes.get(HEADER))
        now = timezone.now()
        self._result = TaskResult(
            task=task,
            id=told.get("id") or request.id,
            status=TaskResultStatus.RUNNING,
            enqueued_at=_moment(told.get("enqueued_at")),
            started_at=now,
            finished_at=None,
            last_attempted_at=now,
            args=list(request.args),
            kwargs=dict(request.kwargs),
            backend=told.get("backend") or task.backend,
            errors=[],
            # The framework counts attempts by them; who made the earlier ones is not known.
            worker_ids=["unknown"] * request.retries + [f"{socket.gethostname()}:{os.getpid()}"],
        )
        self.leading = [TaskContext(task_result=self._result)] if task.takes_context else []

    def started(self) -> None:
        task_started.send_robust(TasksBackend, task_result=self._result)

    def succeeded(self, value: Any) -> None:
        _set(self._result, status=TaskResultStatus.SUCCESSFUL, finished_at=timezone.now(), _return_value=value)
        task_finished.send_robust(TasksBackend, task_result=self._result)

    def failed(self, error: BaseException) -> None:
        kind = type(error)
        told = "".join(format_exception(kind, error, error.__traceback__))
        self._result.errors.append(
            TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=told)
        )
        _set(self._result, status=TaskResultStatus.FAILED, finished_at=timezone.now())
        task_finished.send_robust(TasksBackend, task_result=self._result)


def _is_sqs_name(name: str) -> bool:
    # Dots become dashes.
    return re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", name) is not None and name != ".fifo"


def _told(header: Any) -> dict[str, Any]:
    """What the sender said; nothing where a message comes from elsewhere."""
    try:
        told = json.loads(header)
    except (TypeError, ValueError):
        return {}
    return {name: text for name, text in told.items() if isinstance(text, str)} if isinstance(told, dict) else {}


def _moment(text: Any) -> Any:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _aware(moment: Any) -> Any:
    # With USE_TZ = False the framework's times have no zone: they are in the project's.
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment


def _set(result: TaskResult, **facts: Any) -> None:
    """As Django's own backends do: a result is frozen for its users only."""
    for name, value in facts.items():
        object.__setattr__(result, name, value)


_registry.adopt(Task, runnable)
