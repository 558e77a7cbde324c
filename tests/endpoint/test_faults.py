"""Faults that the endpoint injects when asked: what a client sees, and what was done."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from support.endpoints import Endpoint, clean_environment, pyqs_command
from support.faults import FaultyEndpoint
from support.processes import Process, one_line
from support.queues import Queue, new_name


class Faulty(FaultyEndpoint):
    """An endpoint whose faults are changed by the test, with a client that tries everything once."""

    @property
    def once(self) -> Any:
        return boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with Faulty(tmp_path_factory.mktemp("faults")) as faulty:
        yield faulty


@pytest.fixture
def queue(faulty: Faulty) -> Queue:
    faulty.inject()
    return Queue(faulty.once, new_name())


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("error", 500, "InternalFailure"),
        ("throttle", 400, "Throttling"),
        ("expired", 403, "ExpiredToken"),
    ],
)
def test_refusals_with_nothing_done(faulty: Faulty, queue: Queue, kind: str, status: int, code: str) -> None:
    before = faulty.injected("SendMessage", kind)
    faulty.inject("# a comment", "", f"SendMessage:{kind}")
    with pytest.raises(ClientError) as error:
        queue.send("x")
    assert refusal(error)[0] == status
    assert code in refusal(error)[1]
    assert queue.counts() == (0, 0), "other actions are not hit"
    faulty.inject()
    queue.send("y")
    assert queue.counts() == (1, 0)
    assert faulty.injected("SendMessage", kind) == before + 1


def test_boto3_retries_what_it_should(faulty: Faulty, queue: Queue) -> None:
    patient = faulty.client()
    for kind in ("error", "throttle", "drop-before"):
        faulty.inject(f"SendMessage:{kind}:0.3")
        for _ in range(5):
            patient.send_message(QueueUrl=queue.url, MessageBody=kind)
    assert queue.counts() == (15, 0)


def test_a_connection_dropped_before_the_work(faulty: Faulty, queue: Queue) -> None:
    faulty.inject("SendMessage:drop-before")
    with pytest.raises(ConnectionClosedError):
        queue.send("x")
    faulty.inject()
    assert queue.counts() == (0, 0)


def test_a_connection_dropped_after_the_work(faulty: Faulty, queue: Queue) -> None:
    faulty.inject("SendMessage:drop-after")
    with pytest.raises(ConnectionClosedError):
        queue.send("x")
    faulty.inject()
    assert queue.counts() == (1, 0)


def test_a_receive_dropped_after_the_work_hides_the_messages_as_sqs_does(faulty: Faulty, queue: Queue) -> None:
    queue.send("x")
    faulty.inject("ReceiveMessage:drop-after")
    with pytest.raises(ConnectionClosedError):
        queue.receive()
    faulty.inject()
    assert queue.counts() == (0, 1)
    assert queue.receive(wait_secs=1) == []


def test_entries_fail_one_by_one(faulty: Faulty, queue: Queue) -> None:
    entries = [{"Id": str(i), "MessageBody": str(i)} for i in range(10)]
    faulty.inject("*:partial:0.5")
    answer = queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    failed = answer["Failed"]
    assert 0 < len(failed) < 10
    assert {(entry["Code"], entry["SenderFault"]) for entry in failed} == {("InternalError", False)}
    names = sorted(entry["Id"] for entry in [*failed, *answer["Successful"]])
    assert names == [entry["Id"] for entry in entries]
    assert queue.counts() == (len(answer["Successful"]), 0)
    faulty.inject("SendMessageBatch:partial")
    answer = queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert len(answer["Failed"]) == 10
    assert not answer.get("Successful")


def test_delays_are_before_or_after_the_work(faulty: Faulty, queue: Queue) -> None:
    faulty.inject("SendMessage:delay-before=400", "SendMessage:delay-after=300")
    before = Process(
        [*pyqs_command(), "send", queue.name, "tasks.work", "--endpoint-url", faulty.url],
        env=faulty.environment,
    )
    assert before.wait() == 0, before.output
    for kind in ("delay-before", "delay-after"):
        assert faulty.injected("SendMessage", kind) >= 1
    assert queue.counts() == (1, 0)


def test_old_programs_are_told_in_xml(faulty: Faulty, queue: Queue) -> None:
    faulty.inject("SendMessage:throttle")
    body = b"Action=SendMessage&MessageBody=x&QueueUrl=" + queue.url.encode()
    request = urllib.request.Request(queue.url, data=body)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert b"<Code>Throttling</Code>" in error.value.read()


def test_a_seed_hits_the_same_requests(tmp_path: Path) -> None:
    def fates(seed: str) -> list[bool]:
        with Faulty(tmp_path, "--fault", "ListQueues:error:0.5", "--fault-seed", seed) as faulty:
            client, found = faulty.once, []
            for _ in range(20):
                try:
                    client.list_queues()
                    found.append(True)
                except ClientError:
                    found.append(False)
            return found

    first = fates("7")
    assert len(set(first)) == 2
    assert fates("7") == first
    assert fates("8") != first


def test_a_file_that_cannot_be_read_is_told_of(faulty: Faulty, queue: Queue) -> None:
    faulty.inject("Receive:error")
    with pytest.raises(ClientError, match='"Receive" is not an SQS action'):
        queue.counts()
    faulty.inject()
    assert queue.counts() == (0, 0)


def test_without_the_options_nothing_of_it_is_there(ours: Endpoint) -> None:
    with urllib.request.urlopen(f"{ours.url}/metrics") as answer:
        assert b"fault" not in answer.read()


def test_a_wrong_fault_is_refused_at_the_start() -> None:
    process = Process([*pyqs_command(), "local", "--memory", "--fault", "*:oops"], env=clean_environment())
    assert process.wait() == 2
    assert '"oops" is not a kind of fault' in process.output
    assert one_line(process.output.splitlines()[0])
