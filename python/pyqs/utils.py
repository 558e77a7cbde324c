"""PyQS's helpers, kept for code that imports them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, Optional, Union, cast

from . import _pyqs
from .errors import UndecodableMessage


def decode_message(message: Mapping[str, Any], cert_store: Optional[str] = None) -> dict[str, Any]:
    """The task in a message as boto3 receives it: a dict with ``task``, ``args`` and ``kwargs``.

    >>> decode_message({"Body": '{"task": "tasks.add", "args": [1, 2], "kwargs": {}}'})
    {'task': 'tasks.add', 'args': [1, 2], 'kwargs': {}}

    One of Celery's has also ``protocol`` (1 or 2), ``id``, ``retries`` (0 for none), ``eta`` and ``expires`` (ISO 8601
    text as the message has it, or ``None``) and ``timelimit`` (``[hard, soft]`` in seconds, or ``None``).

    Messages signed by Celery's ``auth`` serializer are read only with ``cert_store``: where the signers' certificates
    lie, a folder, a file or a pattern (``certs/*.pem``), as in Celery's ``security_cert_store``.

    What is neither PyQS's nor Celery's raises :class:`pyqs.errors.UndecodableMessage`. Nothing in the message is
    imported or executed.
    """
    return _pyqs.decode_message(message["Body"], _pyqs.Reader(cert_store=cert_store))


def decode_celery_message(json_task: str) -> dict[str, Any]:
    """The payload in the ``body`` of an old Celery message: base64 around JSON. A pickled one is refused."""
    import base64
    import json

    try:
        return cast(dict[str, Any], json.loads(base64.b64decode(json_task)))
    except ValueError as error:
        raise UndecodableMessage(f"neither base64 nor JSON: {error}", "payload") from error


def function_to_import_path(function: Union[str, Callable[..., Any]], override: bool = False) -> str:
    """The path by which messages name a function; with ``override`` it is given as it is."""
    if override:
        return cast(str, function)
    return f"{function.__module__}.{cast(Any, function).__name__}"


def get_aws_region_name() -> str:
    """The region for sending: AWS_DEFAULT_REGION, AWS_REGION, the profile's, else us-east-1."""
    return _pyqs.region_name()
