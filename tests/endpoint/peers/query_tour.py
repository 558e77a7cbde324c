"""Every operation once through a boto3 that speaks the Query protocol: ``query_tour.py URL PREFIX``.

boto3 checks MD5s and parses by its own model, so that what is compared here is what its users get.
"""

import json
import sys
import typing

import boto3
from botocore.exceptions import ClientError

URL, PREFIX = sys.argv[1:]
sqs = boto3.client(
    "sqs", endpoint_url=URL, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
)
assert sqs.meta.service_model.metadata["protocol"] == "query"
seen = set()


def look(model: typing.Any, http_response: typing.Any, **_: typing.Any) -> None:
    """Count the operations, and look at what no parser looks at."""
    assert http_response.headers["content-type"] == "text/xml"
    assert f'xmlns="{model.service_model.metadata["xmlNamespace"]}"' in http_response.text
    seen.add(model.name)


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


queues()
messages()
fifo()
print(*sorted(seen))
