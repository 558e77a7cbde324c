"""Our endpoint is killed under load, again and again: what it has answered is there."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest
from support.endpoints import clean_environment, pyqs_command
from support.processes import Process
from support.waiting import eventually

SENDERS = 4
KILLS = int(os.environ.get("PYQS_TEST_KILLS", "5"))


class Load:
    """Threads that send, receive and delete until the endpoint is gone, and write down what it has answered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sent: set[str] = set()
        self.deleting: set[str] = set()
        self.deleted: set[str] = set()
        self.number = 0

    def next_bodies(self) -> list[str]:
        with self.lock:
            self.number += 10
            return [f"message {self.number - i}" for i in range(10)]

    def send(self, client: Any, queue: str) -> None:
        bodies = self.next_bodies()
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
        answer = client.send_message_batch(QueueUrl=queue, Entries=entries)
        with self.lock:
            self.sent.update(bodies[int(entry["Id"])] for entry in answer["Successful"])

    def delete(self, client: Any, queue: str) -> None:
        answer = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=5, VisibilityTimeout=600)
        for message in answer.get("Messages", []):
            with self.lock:
                self.deleting.add(message["Body"])
            client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            with self.lock:
                self.deleted.add(message["Body"])

    def run(self, url: str, queue: str) -> list[threading.Thread]:
        def until_gone(action: Any) -> None:
            client = new_client(url)
            with contextlib.suppress(botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                while True:
                    action(client, queue)

        actions = [self.send] * SENDERS + [self.delete] * 2
        threads = [threading.Thread(target=until_gone, args=[action]) for action in actions]
        for thread in threads:
            thread.start()
        return threads


def new_client(url: str) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def start(folder: Path, sync: str) -> tuple[Process, str]:
    command = [*pyqs_command(), "local", "--port", "0", "--data", str(folder), "--sync", sync]
    process = Process(command, env=clean_environment())
    return process, process.wait_for(r"AWS_ENDPOINT_URL=(\S+)").group(1)


def drain(client: Any, queue: str) -> list[str]:
    """The bodies of all messages."""
    bodies: list[str] = []
    while True:
        messages = client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        if not messages:
            return bodies
        bodies += [message["Body"] for message in messages]
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        client.delete_message_batch(QueueUrl=queue, Entries=entries)


def show_all(folder: Path) -> None:
    """Make messages in flight visible, in the file: their leases have survived and are long."""
    with contextlib.closing(sqlite3.connect(folder / "pyqs.sqlite3")) as database, database:
        database.execute("UPDATE deliveries SET hidden_until = NULL, received_at = NULL")


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_what_was_answered_survives_kill_9(tmp_path: Path, sync: str) -> None:
    load = Load()
    chance = random.Random(sync)
    for _ in range(KILLS):
        process, url = start(tmp_path, sync)
        queue = new_client(url).create_queue(QueueName="email")["QueueUrl"]
        threads = load.run(url, queue)
        enough = len(load.sent) + chance.randrange(100, 600)
        eventually(lambda enough=enough: len(load.sent) >= enough)
        process.kill()
        for thread in threads:
            thread.join()

    show_all(tmp_path)
    process, url = start(tmp_path, sync)
    try:
        client = new_client(url)
        found = drain(client, client.get_queue_url(QueueName="email")["QueueUrl"])
        assert len(found) == len(set(found)), "a message is there twice"
        assert not set(found) & load.deleted, "a deleted message is back"
        # What was being deleted when the endpoint died may be there or gone; nothing else may be missing.
        missing = load.sent - set(found) - load.deleting
        assert not missing, sorted(missing)[:10]
    finally:
        process.kill()


def test_a_second_server_on_the_folder_says_so_in_one_line(tmp_path: Path) -> None:
    process, _ = start(tmp_path, "normal")
    try:
        command = [*pyqs_command(), "local", "--port", "0", "--data", str(tmp_path)]
        second = Process(command, env=clean_environment())
        assert second.wait() == 1
        assert "another server uses" in second.output
    finally:
        process.kill()


def test_a_folder_that_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    process, _ = start(tmp_path / "new", "normal")
    try:
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    finally:
        process.kill()
