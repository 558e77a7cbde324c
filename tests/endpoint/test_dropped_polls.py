"""Clients that drop their long polls anyhow and anywhere, under load: nothing stays hidden."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import threading
import urllib.parse

import pytest
from support.endpoints import Endpoint
from support.queues import Queue
from support.waiting import eventually

CLIENTS = 24
POLLS = 12
MESSAGES = 400


def poll_and_drop(endpoint: Endpoint, queue: Queue, chance: random.Random) -> None:
    """One long poll, whose answer is not read to its end."""
    address = urllib.parse.urlsplit(endpoint.url)
    body = json.dumps({"QueueUrl": queue.url, "WaitTimeSeconds": 20, "MaxNumberOfMessages": chance.randint(1, 10)})
    head = f"POST / HTTP/1.1\r\nHost: {address.netloc}\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        how = chance.choice(
            ["half a request", "at once", "later", "at the answer", "in the answer", "shut down", "reset"]
        )
        line.sendall(request[: len(request) // 2] if how == "half a request" else request)
        if how in ("later", "shut down"):
            line.settimeout(chance.random() * 0.05)
        # Until something comes, or not as long. What is read is never the whole answer: its head alone is longer.
        if how not in ("half a request", "at once"):
            with contextlib.suppress(socket.timeout):
                line.recv(chance.randint(1, 100), 0 if how == "in the answer" else socket.MSG_PEEK)
        if how == "shut down":
            line.shutdown(socket.SHUT_RDWR)
        if how == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("seed", range(2))
def test_nothing_stays_hidden(ours: Endpoint, ours_queue: Queue, seed: int) -> None:
    queue = ours_queue
    broken: list[Exception] = []

    def client(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        try:
            for _ in range(POLLS):
                poll_and_drop(ours, queue, chance)
        except Exception as error:
            broken.append(error)

    threads = [threading.Thread(target=client, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for start in range(0, MESSAGES, 10):
        entries = [{"Id": str(i), "MessageBody": f"{start + i}"} for i in range(10)]
        queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    for thread in threads:
        thread.join()
    assert not broken, broken
    # Far sooner than the visibility timeout, which is 30 s.
    eventually(lambda: queue.counts() == (MESSAGES, 0), f"{queue.counts()} of {MESSAGES}", deadline_secs=15)
    messages = queue.take(MESSAGES)
    assert {message["Body"] for message in messages} == {str(i) for i in range(MESSAGES)}
    counts = {message["Attributes"]["ApproximateReceiveCount"] for message in messages}
    assert counts == {"1"}, "nobody has seen any before"
