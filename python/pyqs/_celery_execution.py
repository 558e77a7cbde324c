"""A Celery task object while this worker runs it: its request, its retries, its handlers and signals.

Imported only where there is such a task, so Celery is loaded. What a retry means is Celery's own code to say, in
whatever version is installed; what is asked for is then done by our engine, which gives the very message back to its
queue for so long. Only a retry with other arguments, or to another queue, is a message of its own.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import socket
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Callable, NamedTuple, Optional

from celery import _state, exceptions, signals
from celery.app import trace
from celery.app.task import Context, Task
from celery.utils.functional import arity_greater
from celery.utils.time import maybe_make_aware

from . import _limits, _producer, errors
from ._celery_app import Naming
from ._celery_message import retry_body
from ._execution import Execution, arguments
from ._limits import Limits
from ._policy import DELAY_MAX_SECS, Decision
from ._producer import Outgoing

try:
    from billiard.einfo import ExceptionInfo
except ImportError:  # pragma: no cover - Celery needs it
    ExceptionInfo = None

logger = logging.getLogger("pyqs")

Function = Callable[..., Any]


class SoftTimeLimitExceeded(errors.SoftTimeLimitExceeded, exceptions.SoftTimeLimitExceeded):  # type: ignore[misc]
    """What is raised in a Celery task: it is Celery's exception and ours."""


class _Message(NamedTuple):
    """A retry that is a message of its own."""

    args: list[Any]
    kwargs: dict[str, Any]
    queue: Optional[str]
    """Celery's name of it; ``None`` is the one that the task came from."""


class CeleryExecution(Execution):
    """As :class:`Execution`, for a task object of Celery's."""

    soft_error = SoftTimeLimitExceeded
    _request: Any = None
    _retry: Optional[BaseException] = None
    _message: Optional[_Message] = None
    _sent_as: Optional[str] = None
    _sent_after = 0
    _is_exhausted = False
    _state = "FAILURE"

    @staticmethod
    def declared_limits(function: Any) -> Limits:
        """The time limits of a task object, which may be its application's."""
        conf = function.app.conf
        hard = _positive(getattr(function, "time_limit", None) or conf.task_time_limit)
        soft = _positive(getattr(function, "soft_time_limit", None) or conf.task_soft_time_limit)
        return Limits(hard, soft)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._task: Any = self._function

    def want_retry(self, retry: BaseException, asked: Mapping[str, Any], signature: Any) -> None:
        """The task has called ``self.retry`` with these arguments, which Celery understands as this signature."""
        self._retry = retry
        options = asked.get("options") or {}
        dropped = sorted(set(options) - {"queue"})
        if dropped:
            logger.warning("Task %s: self.retry(%s=...) is not carried over", self._path, "=..., ".join(dropped))
        queue = options.get("queue")
        given = [asked.get("args"), asked.get("kwargs")]
        call = list(signature.args), dict(signature.kwargs)
        if queue is not None or (given != [None, None] and call != arguments(self._job, self._worker)):
            self._message = _Message(*call, None if queue is None else str(getattr(queue, "name", queue)))

    def exhaust(self) -> None:
        """The task has called ``self.retry`` after its last retry."""
        self._is_exhausted = True

    def _invoke(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        _patch_once()
        task = self._task
        request = Context(self._request_fields(args, kwargs))
        # Celery's workers have one application, which is the current one in all threads.
        task.app.set_current()
        _state._task_stack.push(task)
        task.request_stack.push(request)
        self._request = request
        signals.task_prerun.send(sender=task, task_id=request.id, task=task, args=args, kwargs=kwargs)
        if trace.task_has_custom(task, "before_start"):
            task.before_start(request.id, args, kwargs)
        call = task if trace.task_has_custom(task, "__call__") else task.run
        self._result = call(*args, **kwargs)
        if self._retry is not None:  # by `self.retry(throw=False)`
            raise self._retry
        return self._result

    def _request_fields(self, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        job = self._job
        queue = job.queue_url.rpartition("/")[2]
        said = job.celery_request(self._worker.reader) or {
            "id": job.message_id,
            "delivery_info": {"exchange": "", "routing_key": queue, "priority": None},
            "root_id": job.message_id,
            "correlation_id": job.message_id,
            "headers": {},
        }
        said["delivery_info"]["redelivered"] = job.receive_count > 1
        return {
            **said["headers"],
            **said,
            "task": job.task,
            "args": args,
            "kwargs": kwargs,
            "retries": self._attempt - 1,
            "timelimit": said.get("timelimit") or [None, None],
            "root_id": said.get("root_id") or said["id"],
            "hostname": f"pyqs@{socket.gethostname()}",
            "called_directly": False,
            "is_eager": False,
            "pyqs": self,
        }

    def _decision(self, error: BaseException) -> Decision:
        if isinstance(error, exceptions.Retry):
            delay_seconds = _delay(self._task, error.when)
            return self._send(self._message, delay_seconds) if self._message else Decision("retry", delay_seconds)
        if isinstance(error, exceptions.Reject):
            return Decision("retry") if error.requeue else Decision("failed")
        if isinstance(error, exceptions.Ignore):
            return Decision("discarded")
        if self._is_exhausted:
            return Decision("exhausted")
        return super()._decision(error)

    def _wants_errbacks(self, error: BaseException) -> bool:
        return super()._wants_errbacks(error) and not isinstance(error, exceptions.Reject)

    def _call_errbacks(self, error: BaseException) -> list[int]:
        called = []
        for number, errback in enumerate((self._request and self._request.errbacks) or ()):
            signature = self._task.app.signature(errback)
            if _takes_error(signature):
                called.append(number)
                try:
                    signature(self._request, error, error.__traceback__)
                except Exception:
                    logger.exception("Errback %s of task %s raised", signature.task, self._path)
        return called

    def _send(self, message: _Message, delay_seconds: int) -> Decision:
        """Send a retry that is a message of its own; the present one goes once SQS has that."""
        here = self._job.queue_url.rpartition("/")[2]
        queue = message.queue or (self._request.delivery_info or {}).get("routing_key") or here
        name = here if message.queue is None else Naming.of(self._task.app).sqs_name(message.queue)
        body = retry_body(self._request, message.args, message.kwargs, queue, delay_seconds)
        self._sent_as = _producer.send(name, Outgoing(body, delay_seconds))
        self._sent_after = delay_seconds
        return Decision("discarded")

    def _log_discarded(self, error: BaseException) -> None:
        if self._sent_as is None:
            super()._log_discarded(error)
            return
        logger.warning("Task %s is retried by message %s: %s", self._path, self._sent_as, error)

    def _tell_failure(self, error: BaseException, decision: Decision, duration: float) -> None:
        is_sent = self._sent_as is not None
        super()._tell_failure(error, Decision("retry", self._sent_after) if is_sent else decision, duration)

    def _log_failure(self, error: BaseException, decision: Decision) -> None:
        if isinstance(error, getattr(self._task, "throws", None) or ()):
            logger.info("Task %s raised expected: %s: %s", self._path, type(error).__name__, error)
            return
        super()._log_failure(error, decision)

    def _succeeded(self) -> None:
        super()._succeeded()
        self._state = "SUCCESS"
        task, request = self._task, self._request
        self._handle("on_success", self._result, request.id, request.args, request.kwargs)
        signals.task_success.send(sender=task, result=self._result)

    def _failed(self, error: BaseException) -> None:
        super()._failed(error)
        self._result = error
        if self._request is None or isinstance(error, (exceptions.Ignore, exceptions.Reject)):
            self._state = "IGNORED"
            return
        task, request = self._task, self._request
        info = ExceptionInfo((type(error), error, error.__traceback__))
        if isinstance(error, exceptions.Retry):
            self._state = "RETRY"
            self._handle("on_retry", error.exc, request.id, request.args, request.kwargs, info)
            signals.task_retry.send(sender=task, request=request, reason=error, einfo=info)
            return
        self._handle("on_failure", error, request.id, request.args, request.kwargs, info)
        signals.task_failure.send(
            sender=task,
            task_id=request.id,
            exception=error,
            args=request.args,
            kwargs=request.kwargs,
            traceback=error.__traceback__,
            einfo=info,
        )

    def _end(self) -> None:
        task, request = self._task, self._request
        if request is not None:
            if self._state != "IGNORED":
                self._handle("after_return", self._state, self._result, request.id, request.args, request.kwargs, None)
            signals.task_postrun.send(
                sender=task,
                task_id=request.id,
                task=task,
                args=request.args,
                kwargs=request.kwargs,
                retval=self._result,
                state=self._state,
            )
            task.request_stack.pop()
            _state._task_stack.pop()
        super()._end()

    def _handle(self, name: str, *arguments: Any) -> None:
        """Call one of the task's own handlers. What becomes of the message is decided; it may fail."""
        try:
            getattr(self._task, name)(*arguments)
        except BaseException:
            logger.exception("%s of task %s raised", name, self._path)


def _delay(task: Any, when: Any) -> int:
    """Whole seconds until a retry, as Celery says when it is to be: a number, a datetime, or nothing."""
    if isinstance(when, datetime):
        seconds = maybe_make_aware(when, task.app.timezone).timestamp() - time.time()
    else:
        seconds = task.default_retry_delay if when is None else when
    return min(max(math.ceil(seconds or 0), 0), DELAY_MAX_SECS)


def _takes_error(signature: Any) -> bool:
    """Whether an errback is called with the request, the exception and the traceback. Others are sent, and get the
    task's id: as Celery tells them apart."""
    try:
        header = signature.type.__header__
    except (AttributeError, exceptions.NotRegistered):
        return False
    return not isinstance(header, functools.partial) and arity_greater(header, 1)


def _positive(limit: Optional[float]) -> Optional[float]:
    return limit if limit and _limits.is_positive(limit) else None


def _patch_once() -> None:
    """Have ``self.retry`` send no message by Celery, in this process and where one of our tasks calls it."""
    with _patch_lock:
        if not getattr(Task, "_pyqs_patched", False):
            Task.retry = _retrying(Task.retry)
            Task.signature_from_request = _not_sent(Task.signature_from_request)
            # A `__call__` of the user's that calls Celery's has the request of the message there too.
            getattr(trace, "_install_stack_protection", lambda: None)()
            Task._pyqs_patched = True


_patch_lock = threading.Lock()
_retries = threading.local()


def _retrying(original: Function) -> Function:
    parameters = inspect.signature(original)

    def retry(self: Any, *args: Any, **kwargs: Any) -> Any:
        execution = _running(self)
        if execution is None:
            return original(self, *args, **kwargs)
        asked = parameters.bind(self, *args, **kwargs).arguments
        _retries.signature = None
        _retries.is_asked = True
        try:
            retry = original(self, *args, **kwargs)
        except exceptions.Retry as raised:
            execution.want_retry(raised, asked, _retries.signature)
            raise
        except BaseException:
            execution.exhaust()
            raise
        finally:
            _retries.is_asked = False
        execution.want_retry(retry, asked, _retries.signature)
        return retry

    retry.__doc__ = original.__doc__
    return retry


def _not_sent(original: Function) -> Function:
    def signature_from_request(self: Any, *args: Any, **kwargs: Any) -> Any:
        signature = original(self, *args, **kwargs)
        if getattr(_retries, "is_asked", False):
            _retries.signature = signature
            signature.apply_async = signature.apply = lambda *_, **__: None
        return signature

    signature_from_request.__doc__ = original.__doc__
    return signature_from_request


def _running(task: Any) -> Optional[CeleryExecution]:
    request = task.request
    execution = getattr(request, "pyqs", None)
    return execution if isinstance(execution, CeleryExecution) and not request.called_directly else None
