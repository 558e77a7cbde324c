"""Kombu's own reading of the bodies on standard input, each a JSON text on a line: microseconds a message."""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Any

from kombu.serialization import loads as load_payload
from kombu.utils.json import loads

ACCEPT = {"application/json"}
ROUNDS = 50


def read(body: str) -> Any:
    """The envelope and the payload, as the SQS transport and `Message.decode` read them."""
    envelope = loads(base64.b64decode(body) if not body.startswith("{") else body)
    payload = envelope["body"]
    if envelope["properties"].get("body_encoding") == "base64":
        payload = base64.b64decode(payload)
    return load_payload(payload, envelope["content-type"], envelope.get("content-encoding"), accept=ACCEPT)


bodies = [json.loads(line) for line in sys.stdin]
best = float("inf")
for _ in range(ROUNDS):
    start = time.perf_counter()
    for body in bodies:
        read(body)
    best = min(best, time.perf_counter() - start)
print(best / len(bodies) * 1e6)
