"""Programs that people point at SQS, at work on our endpoint; none of them knows that it is not AWS's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.endpoints import Endpoint
from support.peers import node_peer, python_peer
from support.processes import Process
from support.queues import Queue, new_name

PEERS = Path(__file__).parent / "peers"


def run(argv: list[str], environment: dict[str, str], **options: Any) -> str:
    """What a program that succeeds prints."""
    done = subprocess.run(argv, env=environment, text=True, capture_output=True, check=False, **options)
    assert done.returncode == 0, f"{argv}: {done.stderr}\n{done.stdout}"
    return done.stdout


def test_boto3s_resources(ours: Endpoint) -> None:
    sqs = boto3.resource(
        "sqs",
        endpoint_url=ours.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    name = new_name()
    queue = sqs.create_queue(QueueName=name, Attributes={"DelaySeconds": "0"})
    assert sqs.get_queue_by_name(QueueName=name).url == queue.url
    assert [found.url for found in sqs.queues.filter(QueueNamePrefix=name)] == [queue.url]
    assert queue.attributes["QueueArn"].endswith(name)
    queue.set_attributes(Attributes={"VisibilityTimeout": "99"})
    queue.reload()
    assert queue.attributes["VisibilityTimeout"] == "99"
    attributes = {"kind": {"DataType": "String", "StringValue": "greeting"}}
    queue.send_message(MessageBody="hello", MessageAttributes=attributes)
    (message,) = queue.receive_messages(MessageAttributeNames=["All"])
    assert (message.body, message.message_attributes) == ("hello", attributes)
    message.change_visibility(VisibilityTimeout=0)
    (message,) = queue.receive_messages()
    message.delete()
    queue.send_messages(Entries=[{"Id": str(i), "MessageBody": str(i)} for i in range(10)])
    messages = queue.receive_messages(MaxNumberOfMessages=10)
    answer = queue.delete_messages(
        Entries=[{"Id": m.body, "ReceiptHandle": m.receipt_handle} for m in messages],
    )
    assert len(answer["Successful"]) == 10
    queue.purge()
    queue.delete()
    with pytest.raises(sqs.meta.client.exceptions.QueueDoesNotExist):
        sqs.get_queue_by_name(QueueName=name)


def test_the_aws_command_line(ours: Endpoint) -> None:
    program = python_peer("awscli", PEERS / "awscli.txt") / "aws"

    def aws(*words: str) -> Any:
        return json.loads(
            run([str(program), "--endpoint-url", ours.url, "--output", "json", "sqs", *words], ours.environment) or "{}"
        )

    name = new_name()
    url = aws("create-queue", "--queue-name", name, "--attributes", "VisibilityTimeout=33")["QueueUrl"]
    sent = aws("send-message", "--queue-url", url, "--message-body", "hello & <world>")
    (message,) = aws("receive-message", "--queue-url", url, "--attribute-names", "All")["Messages"]
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "hello & <world>")
    aws("delete-message", "--queue-url", url, "--receipt-handle", message["ReceiptHandle"])
    words = ("get-queue-attributes", "--queue-url", url, "--attribute-names", "All")
    assert aws(*words)["Attributes"]["VisibilityTimeout"] == "33"
    aws("delete-queue", "--queue-url", url)
    lost = [str(program), "--endpoint-url", ours.url, "sqs", "get-queue-url", "--queue-name", name]
    refused = subprocess.run(lost, env=ours.environment, text=True, capture_output=True, check=False)
    assert refused.returncode != 0
    assert "AWS.SimpleQueueService.NonExistentQueue" in refused.stderr


def test_the_aws_command_line_finds_the_endpoint_by_itself(ours: Endpoint) -> None:
    """AWS_ENDPOINT_URL is all that it needs.

    Version 1 has host names of its own for SQS in Amazon's regions, and looks there whatever the variable says; in
    another region it does look. Version 2 has no such names, but is in no package index.
    """
    program = python_peer("awscli", PEERS / "awscli.txt") / "aws"
    name = new_name()
    environment = {**ours.environment, "AWS_DEFAULT_REGION": "local"}
    created = run([str(program), "--output", "json", "sqs", "create-queue", "--queue-name", name], environment)
    assert json.loads(created)["QueueUrl"] == f"{ours.url}/000000000000/{name}"


def test_the_javascript_sdk(ours: Endpoint) -> None:
    folder = node_peer("javascript", PEERS / "javascript" / "package.json")
    tour = ["node", str(PEERS / "javascript" / "tour.mjs"), ours.url, new_name()]
    assert "done" in run(tour, ours.environment, cwd=folder)


def test_celery_sends_and_consumes(ours: Endpoint) -> None:
    programs = python_peer("celery", PEERS / "celery.txt")
    queue = Queue(ours.client(), new_name())
    environment = {**ours.environment, "QUEUE": queue.name}
    run([str(programs / "python"), "celery_app.py", *map(str, range(20))], environment, cwd=PEERS)
    assert queue.counts() == (20, 0)
    options = ["--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "info"]
    worker = Process([str(programs / "celery"), "-A", "celery_app", "worker", *options], env=environment, cwd=PEERS)
    try:
        worker.wait_for(r"noted \d+", count=20)
        queue.wait_until_empty()
        noted = {match.group() for match in worker.matches(r"noted \d+")}
        assert noted == {f"noted {number}" for number in range(20)}
        # What is sent while its long poll waits ends the poll.
        run([str(programs / "python"), "celery_app.py", "99"], environment, cwd=PEERS)
        worker.wait_for(r"noted 99")
        queue.wait_until_empty()
    finally:
        worker.kill()


def test_the_original_pyqs_sends_and_consumes(ours: Endpoint, original: list[str], tmp_path: Path) -> None:
    queue = Queue(ours.client(), new_name())
    module = f"""
from pyqs import task

@task(queue="{queue.name}")
def note(number):
    print(f"noted {{number}}", flush=True)
"""
    (tmp_path / "originals_tasks.py").write_text(module)
    environment = {**ours.environment, "PYTHONPATH": str(tmp_path)}
    send = "import originals_tasks; [originals_tasks.note.delay(number) for number in range(20)]"
    run([*original, "-c", send], environment, cwd=tmp_path)
    assert queue.counts() == (20, 0)
    command = [str(Path(original[0]).with_name("pyqs")), queue.name]
    worker = Process(command, env=environment, cwd=tmp_path)
    try:
        worker.wait_for(r"noted \d+", count=20)
        queue.wait_until_empty()
    finally:
        worker.kill()
