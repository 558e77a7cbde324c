"""What our worker is held against: a consumer written by hand on boto3, and the bare functions without any queue.

    python bench/loop.py QUEUE --concurrency 2      # processes that receive tens, run them and delete them in a batch
    python bench/loop.py --bare threads --concurrency 100 --secs 5 bench_tasks.rest 0.01

The first runs until SIGTERM; the second prints how many calls it made a second. The loop checks nothing, renews no
visibility timeout, and loses what it was working on when a call raises: it is as fast as such a loop can be.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import multiprocessing
import signal
import threading
import time
from functools import partial
from typing import Any, Callable


def function_of(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def consume(queue: str) -> None:
    import boto3  # type: ignore[import-untyped, import-not-found, unused-ignore]  # the bare functions need none

    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    while True:
        messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=20).get("Messages", [])
        for message in messages:
            call = json.loads(message["Body"])
            function_of(call["task"])(*call["args"], **call["kwargs"])
        if messages:
            entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
            client.delete_message_batch(QueueUrl=url, Entries=entries)


def calls_until(ends: float, call: Callable[[], object]) -> int:
    done = 0
    while time.monotonic() < ends:
        call()
        done += 1
    return done


def in_workers(kind: Callable[..., Any], counts: Any, ends: float, call: Callable[[], object]) -> int:
    def work(at: int) -> None:
        counts[at] = calls_until(ends, call)

    workers = [kind(target=work, args=[at]) for at in range(len(counts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return int(sum(counts))


def in_processes(ends: float, call: Callable[[], object], concurrency: int) -> int:
    context = multiprocessing.get_context("fork")
    return in_workers(context.Process, context.Array("q", concurrency), ends, call)


def in_threads(ends: float, call: Callable[[], object], concurrency: int) -> int:
    return in_workers(threading.Thread, [0] * concurrency, ends, call)


def in_coroutines(ends: float, call: Callable[[], Any], concurrency: int) -> int:
    async def work() -> int:
        done = 0
        while time.monotonic() < ends:
            await call()
            done += 1
        return done

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(work() for _ in range(concurrency))))

    return asyncio.run(all_of_them())


BARE = {"processes": in_processes, "threads": in_threads, "async": in_coroutines}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", help="a queue; with --bare, a function and its numbers")
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--bare", choices=BARE)
    parser.add_argument("--secs", type=float, default=5)
    options = parser.parse_args()
    first, *rest = options.what
    if options.bare:
        call = partial(function_of(first), *map(float, rest))
        began = time.monotonic()
        done = BARE[options.bare](began + options.secs, call, options.concurrency)
        print(done / (time.monotonic() - began))
        return
    workers = [
        multiprocessing.get_context("fork").Process(target=consume, args=[first]) for _ in range(options.concurrency)
    ]
    for worker in workers:
        worker.start()

    def stop(*_: object) -> None:
        for worker in workers:
            worker.kill()

    signal.signal(signal.SIGTERM, stop)
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
