"""Our endpoint on a disk that is really full: a small file system of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest
from support.endpoints import clean_environment, pyqs_command
from support.processes import Process
from support.waiting import eventually

DISK = "32m"
BODY = "x" * 20_000
# In a mount namespace of its own, so that root is not needed and nothing is left mounted. A second endpoint follows
# the first on the same disk.
SCRIPT = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && { "$@"; exec "$@"; }'
ENTER = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Process]:
    probe = subprocess.run([*ENTER, SCRIPT, DISK, str(tmp_path), "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        reason = f"no file system can be mounted here: {probe.stderr}; pyqs-local's engine tests have a full store"
        pytest.skip(reason)
    command = [*pyqs_command(), "local", "--port", "0", "--data", str(tmp_path / "data")]
    process = Process([*ENTER, SCRIPT, DISK, str(tmp_path), *command], env=clean_environment())
    yield process
    process.kill()


def new_client(process: Process, start: int = 1) -> Any:
    found = process.wait_for(r"AWS_ENDPOINT_URL=(\S+)", start)
    return boto3.client(
        "sqs",
        endpoint_url=found.group(1),
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def refusal(client: Any, queue: str, body: str) -> Any:
    """Send a message: nothing, or what is answered instead."""
    try:
        client.send_message(QueueUrl=queue, MessageBody=body)
    except botocore.exceptions.ClientError as error:
        return error.response
    return None


def fill(client: Any, queue: str) -> int:
    """Send until the endpoint refuses; how many messages it has taken."""
    sent = 0
    while not (refused := refusal(client, queue, BODY)):
        sent += 1
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "disk" in refused["Error"]["Message"]
    return sent


def can_send(client: Any, queue: str) -> bool:
    return refusal(client, queue, "after") is None


def take(client: Any, queue: str) -> int:
    messages = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        assert message["Body"] == BODY
        client.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=1000)
    entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
    if entries:
        assert not client.delete_message_batch(QueueUrl=queue, Entries=entries).get("Failed")
    return len(messages)


def test_a_full_disk_refuses_sends_and_the_rest_goes_on(endpoint: Process) -> None:
    client = new_client(endpoint)
    queue = client.create_queue(QueueName="email")["QueueUrl"]
    sent = fill(client, queue)
    assert sent > 100
    taken = 0
    # All that was answered is there, and nothing of what was refused.
    while count := take(client, queue):
        taken += count
    assert taken == sent
    # The room in the file is used again.
    eventually(lambda: can_send(client, queue))


def test_what_is_there_is_received_and_deleted_when_others_fill_the_disk(endpoint: Process, tmp_path: Path) -> None:
    client = new_client(endpoint)
    queue = client.create_queue(QueueName="email")["QueueUrl"]
    for _ in range(100):
        client.send_message(QueueUrl=queue, MessageBody=BODY)
    (server,) = endpoint.children()
    ballast = Path(f"/proc/{server}/root{tmp_path}/ballast")
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert fill(client, queue) < 10
    assert sum(iter(lambda: take(client, queue), 0)) >= 100
    ballast.unlink()
    eventually(lambda: can_send(client, queue))


def test_purge_and_restart_on_a_full_disk(endpoint: Process) -> None:
    client = new_client(endpoint)
    purged, kept = (client.create_queue(QueueName=name)["QueueUrl"] for name in ("purged", "kept"))
    for _ in range(100):
        client.send_message(QueueUrl=kept, MessageBody=BODY)
    fill(client, purged)
    client.purge_queue(QueueUrl=purged)
    assert take(client, kept) == 10
    (server,) = endpoint.children()
    os.kill(server, signal.SIGKILL)

    client = new_client(endpoint, 2)
    purged, kept = (client.get_queue_url(QueueName=name)["QueueUrl"] for name in ("purged", "kept"))
    assert take(client, purged) == 0
    assert sum(iter(lambda: take(client, kept), 0)) == 90
    eventually(lambda: can_send(client, kept))
