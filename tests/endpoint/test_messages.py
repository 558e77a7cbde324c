"""What boto3 sees, on our endpoint and on moto's server alike. boto3 checks every MD5 itself."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from support.queues import Queue, new_name
from support.waiting import eventually


def receive(queue: Queue, **fields: Any) -> list[dict[str, Any]]:
    """A receive of up to ten messages."""
    answer = queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, **fields)
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def count(queue: Queue, name: str) -> int:
    """One of the three counts of messages."""
    answer = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def test_a_message_comes_as_it_was_sent(queue: Queue) -> None:
    attributes = {
        "text": {"DataType": "String", "StringValue": "äöü \N{SNOWMAN}"},
        "number": {"DataType": "Number.int", "StringValue": "-12"},
        "bytes": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}
    body = 'quotes " and \\ tabs \t lines \n and 𝄞'
    message_id = queue.send(body, MessageAttributes=attributes, MessageSystemAttributes=trace)
    (message,) = receive(queue, MessageAttributeNames=["All"], AttributeNames=["All"])
    assert message["MessageId"] == message_id
    assert message["Body"] == body
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["Attributes"]["AWSTraceHeader"].startswith("Root=1-5759e988")
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    assert abs(time.time() - sent) < 60


def test_nothing_is_told_that_was_not_asked_for(queue: Queue) -> None:
    queue.send("x", MessageAttributes={"a": {"DataType": "String", "StringValue": "x"}})
    (message,) = receive(queue)
    assert "Attributes" not in message
    assert "MessageAttributes" not in message


def test_an_empty_receive_has_no_list(queue: Queue) -> None:
    assert "Messages" not in queue.client.receive_message(QueueUrl=queue.url)


def test_a_deleted_message_is_gone(queue: Queue) -> None:
    queue.send("x")
    (message,) = receive(queue)
    assert count(queue, "ApproximateNumberOfMessagesNotVisible") == 1
    queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert count(queue, "ApproximateNumberOfMessagesNotVisible") == 0
    assert receive(queue) == []


def test_batches_send_change_and_delete(queue: Queue) -> None:
    entries = [{"Id": str(i), "MessageBody": f"body {i}"} for i in range(10)]
    sent = queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [entry["Id"] for entry in sent["Successful"]] == [str(i) for i in range(10)]
    messages = receive(queue)
    assert sorted(message["Body"] for message in messages) == [f"body {i}" for i in range(10)]
    handles = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)]
    changes = [{**entry, "VisibilityTimeout": 0} for entry in handles]
    queue.client.change_message_visibility_batch(QueueUrl=queue.url, Entries=changes)
    messages = receive(queue)
    assert len(messages) == 10
    handles = [{"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]} for i, message in enumerate(messages)]
    deleted = queue.client.delete_message_batch(QueueUrl=queue.url, Entries=handles)
    assert len(deleted["Successful"]) == 10
    assert receive(queue) == []


def test_visibility_is_what_the_receive_says(queue: Queue) -> None:
    queue.send("x")
    (first,) = receive(queue, VisibilityTimeout=1)
    assert receive(queue) == []
    (second,) = receive(queue, WaitTimeSeconds=5, AttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


def test_a_delayed_message_comes_later(queue: Queue) -> None:
    queue.send("x", DelaySeconds=1)
    assert count(queue, "ApproximateNumberOfMessagesDelayed") == 1
    assert receive(queue) == []
    assert len(receive(queue, WaitTimeSeconds=5)) == 1


def test_a_long_poll_ends_at_the_first_message(queue: Queue) -> None:
    found: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: found.extend(receive(queue, WaitTimeSeconds=20)))
    started = time.monotonic()
    poll.start()
    queue.send("x")
    poll.join()
    assert len(found) == 1
    assert time.monotonic() - started < 15


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(sqs: Any) -> None:
    dead = Queue(sqs, new_name())
    arn = sqs.get_queue_attributes(QueueUrl=dead.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'
    queue = Queue(sqs, new_name(), RedrivePolicy=policy, VisibilityTimeout="0")
    message_id = queue.send("poison")
    for _ in range(2):
        (message,) = receive(queue)
        assert message["MessageId"] == message_id
    assert receive(queue) == []
    (letter,) = eventually(lambda: receive(dead, AttributeNames=["All"]))
    assert letter["MessageId"] == message_id
    assert letter["Body"] == "poison"
    sources = sqs.list_dead_letter_source_queues(QueueUrl=dead.url)["queueUrls"]
    assert sources == [queue.url]


def test_a_purged_queue_is_empty(queue: Queue) -> None:
    queue.send("x")
    queue.client.purge_queue(QueueUrl=queue.url)
    assert receive(queue) == []


def test_queues_are_found_listed_and_deleted(sqs: Any) -> None:
    prefix = new_name()
    queues = [Queue(sqs, f"{prefix}-{i}") for i in range(3)]
    urls = [queue.url for queue in queues]
    assert sorted(sqs.list_queues(QueueNamePrefix=prefix)["QueueUrls"]) == urls
    pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix, PaginationConfig={"PageSize": 2})
    assert sorted(url for page in pages for url in page.get("QueueUrls", [])) == urls
    assert sqs.get_queue_url(QueueName=queues[0].name)["QueueUrl"] == urls[0]
    sqs.delete_queue(QueueUrl=urls[0])
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=queues[0].name)


def test_attributes_are_set_and_told(queue: Queue) -> None:
    queue.client.set_queue_attributes(
        QueueUrl=queue.url, Attributes={"VisibilityTimeout": "77", "ReceiveMessageWaitTimeSeconds": "3"}
    )
    answer = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])
    attributes = answer["Attributes"]
    assert attributes["VisibilityTimeout"] == "77"
    assert attributes["ReceiveMessageWaitTimeSeconds"] == "3"
    assert attributes["QueueArn"].endswith(f":{queue.name}")
    assert attributes["MessageRetentionPeriod"] == "345600"


def test_fifo_groups_keep_their_order_and_lock(sqs: Any) -> None:
    queue = Queue(sqs, f"{new_name()}.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("a1", "a2", "b1", "a2"):
        queue.send(body, MessageGroupId=body[0])
    (first,) = sqs.receive_message(QueueUrl=queue.url)["Messages"]
    assert first["Body"] == "a1"
    rest = receive(queue)
    assert [message["Body"] for message in rest] == ["b1"]
    sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert [message["Body"] for message in receive(queue)] == ["a2"]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("QueueDoesNotExist", lambda sqs, queue: sqs.send_message(QueueUrl=f"{queue.url}x", MessageBody="x")),
        ("ReceiptHandleIsInvalid", lambda sqs, queue: sqs.delete_message(QueueUrl=queue.url, ReceiptHandle="x")),
        ("EmptyBatchRequest", lambda sqs, queue: sqs.send_message_batch(QueueUrl=queue.url, Entries=[])),
        (
            "TooManyEntriesInBatchRequest",
            lambda sqs, queue: sqs.send_message_batch(
                QueueUrl=queue.url, Entries=[{"Id": str(i), "MessageBody": "x"} for i in range(11)]
            ),
        ),
        (
            "BatchEntryIdsNotDistinct",
            lambda sqs, queue: sqs.send_message_batch(
                QueueUrl=queue.url, Entries=[{"Id": "a", "MessageBody": "x"}] * 2
            ),
        ),
        (
            "InvalidAttributeName",
            lambda sqs, queue: sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["Nope"]),
        ),
    ],
)
def test_errors_are_of_boto3s_types(queue: Queue, name: str, call: Any) -> None:
    with pytest.raises(getattr(queue.client.exceptions, name)):
        call(queue.client, queue)


def test_characters_that_sqs_does_not_carry_are_refused(ours_queue: Queue) -> None:
    with pytest.raises(ours_queue.client.exceptions.InvalidMessageContents):
        ours_queue.send("\x01")
