"""Payloads in a folder, for one machine, or for several that share a file system."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import Union
from urllib.parse import quote

from ..errors import PayloadMissing, PayloadRefused, SettingsInvalid
from ._store import PAYLOAD_BYTES_MAX, too_large

_KEY = re.compile(r"[0-9a-f]{32}\.payload\Z")


class FolderPayloadStore:
    """Payloads as files of a folder, which is made where it is missing, for this user alone.

    >>> pyqs.configure(payload_store=FolderPayloadStore("/var/lib/pyqs/payloads"))

    Senders and workers must see it under the same path, since pointers name it. A file is there whole or not at all,
    also after a power cut, as far as the file system keeps its word.
    """

    def __init__(self, folder: Union[str, os.PathLike[str]]) -> None:
        path = Path(folder)
        if not path.is_absolute():
            raise SettingsInvalid(f"the payload store's folder is {os.fspath(folder)!r}; give an absolute path")
        self._folder = Path(os.path.normpath(path))

    @property
    def name(self) -> str:
        """The folder, as a URL."""
        return "file://" + quote(str(self._folder))

    def put(self, payload: bytes) -> str:
        """Write a file; gives its name."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = f"{uuid.uuid4().hex}.payload"
        # `mkstemp` makes it for this user alone, and the name is not yet one that `get` takes.
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._folder / key)
        except BaseException:
            os.unlink(temporary)
            raise
        self._sync()
        return key

    def get(self, key: str) -> bytes:
        """Read a file."""
        try:
            with open(self._path(key), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > PAYLOAD_BYTES_MAX:
                    raise PayloadRefused(f"{self.name}/{key}: {too_large(size)}")
                return file.read(PAYLOAD_BYTES_MAX)
        except FileNotFoundError:
            raise PayloadMissing(f"there is no file {self._folder / key}") from None

    def delete(self, key: str) -> None:
        """Delete a file."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # Whoever sends a message chooses the key: only names that `put` makes, so none of another folder.
        if not _KEY.match(key):
            raise PayloadRefused(f"{key[:100]!r} is no key of payload store {self.name}")
        path = self._folder / key
        if path.is_symlink():
            raise PayloadRefused(f"{key} in payload store {self.name} is a link")
        return path

    def _sync(self) -> None:
        """The folder must not forget the file's name either."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
