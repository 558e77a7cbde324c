"""Which store large payloads go to: what ``pyqs.configure`` says, else the environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

from .errors import SettingsInvalid

if TYPE_CHECKING:
    from .payloads import PayloadStore

STORE_VARIABLE = "PYQS_PAYLOAD_STORE"
THRESHOLD_VARIABLE = "PYQS_PAYLOAD_THRESHOLD"
KEEP_VARIABLE = "PYQS_KEEP_PAYLOADS"

SQS_BYTES_MAX = 1024 * 1024
"""The largest message that SQS takes, attributes included (SQS API: ``SendMessage``)."""

ROOM_BYTES = 16 * 1024
"""What is left for the attributes that a message gets on its way: when it is due, why it is a dead letter."""

THRESHOLD_DEFAULT = SQS_BYTES_MAX - ROOM_BYTES


class PayloadSettings(NamedTuple):
    """A store, and what goes there."""

    store: PayloadStore
    threshold: int = THRESHOLD_DEFAULT
    """Bytes of a message, its attributes included, above which its body is stored."""
    keeps: bool = False
    """Payloads are not deleted after their task."""


class _Configured(NamedTuple):
    """What ``pyqs.configure`` was told; ``None`` is left to the environment."""

    store: Optional[PayloadStore] = None
    threshold: Optional[int] = None
    keeps: Optional[bool] = None


_configured = _Configured()
_by_url: dict[str, PayloadStore] = {}


def configure(
    store: Union[PayloadStore, str, None] = None, threshold: Optional[int] = None, keeps: Optional[bool] = None
) -> None:
    """Set what is not ``None``."""
    global _configured
    if threshold is not None:
        _configured = _configured._replace(threshold=_checked_threshold("payload_threshold", threshold))
    if keeps is not None:
        _configured = _configured._replace(keeps=keeps)
    if store is not None:
        _configured = _configured._replace(store=_of_url(store) if isinstance(store, str) else _checked_store(store))


def current() -> Optional[PayloadSettings]:
    """What holds now; ``None`` where there is no store."""
    store = _configured.store
    if store is None:
        url = os.environ.get(STORE_VARIABLE)
        if not url:
            return None
        store = _of_url(url)
    threshold, keeps = _configured.threshold, _configured.keeps
    if threshold is None:
        threshold = _threshold_of_environment()
    if keeps is None:
        keeps = _keeps_by_environment()
    return PayloadSettings(store, threshold, keeps)


def _of_url(url: str) -> PayloadStore:
    store = _by_url.get(url)
    if store is None:
        from .payloads import from_url

        store = _by_url[url] = from_url(url)
    return store


def _checked_store(store: PayloadStore) -> PayloadStore:
    missing = [name for name in ("name", "put", "get", "delete") if not hasattr(store, name)]
    if missing:
        raise SettingsInvalid(f"payload_store is a {type(store).__name__}, which has no {', '.join(missing)}")
    return store


def _checked_threshold(name: str, threshold: int) -> int:
    if not isinstance(threshold, int) or isinstance(threshold, bool) or not 0 <= threshold <= SQS_BYTES_MAX:
        raise SettingsInvalid(f"{name} is {threshold!r}; give bytes from 0, which stores every message, to 1048576")
    return threshold


def _threshold_of_environment() -> int:
    text = os.environ.get(THRESHOLD_VARIABLE)
    if not text:
        return THRESHOLD_DEFAULT
    try:
        threshold = int(text)
    except ValueError:
        raise SettingsInvalid(f"{THRESHOLD_VARIABLE} is {text!r}; give bytes, a whole number") from None
    return _checked_threshold(THRESHOLD_VARIABLE, threshold)


def _keeps_by_environment() -> bool:
    text = os.environ.get(KEEP_VARIABLE, "")
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("", "0", "false", "no", "off"):
        return False
    raise SettingsInvalid(f"{KEEP_VARIABLE} is {text!r}; give 1 to keep payloads, or 0")
