"""The MD5s of our answers, against Amazon's published way to compute them; boto3 checks them a second time."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest
from support.queues import Queue


def md5_of_attributes(attributes: dict[str, Any]) -> str:
    """Developer guide, "Calculating the MD5 message digest for message attributes"."""

    def part(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        digest.update(part(name.encode()) + part(attribute["DataType"].encode()))
        if "StringValue" in attribute:
            digest.update(b"\x01" + part(attribute["StringValue"].encode()))
        else:
            digest.update(b"\x02" + part(attribute["BinaryValue"]))
    return digest.hexdigest()


ATTRIBUTES: list[dict[str, Any]] = [
    {"a": {"DataType": "String", "StringValue": "x"}},
    {"a": {"DataType": "String.label", "StringValue": "äöü \N{SNOWMAN} \U0001d11e"}},
    {"a": {"DataType": "Number", "StringValue": "-1.50e3"}},
    {"a": {"DataType": "Number.java.lang.Long", "StringValue": "1493147359900"}},
    {"a": {"DataType": "Binary", "BinaryValue": bytes(range(256))}},
    {"a": {"DataType": "Binary.png", "BinaryValue": b"\0"}},
    {
        "b": {"DataType": "String", "StringValue": "2"},
        "B": {"DataType": "String", "StringValue": "1"},
        "a.b": {"DataType": "Binary", "BinaryValue": b"3"},
        "a-b": {"DataType": "Number", "StringValue": "4"},
        "a_b": {"DataType": "String", "StringValue": "5"},
    },
]


@pytest.mark.parametrize("attributes", ATTRIBUTES)
def test_of_attributes(ours_queue: Queue, attributes: dict[str, Any]) -> None:
    client = ours_queue.client
    expected = md5_of_attributes(attributes)
    sent = client.send_message(QueueUrl=ours_queue.url, MessageBody="x", MessageAttributes=attributes)
    assert sent["MD5OfMessageAttributes"] == expected
    entries = [{"Id": "a", "MessageBody": "x", "MessageAttributes": attributes}]
    (entry,) = client.send_message_batch(QueueUrl=ours_queue.url, Entries=entries)["Successful"]
    assert entry["MD5OfMessageAttributes"] == expected
    options = {"MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
    for message in client.receive_message(QueueUrl=ours_queue.url, **options)["Messages"]:
        assert message["MD5OfMessageAttributes"] == expected
        assert message["MessageAttributes"] == attributes


def test_of_those_that_were_asked_for(ours_queue: Queue) -> None:
    """A receive's MD5 is of the attributes in it, not of all that the message has."""
    names = ("General", "Hello", "Help.Me")
    attributes = {name: {"DataType": "String", "StringValue": name} for name in names}
    ours_queue.send("x", MessageAttributes=attributes)
    for asked, told in [
        (["All"], names),
        ([".*"], names),
        (["Hel.*"], ("Hello", "Help.Me")),
        (["Hello", "nope"], ("Hello",)),
        (["nope"], ()),
        ([], ()),
    ]:
        options = {"MessageAttributeNames": asked, "VisibilityTimeout": 0}
        (message,) = ours_queue.client.receive_message(QueueUrl=ours_queue.url, **options)["Messages"]
        expected = {name: attributes[name] for name in told}
        assert message.get("MessageAttributes", {}) == expected
        md5 = md5_of_attributes(expected) if expected else None
        assert message.get("MD5OfMessageAttributes") == md5


@pytest.mark.parametrize("body", ["x", " ", "äöü \N{SNOWMAN} \U0001d11e", 'quotes " and \\ \t\r\n', "x" * 1_048_576])
def test_of_the_body(ours_queue: Queue, body: str) -> None:
    sent = ours_queue.client.send_message(QueueUrl=ours_queue.url, MessageBody=body)
    expected = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    assert sent["MD5OfMessageBody"] == expected
    (message,) = ours_queue.receive()
    assert (message["Body"], message["MD5OfBody"]) == (body, expected)


def test_of_system_attributes(ours_queue: Queue) -> None:
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    sent = ours_queue.client.send_message(QueueUrl=ours_queue.url, MessageBody="x", MessageSystemAttributes=trace)
    assert sent["MD5OfMessageSystemAttributes"] == md5_of_attributes(trace)
    assert "MD5OfMessageAttributes" not in sent
    (message,) = ours_queue.receive()
    assert message["Attributes"]["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
