"""Beside moto: its in-process mock replaces botocore, which PyQS does not use; its server is one more endpoint."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer
from pyqs import task
from pyqs.testing import Endpoint, eager, endpoint, run_until_empty, worker


@task(queue="reports")
def report(bucket: str) -> str:
    boto3.client("s3", region_name="us-east-1").put_object(Bucket=bucket, Key="report", Body=b"all is well")
    return bucket


def written(bucket: str) -> bytes:
    body: bytes = boto3.client("s3", region_name="us-east-1").get_object(Bucket=bucket, Key="report")["Body"].read()
    return body


@mock_aws
def test_an_endpoint_for_sqs_and_the_mock_for_the_rest() -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="reports")
    with endpoint() as sqs:
        message_id = report.delay("reports")
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName="reports")["QueueUrl"]
        assert url.startswith(sqs.url), "boto3's SQS is ours"
        with worker("reports") as working:
            assert working.wait(message_id).outcome == "succeeded"
    assert written("reports") == b"all is well"


@mock_aws
def test_eager_tasks_and_the_mock() -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="reports")
    with eager():
        report.delay("reports")
    assert written("reports") == b"all is well"


@pytest.fixture
def moto_server() -> Iterator[Endpoint]:
    """As docs/testing.md has it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with endpoint(url=f"http://{host}:{port}", queues=["reports"]) as sqs:
        yield sqs
    server.stop()


def test_motos_server(moto_server: Endpoint) -> None:
    report_queue = boto3.client("sqs").get_queue_url(QueueName="reports")["QueueUrl"]
    assert report_queue.startswith(moto_server.url)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="reports")
        report.delay("reports")
        (run,) = run_until_empty("reports")
        assert run.outcome == "succeeded"
        assert written("reports") == b"all is well"
