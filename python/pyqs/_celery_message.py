"""A message in Celery's format, for a retry of a Celery task with other arguments or to another queue.

Imported only where there is such a task; kombu, which comes with Celery, writes the arguments, with its types.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from datetime import datetime, timezone
from typing import Any

from kombu.serialization import dumps


def retry_body(request: Any, args: list[Any], kwargs: dict[str, Any], queue: str, delay_seconds: int) -> str:
    """The message that the request came by, protocol 2, one retry further and with these arguments."""
    embed = {name: getattr(request, name) or None for name in ("callbacks", "errbacks", "chain", "chord")}
    content_type, encoding, payload = dumps((args, kwargs, embed), serializer="json")
    eta = None
    if delay_seconds:
        eta = datetime.fromtimestamp(time.time() + delay_seconds, timezone.utc).isoformat()
    headers = {
        **(request.headers or {}),
        "lang": "py",
        "task": request.task,
        "id": request.id,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
        "group": request.group,
        "shadow": request.shadow,
        "origin": request.origin,
        "ignore_result": request.ignore_result,
        "retries": request.retries + 1,
        "eta": eta,
        "expires": request.expires,
        "timelimit": request.timelimit,
    }
    envelope = {
        "body": base64.b64encode(payload.encode() if isinstance(payload, str) else payload).decode(),
        "content-type": content_type,
        "content-encoding": encoding,
        "headers": headers,
        "properties": {
            "correlation_id": request.correlation_id or request.id,
            "reply_to": request.reply_to,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": (request.delivery_info or {}).get("priority") or 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return base64.b64encode(json.dumps(envelope).encode()).decode()
