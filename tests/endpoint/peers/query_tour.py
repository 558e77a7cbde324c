"""Every operation once through a boto3 that speaks the Query protocol: ``query_tour.py URL PREFIX``.

boto3 checks MD5s and parses by its own model, so that what is compared here is what its users get.
"""

import json
import re
import sys
import typing
import xml.etree.ElementTree as xml

import boto3
from botocore.exceptions import ClientError

URL, PREFIX = sys.argv[1:]
sqs = boto3.client(
    "sqs", endpoint_url=URL, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
)
assert sqs.meta.service_model.metadata["protocol"] == "query"
seen = set()
NAMESPACE = sqs.meta.service_model.metadata["xmlNamespace"]


def look(model: typing.Any, http_response: typing.Any, **_: typing.Any) -> None:
    """Count the operations, and look at what no parser looks at."""
    assert http_response.headers["content-type"] == "text/xml"
    answer = Element.of(xml.fromstring(http_response.text))
    if http_response.status_code != 200:
        assert answer.name == "ErrorResponse"
        return
    seen.add(model.name)
    assert answer.name == f"{model.name}Response", answer.name
    request_id = answer.take("ResponseMetadata").take("RequestId")
    assert request_id.text == http_response.headers["x-amzn-requestid"]
    if model.output_shape is not None:
        check(model.output_shape, answer.take(model.output_shape.serialization["resultWrapper"]), model.name)
    assert answer.below == [], f"{model.name} has more than the model"


class Element:
    """An element of XML, from which is taken what the model knows."""

    def __init__(self, name: str, text: str, below: list) -> None:
        self.name, self.text, self.below = name, text, below

    @classmethod
    def of(cls, element: xml.Element) -> "Element":
        """An element as it was parsed."""
        assert element.tag.startswith(f"{{{NAMESPACE}}}"), element.tag
        below = [cls.of(child) for child in element]
        return cls(element.tag[len(NAMESPACE) + 2 :], element.text or "", below)

    def take_all(self, name: str) -> list:
        """All elements of a name, out of those that are left."""
        found = [element for element in self.below if element.name == name]
        self.below = [element for element in self.below if element.name != name]
        return found

    def take(self, name: str) -> "Element":
        """The only element of a name."""
        (found,) = self.take_all(name)
        return found


def check(shape: typing.Any, element: Element, path: str) -> None:
    """Whether an element is what the model says: all of the members that must be, none that it has not."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            here = f"{path}.{name}"
            is_flat = member.serialization.get("flattened", False)
            known = member.serialization.get("name", name)
            if is_flat and member.type_name == "list":
                known = member.member.serialization.get("name", known)
            found = element.take_all(known)
            assert found or name not in shape.required_members or is_flat, f"{here} lacks"
            assert is_flat or len(found) <= 1, f"{here} is there twice"
            for one in found:
                if is_flat and member.type_name == "list":
                    check(member.member, one, here)
                elif is_flat:
                    check(member.key, one.take(member.key.serialization.get("name", "key")), here)
                    check(member.value, one.take(member.value.serialization.get("name", "value")), here)
                    assert one.below == [], f"{here} has more than the model"
                else:
                    check(member, one, here)
        assert element.below == [], f"{path} has members that the model has not: {[e.name for e in element.below]}"
        return
    assert element.below == [], f"{path} is no {shape.type_name}"
    form = {"integer": r"-?\d+", "long": r"-?\d+", "boolean": "true|false", "blob": r"[A-Za-z0-9+/]+=*"}
    assert re.fullmatch(form.get(shape.type_name, ".*"), element.text, re.DOTALL), f"{path}: {element.text!r}"
    if path.endswith("Timestamp"):
        # The model has no timestamps: they are milliseconds, as numbers.
        assert len(element.text) == 13, f"{path}: {element.text!r}"


def refusal(call: typing.Callable[..., typing.Any], **parameters: typing.Any) -> str:
    """The code with which a call is refused."""
    try:
        call(**parameters)
    except ClientError as error:
        answer = error.response
    else:
        raise AssertionError("not refused")
    assert answer["Error"]["Type"] == "Sender"
    assert answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["RequestId"]
    return str(answer["Error"]["Code"])


sqs.meta.events.register("after-call.sqs.*", look)


def queues() -> None:
    """Queues, their attributes and tags."""
    dead = sqs.create_queue(QueueName=f"{PREFIX}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    tags = {"<a>": "b & c", "Messages": ""}
    url = sqs.create_queue(QueueName=PREFIX, Attributes={"RedrivePolicy": policy}, tags=tags)["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == tags
    sqs.tag_queue(QueueUrl=url, Tags={"d": "e"})
    sqs.untag_queue(QueueUrl=url, TagKeys=list(tags))
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"d": "e"}
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=dead)
    assert sqs.get_queue_url(QueueName=PREFIX)["QueueUrl"] == url
    assert sqs.list_queues(QueueNamePrefix=PREFIX)["QueueUrls"] == [url, dead]
    page = sqs.list_queues(QueueNamePrefix=PREFIX, MaxResults=1)
    rest = sqs.list_queues(QueueNamePrefix=PREFIX, MaxResults=1, NextToken=page["NextToken"])
    assert page["QueueUrls"] + rest["QueueUrls"] == [url, dead]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="no such queue")
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    assert "queueUrls" not in sqs.list_dead_letter_source_queues(QueueUrl=url)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "9", "DelaySeconds": "0"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "9"
    assert json.loads(attributes["RedrivePolicy"]) == json.loads(policy)
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url)
    sqs.purge_queue(QueueUrl=url)
    for each in (url, dead):
        sqs.delete_queue(QueueUrl=each)
    code = "AWS.SimpleQueueService.NonExistentQueue"
    assert refusal(sqs.get_queue_url, QueueName=PREFIX) == code
    assert refusal(sqs.receive_message, QueueUrl=url) == code


def messages() -> None:
    """Messages of all kinds, one by one and in batches."""
    url = sqs.create_queue(QueueName=f"{PREFIX}-messages")["QueueUrl"]
    attributes = {
        "text": {"DataType": "String", "StringValue": "äöü & \N{SNOWMAN}"},
        "number": {"DataType": "Number.int", "StringValue": "-12"},
        "bytes": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    body = "quotes \" ' and <&> \\ tabs \t lines \r\n and \U0001d11e ]]> &amp; 100%+"
    sent = sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageAttributes=attributes, MessageSystemAttributes=trace, DelaySeconds=0
    )
    options = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["text", "number", "b.*"]}
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=60, WaitTimeSeconds=1, **options)["Messages"]
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == body
    assert {name: message["MessageAttributes"][name] for name in ("text", "number")} == {
        name: attributes[name] for name in ("text", "number")
    }
    assert message["Attributes"]["AWSTraceHeader"] == "Root=1"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    entries = [{"Id": str(i), "MessageBody": f"{i}", "MessageAttributes": attributes} for i in range(9)]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=[*entries, {"Id": "bad", "MessageBody": "\x01"}])
    assert [entry["Id"] for entry in answer["Successful"]] == [entry["Id"] for entry in entries]
    (failed,) = answer["Failed"]
    assert (failed["Id"], failed["SenderFault"], failed["Code"]) == ("bad", True, "InvalidMessageContents")
    received = sqs.receive_message(QueueUrl=url, **options)["Messages"]
    assert {message["Body"] for message in received} == {str(i) for i in range(9)}
    handles = [{"Id": message["Body"], "ReceiptHandle": message["ReceiptHandle"]} for message in received]
    changes = [{**handle, "VisibilityTimeout": 30} for handle in handles]
    answer = sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)
    assert (len(answer["Successful"]), answer.get("Failed", [])) == (9, [])
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=[*handles, {"Id": "bad", "ReceiptHandle": "x"}])
    assert (len(answer["Successful"]), answer["Failed"][0]["Code"]) == (9, "ReceiptHandleIsInvalid")

    prefix = "AWS.SimpleQueueService."
    assert refusal(sqs.send_message, QueueUrl=url, MessageBody="\x01") == "InvalidMessageContents"
    assert refusal(sqs.send_message_batch, QueueUrl=url, Entries=[]) == f"{prefix}EmptyBatchRequest"
    assert refusal(sqs.delete_message, QueueUrl=url, ReceiptHandle="x") == "ReceiptHandleIsInvalid"
    many = [{"Id": str(i), "MessageBody": "x"} for i in range(11)]
    assert refusal(sqs.send_message_batch, QueueUrl=url, Entries=many) == f"{prefix}TooManyEntriesInBatchRequest"
    assert refusal(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11) == "InvalidParameterValue"


def fifo() -> None:
    """Order, groups and deduplication."""
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName=f"{PREFIX}.fifo", Attributes=attributes)["QueueUrl"]
    sent = [sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g") for body in ("a", "b", "a")]
    assert sent[0]["SequenceNumber"] == sent[2]["SequenceNumber"] < sent[1]["SequenceNumber"]
    entries = [{"Id": "c", "MessageBody": "c", "MessageGroupId": "g", "MessageDeduplicationId": "<c>"}]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    options = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], "ReceiveRequestAttemptId": "attempt"}
    received = sqs.receive_message(QueueUrl=url, **options)["Messages"]
    assert [message["Body"] for message in received] == ["a", "b", "c"]
    assert received[2]["Attributes"]["MessageDeduplicationId"] == "<c>"
    assert sqs.receive_message(QueueUrl=url, **options)["Messages"] == received


def permissions() -> None:
    """Permissions, as the policy shows them."""
    url = sqs.create_queue(QueueName=f"{PREFIX}-permissions")["QueueUrl"]
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111122223333"], Actions=["SendMessage", "*"])
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    (statement,) = json.loads(policy)["Statement"]
    assert (statement["Sid"], statement["Action"]) == ("l", ["SQS:SendMessage", "SQS:*"])
    sqs.remove_permission(QueueUrl=url, Label="l")
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])


def moves() -> None:
    """Dead letters move back to where they came from."""
    dead = sqs.create_queue(QueueName=f"{PREFIX}-moved")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "0"}
    url = sqs.create_queue(QueueName=f"{PREFIX}-mover", Attributes=attributes)["QueueUrl"]
    assert "Results" not in sqs.list_message_move_tasks(SourceArn=arn)
    entries = [{"Id": str(i), "MessageBody": f"{i}"} for i in range(5)]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    names = ["ApproximateNumberOfMessages"]
    while sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=names)["Attributes"][names[0]] != "5":
        sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    (letter,) = sqs.receive_message(QueueUrl=dead, AttributeNames=["All"], VisibilityTimeout=0)["Messages"]
    assert letter["Attributes"]["DeadLetterQueueSourceArn"].endswith(f":{PREFIX}-mover")
    handle = sqs.start_message_move_task(SourceArn=arn, MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    assert refusal(sqs.start_message_move_task, SourceArn=arn) == "InvalidParameterValue"
    (task,) = sqs.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["TaskHandle"], task["Status"], task["SourceArn"]) == (handle, "RUNNING", arn)
    assert task["ApproximateNumberOfMessagesToMove"] == 5
    assert sqs.cancel_message_move_task(TaskHandle=handle)["ApproximateNumberOfMessagesMoved"] <= 5
    (task,) = sqs.list_message_move_tasks(SourceArn=arn, MaxResults=10)["Results"]
    assert task["Status"] in ("CANCELLED", "COMPLETED")
    code = "ResourceNotFoundException"
    assert refusal(sqs.start_message_move_task, SourceArn=f"{arn}x") == code


queues()
messages()
fifo()
permissions()
moves()
print(*sorted(seen))
