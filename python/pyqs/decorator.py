"""``@task``: gives a function ``.delay``, which sends a call of it to a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union, cast, overload

from . import _batch, _bound, _callbacks, _declarations, _limits, _pace, _policy, _registry
from ._batch import Batch
from ._callbacks import NO_CALLBACKS, Callbacks
from ._options import SQS_DELAY_SECONDS_MAX, Declared
from ._pace import NO_PACE, Pace
from ._policy import NO_POLICY, Backoff, Errors, Policy
from ._sender import Sender
from .errors import SettingsInvalid
from .utils import function_to_import_path

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import Unpack

    from ._callbacks import OnFailure, OnSuccess
    from ._formats import Format
    from ._idempotency import Idempotency, Key
    from ._producer import MessageId
    from ._task_types import BatchDecorator, BoundDecorator, Decorator, Options, P, R, SingleOptions, Task


@overload
def task(queue: Callable[P, R]) -> Task[P, R]: ...


@overload
def task(
    queue: Optional[str] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    bind: Literal[False] = False,
    **options: Unpack[SingleOptions],
) -> Decorator: ...


@overload
def task(
    queue: Optional[str] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    batch: int,
    batch_wait: Optional[float] = None,
    **options: Unpack[Options],
) -> BatchDecorator: ...


@overload
def task(
    queue: Optional[str] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    bind: Literal[True],
    **options: Unpack[SingleOptions],
) -> BoundDecorator: ...


def task(
    queue: Union[str, Callable[..., Any], None] = None,
    delay_seconds: Optional[int] = None,
    custom_function_path: Optional[str] = None,
    *,
    expires: Optional[float] = None,
    format: Optional[Format] = None,
    group: Union[str, Callable[..., str], None] = None,
    dedup_id: Optional[Callable[..., str]] = None,
    time_limit: Optional[float] = None,
    soft_time_limit: Optional[float] = None,
    idempotency_key: Optional[Key] = None,
    idempotency_ttl: Optional[float] = None,
    max_concurrency: Optional[int] = None,
    rate_limit: Union[str, float, None] = None,
    retries: Optional[int] = None,
    backoff: Optional[Backoff] = None,
    retry_on: Optional[Errors] = None,
    discard_on: Optional[Errors] = None,
    dead_letter_on: Optional[Errors] = None,
    dead_letter: Optional[str] = None,
    on_success: Optional[OnSuccess] = None,
    on_failure: Optional[OnFailure] = None,
    bind: bool = False,
    batch: Optional[int] = None,
    batch_wait: Optional[float] = None,
) -> Any:
    """Mark a function as a task. The very same function comes back, with one attribute more: ``delay``.

    >>> @task(queue="email", delay_seconds=5)
    ... def send_email(subject, to="everyone"):
    ...     print(subject, to)
    >>> send_email("now, here")
    now, here everyone
    >>> send_email.delay("later, in a worker", to="ada@example.org", _delay_seconds=60)
    '219f8380-5770-4cc2-8c3e-5c715e145f5e'

    :param queue: the queue's name; by default the function's path, ``module.function``.
    :param delay_seconds: how long the message waits before it runs, in whole seconds; 0 by default, at most 31622400,
        which is 366 days. On a FIFO queue SQS takes none. Above 900, SQS's longest, the message carries the time at
        which it is due, which workers of the original PyQS don't know: they run it after 900 s.
    :param custom_function_path: the name in the message, instead of ``module.function``.
    :param expires: seconds after its sending from which a message is not run any more, but deleted; at most 366 days.
    :param format: ``"celery"`` writes messages that Celery workers run too; by default ``PYQS_FORMAT`` or
        ``pyqs.configure(format=)`` says it, else it is PyQS's own.
    :param group: the message group, which FIFO queues need: a text, or a function of the task's arguments. On a
        standard queue it is the tenant of SQS's fair queues.
    :param dedup_id: on a FIFO queue, the deduplication id as a function of the task's arguments.
    :param time_limit: seconds after which the task is ended, whatever it does, by killing its process; an
        ``async def`` task is cancelled first. It counts as failed.
    :param soft_time_limit: seconds after which :class:`pyqs.errors.SoftTimeLimitExceeded` is raised in it.
    :param idempotency_key: of several messages with the same key only one is run, as far as that can be promised: the
        name of a parameter, or a function of the task's arguments that gives text. It needs a store:
        ``pyqs.configure(idempotency_store=)`` or ``PYQS_IDEMPOTENCY_STORE``.
    :param idempotency_ttl: seconds for which it is remembered that a key is done; 24 hours by default, at most 366
        days.
    :param max_concurrency: no more than so many of it run at once, in each worker.
    :param rate_limit: no more than so many of it start in each worker: ``"100/s"``, ``"10/m"``, ``"3/h"``, or a number
        a second.
    :param retries: a failed task is run again up to so many times: 3 is up to four runs. By default its message is left
        to the queue's visibility timeout, as PyQS does.
    :param backoff: seconds before each retry: a number is the base of an exponential (at most 900, spread over its
        upper half; 1 by default), a list is taken in order and its last repeats, a function gets the retry's number.
    :param retry_on: only these exceptions are retried; others are at once as after the last retry.
    :param discard_on: for these exceptions the message is deleted, as for ``raise Discard()``.
    :param dead_letter_on: for these exceptions the message goes to ``dead_letter`` at once.
    :param dead_letter: the queue to which a message goes after the last retry; without it, the message stays with the
        queue's visibility timeout, until the queue's own redrive policy takes it.
    :param on_success: called in the task process with a :class:`pyqs.events.TaskSucceeded` when the task has returned
        and that is recorded.
    :param on_failure: called there with a :class:`pyqs.events.TaskFailed` when it has raised and no retry follows. Not
        when its process dies. What these two raise is logged and changes nothing.
    :param bind: the function's first parameter, ``self``, is a :class:`pyqs.BoundTask`, which has the message as
        ``self.request`` and can ``retry`` and ``extend``. Callers don't give it.

    :param batch: the function gets a list of up to so many calls, each a :class:`pyqs.BatchItem`, which may fail by
        itself. ``.delay`` sends one call, as always.
    :param batch_wait: seconds for which a call waits for others, 1 by default.

    ``@task`` without parentheses is ``@task()``.
    """
    if callable(queue):
        return _Decorator(Declared("", ""), None, None)(queue)
    policy = Policy(retries, backoff, retry_on, discard_on, dead_letter_on, dead_letter).checked()
    limits = _limits.checked(time_limit, soft_time_limit)
    if format is not None:
        from . import _formats

        _formats.checked(format, "format=")
    declared = Declared("", queue or "", delay_seconds, expires, format, group, dedup_id, limits)
    callbacks = Callbacks(on_success, on_failure).checked()
    together = _batch.checked(batch, batch_wait)
    if together and bind:
        raise SettingsInvalid("bind= and batch= don't go together: each item of a batch has its own id and retries")
    if idempotency_key is None and idempotency_ttl is not None:
        raise SettingsInvalid("idempotency_ttl= is given without idempotency_key=, whose life it is")
    idempotency = None
    if idempotency_key is not None:
        if together:
            raise SettingsInvalid("idempotency_key= and batch= don't go together: one call is for several keys")
        from . import _idempotency

        ttl = _idempotency.TTL_DEFAULT_SECS if idempotency_ttl is None else idempotency_ttl
        idempotency = _idempotency.Idempotency(idempotency_key, ttl).checked()
    pace = _pace.checked(max_concurrency, rate_limit)
    return _Decorator(declared, queue, custom_function_path, policy, bind, callbacks, together, idempotency, pace)


class _Decorator:
    def __init__(
        self,
        declared: Declared,
        queue: Optional[str],
        custom_function_path: Optional[str],
        policy: Policy = NO_POLICY,
        is_bound: bool = False,
        callbacks: Callbacks = NO_CALLBACKS,
        batch: Optional[Batch] = None,
        idempotency: Optional[Idempotency] = None,
        pace: Pace = NO_PACE,
    ) -> None:
        self.queue_name = queue
        self.delay_seconds = declared.delay_seconds
        self.function_path = custom_function_path
        self._declared = declared
        self._policy = policy
        self._is_bound = is_bound
        self._callbacks = callbacks
        self._batch = batch
        self._idempotency = idempotency
        self._pace = pace

    def __call__(self, function: Callable[..., Any]) -> Any:
        path = self.function_path or function_to_import_path(function)
        if self._is_bound:
            function = _bound.bind(function, path)
        declared = self._declared._replace(path=path, queue=self.queue_name or path)
        sender = Sender(declared, function, is_checked=not self.function_path)
        task = cast(Any, function)
        task.delay = sender.delay()
        task.apply_async = sender.apply_async
        task.adelay = sender.adelay
        task.delay_many = sender.delay_many
        task.delay_on_commit = sender.delay_on_commit
        _limits.declare(function, self._declared.limits)
        _pace.declare(function, self._pace)
        _policy.declare(function, self._policy)
        _callbacks.declare(function, self._callbacks)
        if self._idempotency:
            from . import _idempotency

            _idempotency.checked_for(path, function, self._idempotency)
            _idempotency.declare(function, self._idempotency)
        if self._is_bound:
            _bound.declare(function)
        if self._batch:
            _batch.declare(function, self._batch)
        if self.function_path:
            _registry.register(self.function_path, function)
        _registry.register(function_to_import_path(function), function)
        if self._batch or self._pace != NO_PACE:
            for name in {path, function_to_import_path(function)}:
                _declarations.add_task(name, function)
        return function


def task_delayer(
    func_to_delay: Union[str, Callable[..., Any]],
    queue_name: Optional[str],
    delay_seconds: Optional[int] = None,
    override: bool = False,
) -> Callable[..., MessageId]:
    """The function that becomes ``.delay``. Kept for code that PyQS's users wrote; ``@task`` is the usual way.

    With ``override``, ``func_to_delay`` is the path itself.
    """
    path = function_to_import_path(func_to_delay, override=override)
    function = None if override or isinstance(func_to_delay, str) else func_to_delay
    return Sender(Declared(path, queue_name or path, delay_seconds), function).delay()


class Queue(NamedTuple):
    """A queue, as far as code that used boto3's object through PyQS needs it."""

    url: str

    def send_message(self, MessageBody: str, DelaySeconds: int = 0) -> dict[str, str]:
        """Send a body as it is, delayed by at most SQS's 900 s; the answer has its ``MessageId``."""
        if not 0 <= DelaySeconds <= SQS_DELAY_SECONDS_MAX:
            raise SettingsInvalid(
                f"DelaySeconds is {DelaySeconds!r}; SQS takes 0 to {SQS_DELAY_SECONDS_MAX} (.delay takes more)"
            )
        from . import _producer
        from ._producer import Outgoing

        name = self.url.rsplit("/", 1)[1]
        return {"MessageId": str(_producer.send(name, Outgoing(MessageBody, DelaySeconds)))}


def get_or_create_queue(queue_name: str) -> Queue:
    """The queue of this name, which is created where it is missing. Kept for code that PyQS's users wrote."""
    from . import _producer

    return Queue(_producer.queue_url(queue_name))
