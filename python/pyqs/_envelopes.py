"""What AWS's services put around a message in a queue: SNS, EventBridge, and the notifications of S3.

Formats: SNS developer guide, "Message and JSON formats"; EventBridge user guide, "Event structure"; S3 user guide,
"Event message structure". Nothing is verified: who may send to a queue is said by the queue's policy.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional, Union
from urllib.parse import unquote_plus

from .errors import UndecodableMessage

NESTED_MAX = 4
"""Envelopes in each other; AWS nests two."""


class SnsNotification(NamedTuple):
    """What SNS delivers to a queue without raw delivery."""

    message: str
    """What was published."""
    topic_arn: str
    message_id: str
    """SNS's id of it, which is not SQS's."""
    subject: Optional[str]
    timestamp: Optional[datetime]
    """When it was published."""
    attributes: dict[str, Union[str, bytes]]
    """Its message attributes: binary ones as ``bytes``."""
    type: str
    """``Notification``; or ``SubscriptionConfirmation`` and ``UnsubscribeConfirmation``, which have a ``SubscribeURL``
    in ``raw``."""
    raw: dict[str, Any]
    """All of it."""

    def json(self) -> Any:
        """The message as JSON. Raises :class:`pyqs.errors.UndecodableMessage`."""
        return _parsed(self.message, "SNS message")


class EventBridgeEvent(NamedTuple):
    """An event of EventBridge, as a rule sends it to a queue unless the rule transforms it."""

    detail: dict[str, Any]
    """What happened."""
    detail_type: str
    source: str
    """``aws.s3`` and the like, or the application's own."""
    id: str
    time: Optional[datetime]
    account: str
    region: str
    resources: list[str]
    raw: dict[str, Any]
    """All of it."""


class S3Record(NamedTuple):
    """An object in S3 to which something happened."""

    bucket: str
    key: str
    """Decoded: as calls of S3 want it."""
    event_name: str
    """``ObjectCreated:Put`` and the like; from EventBridge ``Object Created``."""
    size: Optional[int]
    """In bytes, where it was created."""
    etag: Optional[str]
    version_id: Optional[str]
    """In a bucket with versions."""
    sequencer: Optional[str]
    """Orders the events of one key: hexadecimal, to be padded to the same length."""
    time: Optional[datetime]
    region: str
    raw: dict[str, Any]
    """All of it."""


def sns(body: str) -> SnsNotification:
    """The notification that this is. Raises :class:`pyqs.errors.UndecodableMessage`."""
    found = _sns(_parsed(body, "SNS notification"))
    if found is None:
        raise UndecodableMessage("has no Type and TopicArn of SNS", "SNS notification")
    return found


def event(body: str) -> EventBridgeEvent:
    """The event that this is, or that SNS has wrapped. Raises :class:`pyqs.errors.UndecodableMessage`."""
    found = _event(_unwrapped(body, "EventBridge event"))
    if found is None:
        raise UndecodableMessage("has no source, detail-type and detail of EventBridge", "EventBridge event")
    return found


def s3(body: str) -> list[S3Record]:
    """The objects that this tells of, through whatever service it came. Raises
    :class:`pyqs.errors.UndecodableMessage`."""
    value = _unwrapped(body, "S3 notification")
    if isinstance(value, dict) and value.get("Event") == "s3:TestEvent":
        return []
    found = _event(value)
    if found is not None:
        if found.source != "aws.s3":
            raise UndecodableMessage(f"an event of {found.source}, not of aws.s3", "S3 notification")
        return [_s3_of_event(found)]
    records = value.get("Records") if isinstance(value, dict) else None
    if not isinstance(records, list):
        raise UndecodableMessage("has no Records of S3", "S3 notification")
    return [_s3_record(record) for record in records]


def _unwrapped(body: str, layer: str) -> Any:
    """What is in SNS's envelopes, or the body itself."""
    value = _parsed(body, layer)
    for _ in range(NESTED_MAX):
        wrapped = _sns(value)
        if wrapped is None:
            return value
        value = _parsed(wrapped.message, layer)
    raise UndecodableMessage(f"more than {NESTED_MAX} envelopes in each other", layer)


def _parsed(text: str, layer: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UndecodableMessage(f"no JSON: {error}", layer) from None


def _sns(value: Any) -> Optional[SnsNotification]:
    if not isinstance(value, dict):
        return None
    kind, topic, message = value.get("Type"), value.get("TopicArn"), value.get("Message")
    if not isinstance(kind, str) or not isinstance(topic, str) or not isinstance(message, str):
        return None
    return SnsNotification(
        message=message,
        topic_arn=topic,
        message_id=_text(value.get("MessageId")) or "",
        subject=_text(value.get("Subject")),
        timestamp=_moment(value.get("Timestamp")),
        attributes=_sns_attributes(value.get("MessageAttributes")),
        type=kind,
        raw=value,
    )


def _sns_attributes(value: Any) -> dict[str, Union[str, bytes]]:
    attributes: dict[str, Union[str, bytes]] = {}
    for name, attribute in (value if isinstance(value, dict) else {}).items():
        text = attribute.get("Value") if isinstance(attribute, dict) else None
        if not isinstance(text, str):
            raise UndecodableMessage(f"attribute {name} has no Value", "SNS notification")
        try:
            is_binary = attribute.get("Type") == "Binary"
            attributes[name] = base64.b64decode(text, validate=True) if is_binary else text
        except ValueError:
            raise UndecodableMessage(f"attribute {name} is no base64", "SNS notification") from None
    return attributes


def _event(value: Any) -> Optional[EventBridgeEvent]:
    if not isinstance(value, dict):
        return None
    source, detail_type, detail = value.get("source"), value.get("detail-type"), value.get("detail")
    if not isinstance(source, str) or not isinstance(detail_type, str) or not isinstance(detail, dict):
        return None
    resources = value.get("resources")
    return EventBridgeEvent(
        detail=detail,
        detail_type=detail_type,
        source=source,
        id=_text(value.get("id")) or "",
        time=_moment(value.get("time")),
        account=_text(value.get("account")) or "",
        region=_text(value.get("region")) or "",
        resources=[str(resource) for resource in resources] if isinstance(resources, list) else [],
        raw=value,
    )


def _s3_record(record: Any) -> S3Record:
    if not isinstance(record, dict) or record.get("eventSource") != "aws:s3":
        raise UndecodableMessage("a record that is not of aws:s3", "S3 notification")
    bucket, key, stored = _places(record.get("s3"))
    return S3Record(
        bucket=bucket,
        # S3 writes it as in a form: `my+key` is "my key".
        key=unquote_plus(key),
        event_name=_text(record.get("eventName")) or "",
        size=_number(stored.get("size")),
        etag=_text(stored.get("eTag")),
        version_id=_text(stored.get("versionId")),
        sequencer=_text(stored.get("sequencer")),
        time=_moment(record.get("eventTime")),
        region=_text(record.get("awsRegion")) or "",
        raw=record,
    )


def _s3_of_event(found: EventBridgeEvent) -> S3Record:
    # EventBridge has the key as it is, and names in its own spelling.
    bucket, key, stored = _places(found.detail)
    return S3Record(
        bucket=bucket,
        key=key,
        event_name=found.detail_type,
        size=_number(stored.get("size")),
        etag=_text(stored.get("etag")),
        version_id=_text(stored.get("version-id")),
        sequencer=_text(stored.get("sequencer")),
        time=found.time,
        region=found.region,
        raw=found.raw,
    )


def _places(value: Any) -> tuple[str, str, dict[str, Any]]:
    """Bucket, key, and what else is said of the object."""
    value = value if isinstance(value, dict) else {}
    bucket, stored = value.get("bucket"), value.get("object")
    name = bucket.get("name") if isinstance(bucket, dict) else None
    key = stored.get("key") if isinstance(stored, dict) else None
    if not isinstance(name, str) or not isinstance(key, str) or not isinstance(stored, dict):
        raise UndecodableMessage("a record without the bucket's name and the object's key", "S3 notification")
    return name, key, stored


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) else None


def _number(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _moment(value: Any) -> Optional[datetime]:
    if not isinstance(value, str):
        return None
    try:
        # Before Python 3.11 it takes no Z.
        moment = datetime.fromisoformat(value[:-1] + "+00:00" if value.endswith("Z") else value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
