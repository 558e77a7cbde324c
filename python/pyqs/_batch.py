"""``@task(batch=...)`` and ``@on_message(batch=...)``: a function that is called for several messages at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from . import _signature
from ._policy import Discard, Retry
from .errors import PyqsError, SettingsInvalid

if TYPE_CHECKING:
    from inspect import Parameter

BATCH_MAX = 1000
"""Messages that one call gets at most: as many as a worker holds."""

WAIT_SECS_DEFAULT = 1.0
"""How long a message waits for others, where ``batch_wait`` says nothing."""

WAIT_SECS_MAX = 300.0
"""How long a message waits for others at most."""


class ItemFailed(PyqsError):
    """What a part of a batch failed with, where ``fail`` was given a text or nothing."""


class Part:
    """One of the messages of a batch: it may fail by itself."""

    _part_error: Optional[BaseException] = None
    _is_part = False

    def fail(self, error: Union[BaseException, str, None] = None) -> None:
        """Say that this one has failed, as if a call for it alone had raised the error: the task's rules (``retries``,
        ``dead_letter_on``, ...) decide what becomes of it. The function goes on, and must not raise.

        :param error: an exception, or a text for the log.
        """
        if not self._is_part:
            raise PyqsError("only one of a batch (batch=) fails by itself; raise an exception instead")
        is_error = isinstance(error, BaseException)
        self._part_error = error if is_error else ItemFailed(error or "it has failed")  # type: ignore[assignment]

    def retry(self, message: str = "", *, after: Optional[float] = None) -> None:
        """Say that this one is to run again: after so many seconds, or as the task's ``backoff`` says."""
        self.fail(Retry(message, after=after))

    def discard(self, message: str = "") -> None:
        """Say that nothing is to come of this one: its message is deleted."""
        self.fail(Discard(message))


if TYPE_CHECKING:
    from typing import Generic, Protocol

    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    V = TypeVar("V")
    V_contra = TypeVar("V_contra", contravariant=True)

    class _Call(Part, Generic[P]):
        _call: Callable[P, object]

    class _OfOne(Protocol[V_contra]):
        """What is called with one argument."""

        @property
        def _call(self) -> Callable[[V_contra], object]: ...
        @property
        def args(self) -> list[Any]: ...
        @property
        def kwargs(self) -> dict[str, Any]: ...

else:  # without typing's own machinery, which lacks half of that in Python 3.9
    P = ...

    class _Call(Part):
        def __class_getitem__(cls, given: Any) -> GenericAlias:
            return GenericAlias(cls, tuple(given) if isinstance(given, list) else given)


class BatchItem(_Call[P]):
    """One call of a task marked ``@task(batch=...)``, whose function gets a list of them.

    ``list[BatchItem[Order]]`` says what is given to ``.delay``, ``list[BatchItem[int, datetime]]`` what by position:
    calls are held against that, and their values travel by it. A ``BatchItem`` takes anything.

    In tests the function is called with some of your own: ``insert([BatchItem((row,))])``.
    """

    def __init__(
        self,
        args: Sequence[Any] = (),
        kwargs: Optional[Mapping[str, Any]] = None,
        *,
        id: str = "",
        receive_count: int = 1,
        retries: int = 0,
        attributes: Optional[Mapping[str, Union[str, bytes]]] = None,
    ) -> None:
        self.args = list(args)
        """The arguments that were given to ``.delay`` by position."""
        self.kwargs = dict(kwargs or {})
        """Those by keyword."""
        self.id = id
        """The message id, which ``.delay`` returned."""
        self.receive_count = receive_count
        """How often SQS has delivered it, this time included."""
        self.retries = retries
        """How often it was run before, as far as is known: never too low."""
        self.attributes = dict(attributes or {})
        """Its message attributes: texts and numbers as ``str``, the others as ``bytes``."""

    def __repr__(self) -> str:
        return f"BatchItem({self.args!r}, {self.kwargs!r}, id={self.id!r})"

    @property
    def value(self: _OfOne[V]) -> V:
        """The only argument of a call with one, however it was given. Raises ``TypeError`` where there are more or
        none."""
        values = [*self.args, *self.kwargs.values()]
        if len(values) != 1:
            raise TypeError(f"a call with {len(values)} arguments has no single value; use args and kwargs")
        only: V = values[0]
        return only


class Batch(NamedTuple):
    """How many messages one call gets, and how many seconds a message waits for others."""

    size: int
    wait: float


def checked(size: Optional[int], wait: Optional[float]) -> Optional[Batch]:
    """What was declared, if it can be. Raises :class:`SettingsInvalid`."""
    if size is None:
        if wait is not None:
            raise SettingsInvalid("batch_wait= needs batch=, the most messages that one call gets")
        return None
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= BATCH_MAX:
        raise SettingsInvalid(f"batch={size!r}; give a whole number of messages from 1 to {BATCH_MAX}")
    seconds = WAIT_SECS_DEFAULT if wait is None else wait
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not math.isfinite(seconds) or not 0 <= seconds <= WAIT_SECS_MAX:
        raise SettingsInvalid(f"batch_wait={wait!r}; give seconds from 0 to {WAIT_SECS_MAX:.0f}")
    return Batch(size, float(seconds))


def declare(function: Callable[..., Any], batch: Batch) -> None:
    """Say it of a function that has its ``delay``, which decorators above ``@task`` take along."""
    function.delay.batch = batch  # type: ignore[attr-defined]


def declared(function: Callable[..., Any]) -> Optional[Batch]:
    """What was said of a function."""
    batch = getattr(getattr(function, "delay", None), "batch", None)
    return batch if isinstance(batch, Batch) else None


def item_parameters(function: Callable[..., Any]) -> Optional[list[Parameter]]:
    """What a call takes, as the annotation of the function's list says; ``None`` is anything.

    Raises whatever resolving the annotation raises.
    """
    parameters = _signature.parameters_of(function, follow_wrapped=True)
    if not parameters or parameters[0].annotation is parameters[0].empty:
        return None
    from . import _annotations

    given = _annotations.arguments_of_items(parameters[0].annotation, _annotations.names_of(function), BatchItem)
    if given is None:
        return None
    names = ["value"] if len(given) == 1 else [f"value{number}" for number, _ in enumerate(given, start=1)]
    kind = type(parameters[0])
    return [kind(name, kind.POSITIONAL_ONLY, annotation=type) for name, type in zip(names, given)]
