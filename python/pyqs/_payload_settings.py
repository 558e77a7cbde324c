"""Which store large payloads go to: what ``pyqs.configure`` says, else the environment, else the project's file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional

from . import _settings
from ._pyqs import MESSAGE_BYTES_MAX, PAYLOAD_THRESHOLD_DEFAULT
from ._settings import Settings
from .errors import SettingsInvalid

if TYPE_CHECKING:
    from .payloads import PayloadStore

STORE_VARIABLE = "PYQS_PAYLOAD_STORE"
THRESHOLD_VARIABLE = "PYQS_PAYLOAD_THRESHOLD"
KEEP_VARIABLE = "PYQS_KEEP_PAYLOADS"


class PayloadSettings(NamedTuple):
    """A store, and what goes there."""

    store: PayloadStore
    threshold: int = PAYLOAD_THRESHOLD_DEFAULT
    """Bytes of a message, its attributes included, above which its body is stored."""
    keeps: bool = False
    """Payloads are not deleted after their task."""


_by_url: dict[str, PayloadStore] = {}


def check(settings: Settings) -> None:
    """Refuse what can't be. Raises :class:`SettingsInvalid`."""
    threshold, store = settings.payload_threshold, settings.payload_store
    if threshold is not None:
        _checked_threshold("payload_threshold", threshold)
    if isinstance(store, str):
        _of_url(store)
    elif store is not None:
        missing = [name for name in ("name", "put", "get", "delete") if not hasattr(store, name)]
        if missing:
            raise SettingsInvalid(f"payload_store is a {type(store).__name__}, which has no {', '.join(missing)}")


def current() -> Optional[PayloadSettings]:
    """What holds now; ``None`` where there is no store."""
    configured = _settings.configured()
    store = configured.payload_store
    if store is None:
        store = os.environ.get(STORE_VARIABLE) or _settings.ambient().get("payload_store")
        if not store:
            return None
    if isinstance(store, str):
        store = _of_url(store)
    threshold, keeps = configured.payload_threshold, configured.keep_payloads
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


def _checked_threshold(name: str, threshold: int) -> int:
    if not isinstance(threshold, int) or isinstance(threshold, bool) or not 0 <= threshold <= MESSAGE_BYTES_MAX:
        raise SettingsInvalid(
            f"{name} is {threshold!r}; give bytes from 0, which stores every message, to {MESSAGE_BYTES_MAX}"
        )
    return threshold


def _threshold_of_environment() -> int:
    text = os.environ.get(THRESHOLD_VARIABLE)
    if not text:
        return int(_settings.ambient().get("payload_threshold", PAYLOAD_THRESHOLD_DEFAULT))
    try:
        threshold = int(text)
    except ValueError:
        raise SettingsInvalid(f"{THRESHOLD_VARIABLE} is {text!r}; give bytes, a whole number") from None
    return _checked_threshold(THRESHOLD_VARIABLE, threshold)


def _keeps_by_environment() -> bool:
    text = os.environ.get(KEEP_VARIABLE)
    if not text:
        return bool(_settings.ambient().get("keep_payloads", False))
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise SettingsInvalid(f"{KEEP_VARIABLE} is {text!r}; give 1 to keep payloads, or 0")
