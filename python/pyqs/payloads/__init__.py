"""Large payloads: a message that SQS does not take is stored elsewhere, and a pointer to it is sent.

>>> import pyqs
>>> pyqs.configure(payload_store="s3://my-bucket/payloads")
>>> send_report.delay("x" * 5_000_000)

A store is three functions (:class:`PayloadStore`). There is one for S3, whose pointers are those of AWS's extended
client libraries for SQS, and one for a folder. ``docs/payloads.md`` says who deletes what, and when.
"""

from ._folder import FolderPayloadStore
from ._s3 import S3PayloadStore
from ._store import PAYLOAD_BYTES_MAX, PayloadStore, from_url

__all__ = ["PAYLOAD_BYTES_MAX", "FolderPayloadStore", "PayloadStore", "S3PayloadStore", "from_url"]
