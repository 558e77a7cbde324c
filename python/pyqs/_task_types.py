"""What ``@task`` makes of a function, for type checkers alone: nothing imports this at run time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Callable, Optional, Protocol, TypeVar, Union, overload

from typing_extensions import Concatenate, ParamSpec, TypedDict

from ._batch import BatchItem
from ._bound import BoundTask
from ._callbacks import OnFailure, OnSuccess
from ._formats import Format
from ._idempotency import Key
from ._options import Headers
from ._policy import Backoff, Errors
from ._producer import MessageId
from ._sender import Item

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Options(TypedDict, total=False):
    """What ``task(...)`` takes by name alone, whatever it makes: :func:`pyqs.task` says what each is."""

    expires: Optional[float]
    format: Optional[Format]
    group: Union[str, Callable[..., str], None]
    dedup_id: Optional[Callable[..., str]]
    time_limit: Optional[float]
    soft_time_limit: Optional[float]
    max_concurrency: Optional[int]
    rate_limit: Union[str, float, None]
    retries: Optional[int]
    backoff: Optional[Backoff]
    retry_on: Optional[Errors]
    discard_on: Optional[Errors]
    dead_letter_on: Optional[Errors]
    dead_letter: Optional[str]
    on_success: Optional[OnSuccess]
    on_failure: Optional[OnFailure]


class SingleOptions(Options, total=False):
    """The same of a task that gets one message at a time."""

    idempotency_key: Optional[Key]
    idempotency_ttl: Optional[float]


class Sends(Protocol[P]):
    """How a task that takes these arguments is sent."""

    __name__: str

    def apply_async(
        self,
        args: Sequence[Any] = (),
        kwargs: Optional[Mapping[str, Any]] = None,
        *,
        countdown: Optional[float] = None,
        eta: Optional[datetime] = None,
        expires: Union[float, datetime, None] = None,
        queue: Optional[str] = None,
        group: Optional[str] = None,
        dedup_id: Optional[str] = None,
        headers: Optional[Headers] = None,
    ) -> MessageId: ...

    def delay_many(self, items: Iterable[Item]) -> list[Union[MessageId, Exception]]: ...

    @overload
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> MessageId: ...

    # A keyword beside a ParamSpec can't be written down, so with `_delay_seconds` arguments go unchecked.
    @overload
    def delay(self, *args: Any, _delay_seconds: Optional[int], **kwargs: Any) -> MessageId: ...

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> MessageId: ...

    def delay_on_commit(self, *args: P.args, **kwargs: P.kwargs) -> None: ...


class Task(Sends[P], Protocol[P, R]):
    """A function marked with ``@task``: itself when called, a message when delayed."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class Declares(Protocol):
    """What a decorator says of how ``task(...)`` was called."""

    queue_name: Optional[str]
    delay_seconds: Optional[int]
    function_path: Optional[str]


class Decorator(Declares, Protocol):
    """What ``task(...)`` returns: to be applied to a function."""

    def __call__(self, function: Callable[P, R]) -> Task[P, R]: ...


class BatchTask(Sends[P], Protocol[P, R]):
    """A function marked with ``@task(batch=...)``: with a list when called, one item of it when delayed."""

    def __call__(self, items: list[BatchItem[P]]) -> R: ...


class BatchDecorator(Declares, Protocol):
    """What ``task(batch=...)`` returns: to be applied to a function of a list."""

    def __call__(self, function: Callable[[list[BatchItem[P]]], R]) -> BatchTask[P, R]: ...


class BoundDecorator(Declares, Protocol):
    """What ``task(bind=True)`` returns: callers don't give the function's ``self``."""

    def __call__(self, function: Callable[Concatenate[BoundTask, P], R]) -> Task[P, R]: ...
