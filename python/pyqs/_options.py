"""How a call of a task is sent: what the task declares, and what one call says otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from ._limits import NO_LIMITS, Limits
from ._policy import DELAY_MAX_SECS, check_seconds
from .errors import SettingsInvalid

if TYPE_CHECKING:
    from datetime import datetime

    from ._formats import Format

SQS_DELAY_SECONDS_MAX = 900
"""The longest delay that SQS itself keeps; beyond it, workers send the message on until it is due."""

HeaderValue = Union[str, int, float, bytes]
Headers = Mapping[str, HeaderValue]

RESERVED_PREFIXES = ("pyqs.", "aws.", "amazon.", "extendedpayloadsize", "sqslargepayloadsize")
"""Names of message attributes that are ours, SQS's (API: ``MessageAttributeValue``) and those of its extended client
libraries, in any case."""

CELERY_HEADERS = {
    *(
        "lang",
        "task",
        "id",
        "root_id",
        "parent_id",
        "group",
        "group_index",
        "shadow",
        "origin",
        "argsrepr",
        "kwargsrepr",
    ),
    *("eta", "expires", "retries", "timelimit", "ignore_result", "replaced_task_nesting", "stamps", "stamped_headers"),
    "compression",
}
"""What Celery's own messages have in the place where a sender's headers go."""


class Declared(NamedTuple):
    """What ``@task`` says of how its calls are sent. Times are in seconds."""

    path: str
    queue: str
    delay_seconds: Optional[int] = None
    expires: Optional[float] = None
    format: Optional[Format] = None
    group: Union[str, Callable[..., str], None] = None
    dedup_id: Optional[Callable[..., str]] = None
    limits: Limits = NO_LIMITS

    def checked(self) -> Declared:
        """The same, if it can be. Raises :class:`SettingsInvalid`."""
        delay_seconds(self.path, self.delay_seconds)
        if self.expires is not None:
            check_seconds(f"expires of {self.path}", self.expires)
        if self.group is not None and not callable(self.group):
            _key("group", self.path, self.group)
        if self.dedup_id is not None and not callable(self.dedup_id):
            raise SettingsInvalid(
                f"dedup_id of {self.path} is {self.dedup_id!r}, which would be the same for all its messages; give a "
                "function of the task's arguments"
            )
        return self


class SendOptions(NamedTuple):
    """What one call says; ``None`` leaves it to the task."""

    countdown: Optional[float] = None
    eta: Optional[datetime] = None
    expires: Union[float, datetime, None] = None
    queue: Optional[str] = None
    group: Optional[str] = None
    dedup_id: Optional[str] = None
    headers: Optional[Headers] = None


NO_OPTIONS = SendOptions()


class Times(NamedTuple):
    """When a message is to run: not before so many seconds from ``now``, and not after ``expires``, both in seconds
    since 1970."""

    now: float
    delay_seconds: int
    expires: Optional[float]

    @property
    def due_at(self) -> Optional[datetime]:
        """Not before; ``None`` is at once."""
        return _utc(self.now + self.delay_seconds) if self.delay_seconds else None

    @property
    def expires_at(self) -> Optional[datetime]:
        """Not after; ``None`` is for ever."""
        return None if self.expires is None else _utc(self.expires)


AT_ONCE = Times(0.0, 0, None)
"""For a message that is neither delayed nor expires, which is most of them."""


def times(declared: Declared, options: SendOptions) -> Times:
    """When the message is to run. Raises :class:`SettingsInvalid`."""
    if options is NO_OPTIONS and not declared.delay_seconds and declared.expires is None:
        return AT_ONCE
    from datetime import datetime  # here, since few messages have one

    now = time.time()
    path = declared.path
    if options.countdown is not None and options.eta is not None:
        raise SettingsInvalid(f"countdown= and eta= of {path} are both given; give the seconds or the moment")
    delay: float = declared.delay_seconds or 0
    if options.countdown is not None:
        check_seconds(f"countdown of {path}", options.countdown)
        delay = options.countdown
    elif options.eta is not None:
        # What is late by now is to run at once.
        delay = max(0.0, _moment(f"eta of {path}", options.eta) - now)
        if delay > DELAY_MAX_SECS:
            raise SettingsInvalid(f"eta of {path} is {options.eta}, which is more than 366 days ahead")
    expires = declared.expires if options.expires is None else options.expires
    expires_at: Optional[float] = None
    if isinstance(expires, datetime):
        expires_at = _moment(f"expires of {path}", expires)
    elif expires is not None:
        check_seconds(f"expires of {path}", expires)
        expires_at = now + expires
    # SQS counts whole seconds, and nothing is to run early.
    times = Times(now, math.ceil(delay), expires_at)
    if times.delay_seconds and expires_at is not None and expires_at < now + times.delay_seconds:
        raise SettingsInvalid(
            f"{path} would be due in {times.delay_seconds} s and expire in {expires_at - now:.0f} s, so it would never "
            "run; let it expire later"
        )
    return times


def delay_seconds(path: str, seconds: Optional[int]) -> int:
    """PyQS's own delay, in whole seconds. Raises :class:`SettingsInvalid`."""
    if seconds is None:
        return 0
    if not isinstance(seconds, int) or not 0 <= seconds <= DELAY_MAX_SECS:
        raise SettingsInvalid(
            f"the delay of {path} is {seconds!r}; give whole seconds from 0 to {DELAY_MAX_SECS}, which is 366 days"
        )
    return seconds


def queue(declared: Declared, options: SendOptions) -> str:
    """The queue to which a call goes."""
    if options.queue is None:
        return declared.queue
    if not isinstance(options.queue, str) or not options.queue:
        raise SettingsInvalid(f"queue= of {declared.path} is {options.queue!r}; give a queue's name")
    return options.queue


def group(declared: Declared, options: SendOptions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[str]:
    """The message group of a call; ``None`` is none."""
    chosen = declared.group if options.group is None else options.group
    return _chosen_key("group", declared.path, chosen, args, kwargs)


def dedup_id(declared: Declared, options: SendOptions, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[str]:
    """The deduplication id of a call; ``None`` is none."""
    chosen = declared.dedup_id if options.dedup_id is None else options.dedup_id
    return _chosen_key("dedup_id", declared.path, chosen, args, kwargs)


def headers(path: str, format: Format, given: Optional[Headers]) -> dict[str, HeaderValue]:
    """The sender's own headers. Raises ``TypeError`` for what is none."""
    if not given:
        return {}
    for name, value in given.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"a header of {path} is named {name!r}; give text")
        is_reserved = name.lower().startswith(RESERVED_PREFIXES) or (format == "celery" and name in CELERY_HEADERS)
        if is_reserved:
            raise SettingsInvalid(f"header {name} of {path} is reserved; choose another name")
        if isinstance(value, bool) or not isinstance(value, (str, int, float, bytes)):
            raise TypeError(f"header {name} of {path} is a {type(value).__name__}; give text, a number or bytes")
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsInvalid(f"header {name} of {path} is {value!r}, which is no number for SQS")
        if value in ("", b""):
            raise SettingsInvalid(f"header {name} of {path} is empty, which SQS refuses; leave it out")
    return dict(given)


def _chosen_key(name: str, path: str, chosen: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[str]:
    if callable(chosen):
        return _key(name, path, chosen(*args, **kwargs))
    return None if chosen is None else _key(name, path, chosen)


_KEY = r"[!-~]{1,128}"
"""SQS API: ``MessageGroupId``, ``MessageDeduplicationId``."""


def _key(name: str, path: str, value: Any) -> str:
    import re  # here, since few tasks have one

    if not isinstance(value, str) or not re.fullmatch(_KEY, value):
        raise SettingsInvalid(
            f"{name} of {path} is {value!r}; give text of 1 to 128 letters and digits of ASCII, and punctuation"
        )
    return value


def _moment(name: str, value: Any) -> float:
    from datetime import datetime

    if not isinstance(value, datetime):
        raise SettingsInvalid(f"{name} is {value!r}; give a datetime")
    if value.utcoffset() is None:
        raise SettingsInvalid(f"{name} is {value}, which has no time zone; give one, as datetime.now(timezone.utc) has")
    return value.timestamp()


def _utc(unix_secs: float) -> datetime:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(unix_secs, timezone.utc)
