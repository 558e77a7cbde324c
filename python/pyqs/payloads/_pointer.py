"""The pointer that is sent in place of a body.

One to S3 is that of AWS's extended client libraries for SQS (``PayloadS3Pointer`` of
awslabs/payload-offloading-java-common-lib-for-aws): they read ours, and we read theirs. ``crates/pyqs-formats``,
``pointer.rs``, reads both forms.
"""

from __future__ import annotations

import json
from typing import NamedTuple

SIZE_ATTRIBUTE = "ExtendedPayloadSize"
"""The message attribute, a number, by which the libraries know a pointer: the payload's bytes."""

S3_CLASS = "software.amazon.payloadoffloading.PayloadS3Pointer"
OWN_CLASS = "pyqs.PayloadPointer"


class Pointer(NamedTuple):
    """Where a payload is."""

    store: str
    """The store's name."""
    key: str

    def body(self) -> str:
        """As the body of a message."""
        scheme, _, bucket = self.store.partition("://")
        if scheme == "s3":
            return json.dumps([S3_CLASS, {"s3BucketName": bucket, "s3Key": self.key}])
        return json.dumps([OWN_CLASS, {"store": self.store, "key": self.key}])

    def __str__(self) -> str:
        return f"{self.store}/{self.key}"
