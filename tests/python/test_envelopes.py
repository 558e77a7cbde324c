"""What AWS's services put around a message, as :class:`pyqs.Message` takes it off. The bodies are those of AWS's
documentation."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from pyqs import Message
from pyqs.errors import UndecodableMessage

S3 = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "us-west-2",
    "eventTime": "1970-01-01T00:00:00.000Z",
    "eventName": "ObjectCreated:Put",
    "s3": {
        "bucket": {"name": "photos", "arn": "arn:aws:s3:::photos"},
        "object": {
            "key": "caf%C3%A9/my+photo%2B1.jpg",
            "size": 1024,
            "eTag": "d41d8cd98f00b204e9800998ecf8427e",
            "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
            "sequencer": "0055AED6DCD90281E5",
        },
    },
}
S3_TEST = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": "photos"}
EVENT = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2021-11-12T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::photos"],
    "detail": {
        "version": "0",
        "bucket": {"name": "photos"},
        "object": {"key": "my photo+1.jpg", "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184", "version-id": "v1"},
        "reason": "PutObject",
    },
}


def sns(message: str, **fields: Any) -> str:
    """What SNS makes of a message."""
    notification = {
        "Type": "Notification",
        "MessageId": "dc1e94d9-56c5-5e96-808d-cc7f68faa162",
        "TopicArn": "arn:aws:sns:us-east-2:111122223333:ExampleTopic1",
        "Subject": "TestSubject",
        "Message": message,
        "Timestamp": "2021-02-16T21:41:19.978Z",
        "SignatureVersion": "1",
        "MessageAttributes": {
            "shop": {"Type": "String", "Value": "eu"},
            "sum": {"Type": "Number", "Value": "3.5"},
            "key": {"Type": "Binary", "Value": "AP8="},
        },
    }
    return json.dumps({**notification, **fields})


def test_sns() -> None:
    found = Message(sns('{"id": 7}')).sns
    assert (found.message, found.json(), found.subject) == ('{"id": 7}', {"id": 7}, "TestSubject")
    assert found.topic_arn.endswith(":ExampleTopic1")
    assert found.message_id.startswith("dc1e94d9")
    assert found.timestamp == datetime(2021, 2, 16, 21, 41, 19, 978000, timezone.utc)
    assert found.attributes == {"shop": "eu", "sum": "3.5", "key": b"\x00\xff"}
    assert found.type == "Notification"


def test_sns_without_what_is_optional() -> None:
    body = {"Type": "Notification", "TopicArn": "arn:t", "Message": "plain"}
    found = Message(json.dumps(body)).sns
    assert (found.message, found.subject, found.timestamp, found.attributes) == ("plain", None, None, {})
    assert found.raw == body


def test_a_confirmation_of_sns_says_what_it_is() -> None:
    found = Message(sns("You have chosen to subscribe", Type="SubscriptionConfirmation", SubscribeURL="https://x")).sns
    assert (found.type, found.raw["SubscribeURL"]) == ("SubscriptionConfirmation", "https://x")


def test_event_of_event_bridge() -> None:
    found = Message(json.dumps(EVENT)).event
    assert (found.source, found.detail_type, found.detail["reason"]) == ("aws.s3", "Object Created", "PutObject")
    assert found.time == datetime(2021, 11, 12, tzinfo=timezone.utc)
    assert (found.account, found.region) == ("111122223333", "ca-central-1")
    assert found.resources == ["arn:aws:s3:::photos"]
    assert Message(sns(json.dumps(EVENT))).event == found, "through SNS"


def test_notification_of_s3_with_decoded_keys() -> None:
    [found] = Message(json.dumps({"Records": [S3]})).s3
    assert (found.bucket, found.key, found.size) == ("photos", "café/my photo+1.jpg", 1024)
    assert (found.event_name, found.region) == ("ObjectCreated:Put", "us-west-2")
    assert found.time == datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert found.version_id == "096fKKXTRTtl3on89fVO.nfljtsv6qko"
    assert found.raw == S3


def test_s3_through_sns_and_through_event_bridge() -> None:
    direct = json.dumps({"Records": [S3, S3]})
    assert Message(sns(direct)).s3 == Message(direct).s3
    [found] = Message(json.dumps(EVENT)).s3
    assert (found.bucket, found.key, found.event_name) == ("photos", "my photo+1.jpg", "Object Created")
    assert (found.size, found.version_id) == (5, "v1")
    assert Message(sns(json.dumps(EVENT))).s3 == [found]


def test_the_test_event_of_s3_tells_of_no_object() -> None:
    assert Message(json.dumps(S3_TEST)).s3 == []
    assert Message(sns(json.dumps(S3_TEST))).s3 == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "1e999",
        "null",
        "{}",
        '{"Records": {}}',
        '{"Records": [1]}',
        '{"Records": [{"eventSource": "aws:sqs"}]}',
        '{"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": 1}, "object": {"key": "k"}}}]}',
        '{"Records": [{"eventSource": "aws:s3"}]}',
        '{"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": []}}',
        '{"source": "aws.ec2", "detail-type": "x", "detail": {}}',
        "[" * 200_000,
        sns("no json"),
        sns(sns(sns(sns(sns(sns("{}")))))),
    ],
)
def test_what_is_no_notification_of_s3(body: str) -> None:
    with pytest.raises(UndecodableMessage, match="S3 notification"):
        _ = Message(body).s3


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "{}",
        '{"Type": "Notification", "TopicArn": "arn"}',
        '{"Type": 1, "TopicArn": "arn", "Message": "m"}',
        sns("m", MessageAttributes={"a": {"Type": "Binary", "Value": "#"}}),
        sns("m", MessageAttributes={"a": 1}),
    ],
)
def test_what_is_nothing_of_sns(body: str) -> None:
    with pytest.raises(UndecodableMessage, match="SNS notification"):
        _ = Message(body).sns


@pytest.mark.parametrize("body", ["", "{}", '{"source": "a", "detail-type": "b", "detail": []}', sns("{}")])
def test_what_is_no_event(body: str) -> None:
    with pytest.raises(UndecodableMessage, match="EventBridge event"):
        _ = Message(body).event


def test_json_of_a_body() -> None:
    assert Message('{"id": 1}').json() == {"id": 1}
    for body in ("", "{", "[" * 200_000):
        with pytest.raises(UndecodableMessage, match="message body: no JSON"):
            Message(body).json()
