"""``pyqs.testing.endpoint``: an SQS of a test's own, in its process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from typing import Any

import boto3
import pyqs
import pytest
from pyqs import _producer, task
from pyqs.errors import SettingsInvalid
from pyqs.testing import eager, endpoint


@task(queue="email")
def send_email(subject: str, to: str = "everyone") -> None: ...


def received(queue: str, count: int = 10) -> list[dict[str, Any]]:
    """What boto3 finds in a queue, by the environment alone."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, MessageAttributeNames=["All"])
    return answer.get("Messages", [])


def test_pyqs_and_boto3_meet_there() -> None:
    with endpoint() as sqs:
        message_id = send_email.delay("Hello", to="ada@example.org")
        (message,) = received("email")

        assert message["MessageId"] == message_id
        assert json.loads(message["Body"])["args"] == ["Hello"]
        assert [sent.id for sent in sqs.sent("email")] == [message_id]
        sqs.assert_sent(send_email, "Hello", "ada@example.org")


def test_all_ways_of_sending_are_kept() -> None:
    with endpoint() as sqs:
        send_email.apply_async(["a"], headers={"tenant": "x"}, countdown=3)
        send_email.delay_many([("b",), ("c",)])
        asyncio.run(_adelay("d"))
        assert [sent.args for sent in sqs.sent()] == [["a"], ["b"], ["c"], ["d"]]
        assert (sqs.sent()[0].attributes, sqs.sent()[0].delay_seconds) == ({"tenant": "x"}, 3)
        assert len(received("email")) == 3


async def _adelay(subject: str) -> str:
    return await send_email.adelay(subject)


def test_queues_are_there_at_the_start() -> None:
    with endpoint(queues=["email", "orders.fifo"]) as sqs:
        found = boto3.client("sqs").list_queues()["QueueUrls"]
        assert found == [f"{sqs.url}/000000000000/{name}" for name in ("email", "orders.fifo")]
    with pytest.raises(SettingsInvalid, match="with space"):
        endpoint(queues=["with space"]).__enter__()


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("AWS_REGION", raising=False)
    before = dict(os.environ)
    with endpoint(region="eu-west-1") as sqs:
        assert os.environ["AWS_ENDPOINT_URL_SQS"] == sqs.url
        assert "AWS_PROFILE" not in os.environ
        assert "AWS_SESSION_TOKEN" not in os.environ
        assert boto3.client("sqs").meta.region_name == "eu-west-1"
        send_email.delay("Hello")
        assert len(received("email")) == 1
    assert dict(os.environ) == before
    assert _producer._in_tests is None


def test_configure_does_not_lead_elsewhere() -> None:
    with endpoint() as sqs:
        pyqs.configure(endpoint_url="http://127.0.0.1:9")
        send_email.delay("Hello")
        assert len(sqs.sent()) == 1
    pyqs.configure()


def test_each_has_its_own_queues_and_leaves_no_threads() -> None:
    threads = set(os.listdir("/proc/self/task"))
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with endpoint() as sqs:
            send_email.delay("Hello")
            with endpoint() as inner:
                send_email.delay("inner")
                assert len(inner.sent()) == len(received("email")) == 1
            send_email.delay("again")
            assert len(sqs.sent()) == len(received("email")) == 2
    assert set(os.listdir("/proc/self/task")) == threads
    # boto3's clients keep their connections until they are collected.
    assert len(os.listdir("/proc/self/fd")) < files + 20


def test_eager_within_it_sends_nothing() -> None:
    with endpoint(queues=["email"]) as sqs:
        with eager() as tasks:
            send_email.delay("Hello")
        assert (len(tasks.runs), sqs.sent(), received("email")) == (1, [], [])


def test_other_services_are_left_alone() -> None:
    with endpoint():
        assert boto3.client("s3", region_name="us-east-1").meta.endpoint_url == "https://s3.amazonaws.com"


def test_programs_that_are_started_find_it() -> None:
    code = "import pyqs\n@pyqs.task(queue='email')\ndef f(): ...\nprint(f.delay())"
    with endpoint():
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert received("email")[0]["MessageId"] == printed.strip()


def test_forked_children_send_there_and_stop_nothing() -> None:
    leaving = endpoint()
    with leaving:
        send_email.delay("parent")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                send_email.delay("child")
                leaving.__exit__(None, None, None)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        assert sorted(json.loads(message["Body"])["args"][0] for message in received("email")) == ["child", "parent"]


def test_threads_send_there() -> None:
    with endpoint() as sqs:
        threads = [threading.Thread(target=send_email.delay, args=(str(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(sqs.sent(task=send_email)) == 8
