"""What a store of payloads is, and which one a URL names."""

from __future__ import annotations

from typing import Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from ..errors import PyqsError, SettingsInvalid

PAYLOAD_BYTES_MAX = 64 * 1024 * 1024
"""The largest payload that is sent, and that is read: a task process holds it several times over while decoding it."""


@runtime_checkable
class PayloadStore(Protocol):
    """Where payloads are. Used from several threads and, after a fork, from several processes at once.

    ``put`` returns when the payload will outlast a crash of this machine, as far as the store can promise that. What
    any method raises, but for the errors named, counts as passing trouble: a sender gets it, a worker tries again.
    """

    @property
    def name(self) -> str:
        """What pointers call this store, as in ``s3://my-bucket``. One with another name is not read here."""

    def put(self, payload: bytes) -> str:
        """Store a payload under a new key; gives the key."""

    def get(self, key: str) -> bytes:
        """The payload under a key.

        Raises :class:`pyqs.errors.PayloadMissing` if it is not there, and :class:`pyqs.errors.PayloadRefused` for a key
        that is none of this store's or a payload above :data:`PAYLOAD_BYTES_MAX`.
        """

    def delete(self, key: str) -> None:
        """Delete what is under a key; that it is gone already is no error."""


def from_url(url: str) -> PayloadStore:
    """The store that a URL names: ``s3://bucket``, ``s3://bucket/prefix`` or ``file:///folder``.

    >>> from_url("file:///var/lib/pyqs/payloads").name
    'file:///var/lib/pyqs/payloads'
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise SettingsInvalid(f"payload store {url!r} has a query or a fragment; give a bucket or a folder alone")
    if parts.scheme == "s3" and parts.netloc:
        from ._s3 import S3PayloadStore

        return S3PayloadStore(parts.netloc, prefix=parts.path.strip("/"))
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        from ._folder import FolderPayloadStore

        return FolderPayloadStore(unquote(parts.path))
    raise SettingsInvalid(f"payload store {url!r} is none; give s3://bucket, s3://bucket/prefix or file:///folder")


def too_large(size: int) -> str:
    """What is said of a payload above the limit."""
    return f"a payload of {size} bytes is above the limit of {PAYLOAD_BYTES_MAX}"


def named(error: BaseException) -> str:
    """An error in one line, for a log."""
    text = str(error) or "without a word"
    return text if isinstance(error, PyqsError) else f"{type(error).__name__}: {text}"
