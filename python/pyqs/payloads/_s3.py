"""Payloads in an S3 bucket, by boto3, as AWS's extended client libraries for SQS keep them."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any, Optional

from ..errors import PayloadMissing, PayloadRefused, SettingsInvalid
from ._store import PAYLOAD_BYTES_MAX, too_large

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")

_PREFIX = re.compile(r"[a-zA-Z0-9./_-]*\Z")
"""What Java's extended client lets a prefix have."""

_MISSING = ("NoSuchKey", "404")

_LASTING = ("NoSuchBucket", "AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidObjectState")
"""Codes that trying again does not help against."""

_CONNECT_SECS = 10
_READ_SECS = 30


class S3PayloadStore:
    """Payloads as objects of an S3 bucket.

    >>> pyqs.configure(payload_store=S3PayloadStore("my-bucket", prefix="payloads"))

    :param bucket: the bucket's name. It, or what is under the prefix, is for payloads alone: whoever can send a message
        says which of these objects a worker reads, and deletes.
    :param prefix: objects are stored under ``prefix/``, and no others are read.
    :param client: a boto3 S3 client to use, which must be safe after a fork; by default one is made in each process,
        from boto3's own settings (environment, profile, role).

    Needs boto3: ``pip install 'pyqs-rs[s3]'``.
    """

    def __init__(self, bucket: str, prefix: str = "", *, client: Any = None) -> None:
        if not _BUCKET.match(bucket):
            raise SettingsInvalid(f"{bucket!r} is no name of an S3 bucket")
        if not _PREFIX.match(prefix) or ".." in prefix:
            raise SettingsInvalid(f"prefix {prefix!r} has more than letters, digits, '.', '/', '_' and '-'")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._given_client = client
        self._made: Optional[tuple[int, Any]] = None

    @property
    def name(self) -> str:
        """The bucket, as a URL."""
        return f"s3://{self._bucket}"

    def put(self, payload: bytes) -> str:
        """Store an object; gives its key."""
        key = f"{self._prefix}{uuid.uuid4()}"
        self._client().put_object(Bucket=self._bucket, Key=key, Body=payload)
        return key

    def get(self, key: str) -> bytes:
        """Read an object."""
        self._check(key)
        client = self._client()
        where = f"s3://{self._bucket}/{key}"
        try:
            answer = client.get_object(Bucket=self._bucket, Key=key)
        except client.exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise PayloadMissing(f"there is no object {where}") from error
            if code in _LASTING:
                raise PayloadRefused(f"{where} can't be read: {error}") from error
            raise
        size = int(answer["ContentLength"])
        if size > PAYLOAD_BYTES_MAX:
            answer["Body"].close()
            raise PayloadRefused(f"{where}: {too_large(size)}")
        payload: bytes = answer["Body"].read()
        return payload

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._check(key)
        self._client().delete_object(Bucket=self._bucket, Key=key)

    def _check(self, key: str) -> None:
        if not key.startswith(self._prefix):
            raise PayloadRefused(f"object {key[:200]!r} of bucket {self._bucket} is not under prefix {self._prefix!r}")

    def _client(self) -> Any:
        if self._given_client is not None:
            return self._given_client
        made = self._made
        # Connections must not be shared with a process that this one was forked from. Two threads may make one each.
        if made is None or made[0] != os.getpid():
            made = self._made = (os.getpid(), _new_client())
        return made[1]


def _new_client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise SettingsInvalid("a payload store in S3 needs boto3: pip install 'pyqs-rs[s3]'") from None
    config = Config(
        connect_timeout=_CONNECT_SECS,
        read_timeout=_READ_SECS,
        retries={"mode": "standard", "max_attempts": 3},
        max_pool_connections=32,
    )
    return boto3.session.Session().client("s3", config=config)
