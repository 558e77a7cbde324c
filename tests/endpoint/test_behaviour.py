"""What SQS does beyond its words, as recorded against Amazon's own: handles that are late, FIFO groups, encryption."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest
from botocore.exceptions import ClientError
from support.endpoints import Endpoint
from support.queues import Queue, new_name, with_dead_letters
from support.waiting import eventually


def bodies(queue: Queue, **options: Any) -> list[str]:
    """The bodies of a receive of up to ten."""
    answer = queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10, **options)
    return [message["Body"] for message in answer.get("Messages", [])]


def fifo_queue(endpoint: Endpoint, **attributes: str) -> Queue:
    """A FIFO queue that knows duplicates by their bodies."""
    name = f"{new_name()}.fifo"
    return Queue(endpoint.client(), name, FifoQueue="true", ContentBasedDeduplication="true", **attributes)


def test_a_late_change_of_visibility_is_taken_and_does_nothing(ours_queue: Queue) -> None:
    ours_queue.send("x")
    (message,) = ours_queue.receive(visibility_secs=0)
    handle = message["ReceiptHandle"]
    ours_queue.client.change_message_visibility(QueueUrl=ours_queue.url, ReceiptHandle=handle, VisibilityTimeout=600)
    assert bodies(ours_queue) == ["x"]


def test_a_late_delete_is_taken_until_the_message_is_received_again(ours_queue: Queue) -> None:
    ours_queue.send("x")
    (first,) = ours_queue.receive(visibility_secs=0)
    (second,) = ours_queue.receive(visibility_secs=0)
    delete = ours_queue.client.delete_message
    delete(QueueUrl=ours_queue.url, ReceiptHandle=first["ReceiptHandle"])
    assert ours_queue.counts() == (1, 0)
    delete(QueueUrl=ours_queue.url, ReceiptHandle=second["ReceiptHandle"])
    assert ours_queue.counts() == (0, 0)


def test_a_late_delete_on_a_fifo_queue_is_refused(ours: Endpoint) -> None:
    queue = fifo_queue(ours)
    queue.send("x", MessageGroupId="g")
    (message,) = queue.receive(visibility_secs=0)
    with pytest.raises(ClientError, match="The receipt handle has expired") as refused:
        queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"


def test_a_fifo_group_gives_as_much_as_it_has_then_the_next(ours: Endpoint) -> None:
    queue = fifo_queue(ours)
    for body in ("g1-m1", "g2-m1", "g1-m2", "g1-m3"):
        queue.send(body, MessageGroupId=body[:2])
    assert bodies(queue) == ["g1-m1", "g1-m2", "g1-m3", "g2-m1"]


def test_a_fifo_message_that_is_given_back_waits_for_nothing_behind_it(ours: Endpoint) -> None:
    queue = fifo_queue(ours)
    for body in ("g1-m1", "g1-m2", "g1-m3"):
        queue.send(body, MessageGroupId="g1")
    first, second = queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=2)["Messages"]
    change = {"QueueUrl": queue.url, "VisibilityTimeout": 0}
    queue.client.change_message_visibility(ReceiptHandle=first["ReceiptHandle"], **change)
    assert bodies(queue) == ["g1-m1"]
    queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=second["ReceiptHandle"])
    assert bodies(queue) == []


def test_a_fifo_batch_keeps_its_order(ours: Endpoint) -> None:
    queue = fifo_queue(ours)
    entries = [{"Id": str(i), "MessageBody": str(i), "MessageGroupId": "g"} for i in range(10)]
    sent = queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)["Successful"]
    numbers = [entry["SequenceNumber"] for entry in sent]
    assert numbers == sorted(numbers)
    assert bodies(queue) == [str(i) for i in range(10)]


def test_a_delay_of_0_on_a_fifo_queue_is_the_queue_s(ours: Endpoint) -> None:
    queue = fifo_queue(ours, DelaySeconds="900")
    queue.send("x", MessageGroupId="g", DelaySeconds=0)
    assert bodies(queue) == []
    queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"DelaySeconds": "0"})
    assert bodies(queue) == ["x"], "a new delay holds for what is there"


def test_a_fifo_dead_letter_queue_goes_on_with_the_group(ours: Endpoint) -> None:
    client = ours.client()
    dead = Queue(client, f"{new_name()}.fifo", FifoQueue="true")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 1})
    queue = fifo_queue(ours, RedrivePolicy=policy, VisibilityTimeout="0")
    message_id = queue.send("poison", MessageGroupId="g")
    assert bodies(queue) == ["poison"]
    queue.send("good", MessageGroupId="g")
    assert bodies(queue) == ["good"]
    (letter,) = dead.receive()
    assert (letter["MessageId"], letter["Body"]) == (message_id, "poison")
    assert letter["Attributes"]["MessageGroupId"] == "g"
    assert letter["Attributes"]["MessageDeduplicationId"] == message_id
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == queue.arn
    assert letter["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_queue_has_one_kind_of_encryption(ours_queue: Queue) -> None:
    names = ["KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"]

    def told() -> dict[str, str]:
        answer = ours_queue.client.get_queue_attributes(QueueUrl=ours_queue.url, AttributeNames=names)
        attributes: dict[str, str] = answer["Attributes"]
        return attributes

    assert told() == {"SqsManagedSseEnabled": "true"}
    attributes = {"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000"}
    ours_queue.client.set_queue_attributes(QueueUrl=ours_queue.url, Attributes=attributes)
    assert told() == {**attributes, "SqsManagedSseEnabled": "false"}
    ours_queue.client.set_queue_attributes(QueueUrl=ours_queue.url, Attributes={"SqsManagedSseEnabled": "true"})
    assert told() == {"SqsManagedSseEnabled": "true"}


def test_dead_letters_move_back_as_new_messages(ours: Endpoint) -> None:
    queue, dead = with_dead_letters(ours.client(), new_name(), 1, VisibilityTimeout="0")
    message_id = queue.send("x")
    assert bodies(queue) == ["x"]
    assert bodies(queue) == []
    queue.client.start_message_move_task(SourceArn=dead.arn)
    (message,) = eventually(queue.receive)
    assert message["Body"] == "x"
    assert message["MessageId"] != message_id
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in message["Attributes"]
    (task,) = queue.client.list_message_move_tasks(SourceArn=dead.arn)["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    assert "TaskHandle" not in task


ATTRIBUTE_NAMES = [
    (["All"], ["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
    ([".*"], ["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
    (["*"], ["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"),
    (["Hel.*"], ["Hello", "Help.Me"], "83fee93c1bcd8b9a5a923ffacdc636c7"),
    (["Hello", "General"], ["General", "Hello"], "fca026605781cb4126a1e9044df24232"),
    (["Foo", "Hello"], ["Hello"], "a311262e065454b75da111d535b8dacd"),
    (["Foo", "Help"], [], None),
    (["hello"], [], None),
    (["AWS."], [], None),
    (["..foo"], [], None),
]


@pytest.mark.parametrize(("wanted", "names", "md5"), ATTRIBUTE_NAMES)
def test_message_attributes_come_by_name_and_prefix(
    ours_queue: Queue, wanted: list[str], names: list[str], md5: Optional[str]
) -> None:
    values = {"Help.Me": "Me", "Hello": "There", "General": "Kenobi"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    ours_queue.send("msg", MessageAttributes=attributes)
    answer = ours_queue.client.receive_message(QueueUrl=ours_queue.url, MessageAttributeNames=wanted)
    (message,) = answer["Messages"]
    assert sorted(message.get("MessageAttributes", {})) == names
    assert message.get("MD5OfMessageAttributes") == md5


def test_a_trace_header_of_the_request_is_every_message_s_that_has_none(ours: Endpoint) -> None:
    client = ours.client()
    queue = Queue(client, new_name())
    trace = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"
    own = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}

    def add_header(request: Any, **_: Any) -> None:
        request.headers["X-Amzn-Trace-Id"] = trace

    client.meta.events.register("before-sign.sqs.SendMessage", add_header)
    client.meta.events.register("before-sign.sqs.SendMessageBatch", add_header)
    queue.send("single")
    queue.send("own", MessageSystemAttributes=own)
    entries = [{"Id": "a", "MessageBody": "batch"}, {"Id": "b", "MessageBody": "own2", "MessageSystemAttributes": own}]
    client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    traces = {message["Body"]: message["Attributes"]["AWSTraceHeader"] for message in queue.receive()}
    own_trace = own["AWSTraceHeader"]["StringValue"]
    assert traces == {"single": trace, "own": own_trace, "batch": trace, "own2": own_trace}
