"""One sender of the `send` benchmark: sends no-op calls and prints what it took, as JSON.

    python send_calls.py (boto3|delay|delay_many) MESSAGES THREADS

Works in its own process, so that its CPU time is the sending's alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

QUEUE = "bench-send"


def boto3_sender() -> Callable[[int], None]:
    """As a program sends that has no task queue, with one client for all its threads."""
    import boto3

    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]

    def send(count: int) -> None:
        for number in range(count):
            body = json.dumps({"task": "bench_tasks.send", "args": [number, "ada@example.org"], "kwargs": {}})
            client.send_message(QueueUrl=url, MessageBody=body)

    return send


def declared_task() -> Any:
    from pyqs import task

    def send_email(number: int, to: str = "everyone") -> None:
        """Never run."""

    return task(queue=QUEUE)(send_email)


def delay_sender() -> Callable[[int], None]:
    delay = declared_task().delay

    def send(count: int) -> None:
        for number in range(count):
            delay(number, "ada@example.org")

    return send


def many_sender() -> Callable[[int], None]:
    delay_many = declared_task().delay_many

    def items(count: int) -> Iterator[tuple[int, str]]:
        for number in range(count):
            yield number, "ada@example.org"

    def send(count: int) -> None:
        results = delay_many(items(count))
        failed = [result for result in results if isinstance(result, Exception)]
        if failed or len(results) != count:
            raise SystemExit(f"{len(failed)} of {count} messages were not sent: {failed[:1]}")

    return send


SENDERS = {"boto3": boto3_sender, "delay": delay_sender, "delay_many": many_sender}


def main(kind: str, messages: int, threads: int) -> None:
    send = SENDERS[kind]()
    send(20)  # connections, caches
    each = messages // threads
    began, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        send(each)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(send, [each] * threads))
    cpu = time.process_time() - cpu  # of all its threads
    secs = time.perf_counter() - began
    sent = each * threads
    print(json.dumps({"messages_a_sec": sent / secs, "cpu_micros_a_message": cpu / sent * 1e6}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
