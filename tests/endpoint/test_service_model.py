"""Our answers against the service model that botocore ships: shapes, types, required members."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.model
import pytest
from support.endpoints import Endpoint
from support.queues import new_name


def check(shape: Any, value: Any, path: str) -> None:
    """Whether a JSON value is what the model says."""
    if isinstance(shape, botocore.model.StructureShape):
        assert isinstance(value, dict), path
        assert set(value) <= set(shape.members), f"{path} has members that the model has not: {value}"
        for name in shape.required_members:
            assert name in value, f"{path} lacks {name}"
        for name, member in value.items():
            check(shape.members[name], member, f"{path}.{name}")
    elif isinstance(shape, botocore.model.ListShape):
        assert isinstance(value, list), path
        for i, member in enumerate(value):
            check(shape.member, member, f"{path}[{i}]")
    elif isinstance(shape, botocore.model.MapShape):
        assert isinstance(value, dict), path
        for name, member in value.items():
            check(shape.value, member, f"{path}[{name}]")
    else:
        kinds: dict[str, type] = {"string": str, "blob": str, "boolean": bool, "integer": int, "long": int}
        assert type(value) is kinds[shape.type_name], f"{path}: {value!r} is no {shape.type_name}"


@pytest.fixture
def checked(ours: Endpoint) -> Iterator[Any]:
    """A client that checks each answer, and counts the operations that it has seen."""
    client = ours.client()
    seen: set[str] = set()

    def look(operation_model: Any, response_dict: Any, **_: Any) -> None:
        assert response_dict["headers"]["content-type"] == "application/x-amz-json-1.0"
        assert response_dict["headers"]["x-amzn-requestid"]
        if response_dict["status_code"] == 200:
            seen.add(operation_model.name)
            if operation_model.output_shape is not None:
                check(operation_model.output_shape, json.loads(response_dict["body"]), operation_model.name)

    client.meta.events.register("before-parse.sqs.*", look)
    client.seen = seen
    yield client
    assert seen


def test_a_full_tour_is_what_the_model_says(checked: Any) -> None:
    dead = checked.create_queue(QueueName=new_name())["QueueUrl"]
    arn = checked.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})}
    name = f"{new_name()}.fifo"
    fifo = checked.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    name = new_name()
    queue = checked.create_queue(QueueName=name, Attributes=policy, tags={"a": "b"})["QueueUrl"]
    checked.get_queue_url(QueueName=name)
    checked.list_queues(MaxResults=1)
    checked.list_queues(QueueNamePrefix="no such queue")
    checked.list_dead_letter_source_queues(QueueUrl=dead)
    checked.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "9"})
    checked.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
    checked.get_queue_attributes(QueueUrl=fifo, AttributeNames=["All"])
    checked.get_queue_attributes(QueueUrl=queue)
    checked.tag_queue(QueueUrl=queue, Tags={"c": "d"})
    checked.untag_queue(QueueUrl=queue, TagKeys=["a"])
    assert checked.list_queue_tags(QueueUrl=queue)["Tags"] == {"c": "d"}
    checked.list_queue_tags(QueueUrl=dead)
    checked.add_permission(QueueUrl=queue, Label="p", AWSAccountIds=["123456789012"], Actions=["SendMessage"])
    checked.remove_permission(QueueUrl=queue, Label="p")
    # More than the task moves in the time until it is cancelled.
    dead_letters = [{"Id": str(number), "MessageBody": "x"} for number in range(10)]
    for _ in range(10):
        checked.send_message_batch(QueueUrl=dead, Entries=dead_letters)
    elsewhere = checked.create_queue(QueueName=new_name())["QueueUrl"]
    found = checked.get_queue_attributes(QueueUrl=elsewhere, AttributeNames=["QueueArn"])["Attributes"]
    task = checked.start_message_move_task(
        SourceArn=arn, DestinationArn=found["QueueArn"], MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    checked.list_message_move_tasks(SourceArn=arn)
    checked.cancel_message_move_task(TaskHandle=task)

    attributes = {"b": {"DataType": "Binary", "BinaryValue": b"\0"}, "s": {"DataType": "String", "StringValue": "x"}}
    checked.send_message(QueueUrl=queue, MessageBody="x", MessageAttributes=attributes)
    checked.send_message(QueueUrl=fifo, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="d")
    entries = [{"Id": "good", "MessageBody": "x"}, {"Id": "bad", "MessageBody": "\x01"}]
    checked.send_message_batch(QueueUrl=queue, Entries=entries)
    options = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    (message,) = checked.receive_message(QueueUrl=fifo, **options)["Messages"]
    assert len(message["Attributes"]["SequenceNumber"]) == 20
    messages = checked.receive_message(QueueUrl=queue, **options)["Messages"]
    checked.receive_message(QueueUrl=queue)
    handle = messages[0]["ReceiptHandle"]
    checked.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=30)
    entries = [{"Id": "good", "ReceiptHandle": handle}, {"Id": "bad", "ReceiptHandle": "x"}]
    changes = [{**entry, "VisibilityTimeout": 30} for entry in entries]
    checked.change_message_visibility_batch(QueueUrl=queue, Entries=changes)
    checked.delete_message_batch(QueueUrl=queue, Entries=entries)
    checked.delete_message(QueueUrl=queue, ReceiptHandle=messages[1]["ReceiptHandle"])
    checked.purge_queue(QueueUrl=queue)
    for url in (queue, fifo, dead):
        checked.delete_queue(QueueUrl=url)

    assert checked.seen == set(checked.meta.service_model.operation_names)
