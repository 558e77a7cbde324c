"""``@task(idempotency_key=)``: of several messages with the same key, one is run."""

from __future__ import annotations

import datetime
import decimal
import enum
import hashlib
import logging
import math
import os
import random
import time
import uuid
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from . import _settings
from ._policy import DELAY_MAX_SECS
from ._settings import Settings
from ._signature import parameters_of, signature_of
from .errors import SettingsInvalid

if TYPE_CHECKING:
    from .idempotency import Claim, IdempotencyStore

logger = logging.getLogger("pyqs")

Key = Union[str, Callable[..., str]]
"""The name of a parameter, or a function of the task's arguments."""

STORE_VARIABLE = "PYQS_IDEMPOTENCY_STORE"

TTL_DEFAULT_SECS = 24 * 3600.0

LEASE_MARGIN_SECS = 60.0
"""A key is in progress for so long beyond the task's deadline: its process may need a while to end."""

AGAIN_SECS = (10.0, 20.0)
"""A message whose key is in progress elsewhere, or whose store is out of reach, is tried again after a time between
these."""

KEY_BYTES_MAX = 1024
"""A longer key is stored as its hash."""

_TEXTS = (str, int, uuid.UUID, decimal.Decimal, datetime.date)
"""Types of a parameter whose value, as text, is a key."""


class Idempotency(NamedTuple):
    """What a task declares."""

    key: Key
    ttl: float = TTL_DEFAULT_SECS
    """Seconds for which it is remembered that a key is done."""

    def checked(self) -> Idempotency:
        """The same, if it can be. Raises :class:`SettingsInvalid`."""
        if not callable(self.key) and not (isinstance(self.key, str) and self.key.isidentifier()):
            raise SettingsInvalid(
                f"idempotency_key is {self.key!r}; give the name of a parameter, or a function of the task's arguments"
            )
        is_number = isinstance(self.ttl, (int, float)) and not isinstance(self.ttl, bool)
        if not is_number or not 0 < self.ttl <= DELAY_MAX_SECS:
            raise SettingsInvalid(f"idempotency_ttl is {self.ttl!r}; give seconds, above 0 and at most 366 days")
        return self

    def of(self, task: str, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> str:
        """The key of a call. Raises ``TypeError`` where it is none."""
        if callable(self.key):
            value = self.key(*args, **kwargs)
            if not isinstance(value, str):
                raise TypeError(f"idempotency_key of {task} gave {_named(value)}; it must give text")
        else:
            value = _argument(task, function, self.key, args, kwargs)
            if isinstance(value, enum.Enum):
                value = value.value
            if not isinstance(value, _TEXTS):
                raise TypeError(
                    f"argument {self.key} of {task} is {_named(value)}, which is no idempotency key; give "
                    "idempotency_key= a function that makes text of it"
                )
            value = str(value)
        if not value:
            raise TypeError(f"the idempotency key of {task} is empty")
        return scoped(task, value)


def scoped(task: str, key: str) -> str:
    """A task's key as it is stored: the same key of another task is another one."""
    whole = f"{task.replace('%', '%25').replace(':', '%3A')}:{key}"
    encoded = whole.encode("utf-8", "surrogatepass")
    if len(encoded) <= KEY_BYTES_MAX:
        return whole
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def checked_for(task: str, function: Callable[..., Any], declared: Idempotency) -> None:
    """Refuse the name of a parameter that the function does not have."""
    if callable(declared.key):
        return
    parameters = parameters_of(function, follow_wrapped=True)
    if parameters is None:
        return
    names = [found.name for found in parameters if found.kind not in (found.VAR_POSITIONAL, found.VAR_KEYWORD)]
    if declared.key not in names:
        has = ", ".join(names) or "none"
        raise SettingsInvalid(f"idempotency_key of {task} is {declared.key!r}, which is no parameter; it has {has}")


def declare(function: Callable[..., Any], declared: Idempotency) -> None:
    """Give a function that has its ``delay`` its key, which decorators above ``@task`` take along."""
    function.delay.idempotency = (declared, function)  # type: ignore[attr-defined]


def is_declared(function: Callable[..., Any]) -> bool:
    """Whether a task has a key."""
    return hasattr(getattr(function, "delay", None), "idempotency")


class Guard:
    """One message's hold on its key."""

    def __init__(self, store: IdempotencyStore, key: str, owner: str, ttl: float) -> None:
        self._store = store
        self._key = key
        self._owner = owner
        self._ttl = ttl

    def begin(self, deadline: float) -> Claim:
        """Take the key until some time after the deadline, in seconds since 1970; again: for longer."""
        return self._store.begin(self._key, self._owner, deadline - time.time() + LEASE_MARGIN_SECS)

    def finish(self) -> None:
        """The task has succeeded. If that can't be remembered, another message of the key may run."""
        try:
            self._store.finish(self._key, self._owner, self._ttl)
        except Exception as error:
            logger.error(
                "Idempotency key %s is done, which could not be stored: another message of it may run: %s: %s",
                self._key,
                type(error).__name__,
                error,
            )

    def release(self) -> None:
        """The task has failed, and may run again."""
        try:
            self._store.release(self._key, self._owner)
        except Exception as error:
            logger.warning(
                "Idempotency key %s could not be released: other messages of it wait until its lease ends: %s: %s",
                self._key,
                type(error).__name__,
                error,
            )


def guard(
    function: Callable[..., Any], task: str, owner: str, args: list[Any], kwargs: dict[str, Any]
) -> Optional[Guard]:
    """The guard of a message; ``None`` where the task declares no key.

    Raises ``TypeError`` where the call has none, what the user's function raises, and :class:`StoreMissing`.
    """
    found = getattr(getattr(function, "delay", None), "idempotency", None)
    if found is None:
        return None
    declared, own = found
    key = declared.of(task, own, args, kwargs)
    store = current()
    if store is None:
        raise StoreMissing(task)
    return Guard(store, key, owner, declared.ttl)


class StoreMissing(SettingsInvalid):
    """A task with a key can't be run without a store."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"{task} has an idempotency_key, and no store is configured: start the worker with "
            f"--idempotency-store ({STORE_VARIABLE}), or call pyqs.configure(idempotency_store=...) in its module"
        )


def again_after(claim: Optional[Claim]) -> int:
    """When to try a message again, in whole seconds."""
    delay = random.uniform(*AGAIN_SECS)
    if claim is not None:
        delay = min(delay, claim.seconds_left)
    return max(1, math.ceil(delay))


_by_url: dict[str, IdempotencyStore] = {}


def check(settings: Settings) -> None:
    """Refuse what is no store. Raises :class:`SettingsInvalid`."""
    store = settings.idempotency_store
    if isinstance(store, str):
        _of_url(store)
    elif store is not None:
        missing = [name for name in ("begin", "finish", "release") if not hasattr(store, name)]
        if missing:
            raise SettingsInvalid(f"idempotency_store is a {type(store).__name__}, which has no {', '.join(missing)}")


def current() -> Optional[IdempotencyStore]:
    """The store that holds now, if there is one: the configured one, else the environment's, else the file's."""
    store = _settings.configured().idempotency_store
    if store is None:
        store = os.environ.get(STORE_VARIABLE) or _settings.ambient().get("idempotency_store")
        if not store:
            return None
    return _of_url(store) if isinstance(store, str) else store


def _of_url(url: str) -> IdempotencyStore:
    store = _by_url.get(url)
    if store is None:
        from .idempotency import from_url

        store = _by_url[url] = from_url(url)
    return store


def _argument(task: str, function: Callable[..., Any], name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    bound = signature_of(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments[name]


def _named(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
