"""Tasks with an idempotency key: of several messages with one key, one is run."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from fakeredis import TcpFakeServer
from support.endpoints import Endpoint
from support.processes import Process
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

MODULE = """
import asyncio, os, time
from journal import note, wait_for_gate
from pyqs import Retry, _idempotency, task

_idempotency.AGAIN_SECS = (1.0, 1.0)

@task(queue="{queue}", idempotency_key="order")
def charge(order, value=None):
    note("charged", value=order)

@task(queue="{queue}", idempotency_key="order")
def refund(order, value=None):
    note("refunded", value=order)

@task(queue="{queue}", idempotency_key=lambda order: f"order-{{order}}")
async def charge_async(order):
    await asyncio.sleep(0.01)
    note("charged", value=order)

@task(queue="{queue}", idempotency_key="order")
def wait(order, value=None):
    note("began", value=value)
    wait_for_gate("go")
    note("ended", value=value)

@task(queue="{queue}", idempotency_key="order", retries=2, backoff=[0], bind=True)
def fail_twice(self, order):
    note("tried", value=self.request.retries)
    if self.request.retries < 2:
        raise ValueError("no luck")

@task(queue="{queue}", idempotency_key="order", retries=1, backoff=[0])
async def fail_once_async(order):
    note("tried", value=order)
    if not os.path.exists("tried"):
        open("tried", "w").close()
        raise ValueError("no luck")

@task(queue="{queue}", idempotency_key="order", retries=0)
def fail(order):
    note("tried", value=order)
    raise ValueError("no luck")

@task(queue="{queue}", idempotency_key="order", time_limit=1, retries=1, backoff=[0], bind=True)
def hang(self, order):
    note("tried", value=self.request.retries)
    while self.request.retries == 0:
        time.sleep(0.01)

@task(queue="{queue}", idempotency_key=lambda order: order["id"], retries=0)
def by_id(order):
    note("charged", value=order)

@task(queue="{queue}", idempotency_key="order", idempotency_ttl=1)
def forget(order):
    note("charged", value=order)
"""


@pytest.fixture
def shop(ours_project: Project, ours_queue: Queue) -> Project:
    """A project with tasks on ``ours_queue``."""
    ours_project.write("shop.py", MODULE.format(queue=ours_queue.name))
    return ours_project


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """A SQLite store."""
    return {"PYQS_IDEMPOTENCY_STORE": f"sqlite://{tmp_path}/keys.db"}


def start(shop: Project, queue: Queue, store: dict[str, str], *options: str) -> Process:
    return shop.worker(queue.name, "--import", "shop", *options, **store)


def until_empty(queue: Queue) -> None:
    eventually(lambda: queue.counts() == (0, 0), "the queue is empty")


def test_of_many_messages_with_one_key_one_runs_in_two_workers(
    shop: Project, ours_queue: Queue, keys: dict[str, str]
) -> None:
    workers = [start(shop, ours_queue, keys, "-c", "2") for _ in range(2)]
    ours_queue.send_tasks("shop.charge", [[number % 5, None] for number in range(100)])

    until_empty(ours_queue)
    assert sorted(shop.values("charged")) == [0, 1, 2, 3, 4]
    assert any(worker.matches("was done before, by its idempotency key") for worker in workers)


@pytest.mark.parametrize("threads", ["1", "8"])
def test_async_tasks_too(shop: Project, ours_queue: Queue, keys: dict[str, str], threads: str) -> None:
    start(shop, ours_queue, keys, "--threads", threads)
    ours_queue.send_tasks("shop.charge_async", [[number % 5] for number in range(40)])

    until_empty(ours_queue)
    assert sorted(shop.values("charged")) == [0, 1, 2, 3, 4]


def test_keys_are_those_of_one_task(shop: Project, ours_queue: Queue, keys: dict[str, str]) -> None:
    start(shop, ours_queue, keys)
    for task in ("charge", "refund", "charge"):
        ours_queue.send_task(f"shop.{task}", 1)

    until_empty(ours_queue)
    assert (shop.values("charged"), shop.values("refunded")) == ([1], [1])


def test_while_one_is_in_progress_another_waits_and_spends_no_receive(
    shop: Project, ours: Endpoint, keys: dict[str, str]
) -> None:
    client = ours.client()
    dead = Queue(client, new_name())
    arn = client.get_queue_attributes(QueueUrl=dead.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}'
    queue = Queue(client, new_name(), RedrivePolicy=policy)
    shop.write("shop.py", MODULE.format(queue=queue.name))
    worker = start(shop, queue, keys, "-c", "2")
    queue.send_task("shop.wait", 1, value="first")
    shop.wait_for_notes("began")
    queue.send_task("shop.wait", 1, value="second")
    worker.wait_for("is in progress elsewhere, by its idempotency key", count=4)

    shop.open_gate("go")

    worker.wait_for("was done before, by its idempotency key")
    until_empty(queue)
    assert shop.values("ended") == ["first"]
    assert dead.counts() == (0, 0)


@pytest.mark.parametrize(("task", "tried"), [("fail_twice", [0, 1, 2]), ("fail_once_async", [1, 1])])
def test_a_message_that_failed_runs_again(
    shop: Project, ours_queue: Queue, keys: dict[str, str], task: str, tried: list[int]
) -> None:
    start(shop, ours_queue, keys)
    ours_queue.send_task(f"shop.{task}", 1)

    until_empty(ours_queue)
    assert shop.values("tried") == tried


def test_after_a_failure_another_message_may_run(shop: Project, ours_queue: Queue, keys: dict[str, str]) -> None:
    start(shop, ours_queue, keys)
    ours_queue.send_task("shop.fail", 1)
    shop.wait_for_notes("tried", 1)
    ours_queue.send_task("shop.fail", 1)
    shop.wait_for_notes("tried", 2)


def test_a_message_whose_process_died_runs_again_at_once(shop: Project, ours: Endpoint, keys: dict[str, str]) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="1")
    shop.write("shop.py", MODULE.format(queue=queue.name))
    start(shop, queue, keys)
    queue.send_task("shop.wait", 1)
    began = shop.wait_for_notes("began")
    os.kill(began[0]["pid"], signal.SIGKILL)

    shop.wait_for_notes("began", 2)
    shop.open_gate("go")
    until_empty(queue)


DIES = """
import os, signal, pyqs
from pyqs.idempotency import SQLiteIdempotencyStore

class Store(SQLiteIdempotencyStore):
    def finish(self, key, owner, ttl_secs):
        super().finish(key, owner, ttl_secs)
        os.kill(os.getpid(), signal.SIGKILL)

pyqs.configure(idempotency_store=Store({file!r}))
"""


def test_a_message_whose_process_died_when_its_key_was_done_does_not_run_again(
    shop: Project, ours: Endpoint, tmp_path: Path
) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="1")
    shop.write("shop.py", MODULE.format(queue=queue.name) + DIES.format(file=f"{tmp_path}/keys.db"))
    worker = start(shop, queue, {})
    queue.send_task("shop.charge", 1)

    worker.wait_for("was done before, by its idempotency key")
    until_empty(queue)
    assert shop.values("charged") == [1]


def test_a_message_that_was_ended_at_its_time_limit_runs_again(
    shop: Project, ours_queue: Queue, keys: dict[str, str]
) -> None:
    start(shop, ours_queue, keys)
    ours_queue.send_task("shop.hang", 1)

    until_empty(ours_queue)
    assert shop.values("tried") == [0, 1]


def test_a_key_is_forgotten_after_its_time(shop: Project, ours_queue: Queue, keys: dict[str, str]) -> None:
    start(shop, ours_queue, keys)

    def charged_twice() -> bool:
        ours_queue.send_task("shop.forget", 1)
        until_empty(ours_queue)
        return len(shop.notes("charged")) == 2

    eventually(charged_twice)


def test_without_a_store_such_a_task_does_not_run(shop: Project, ours_queue: Queue) -> None:
    worker = start(shop, ours_queue, {})
    ours_queue.send_task("shop.charge", 1)

    worker.wait_for(
        "can't be run: shop.charge has an idempotency_key, and no store is configured: start the worker with"
    )
    assert shop.notes() == []


def test_a_call_without_a_key_fails(shop: Project, ours_queue: Queue, keys: dict[str, str]) -> None:
    worker = start(shop, ours_queue, keys)
    ours_queue.send_task("shop.charge", None)
    worker.wait_for("Task shop.charge raised error")
    worker.wait_for("TypeError: argument order of shop.charge is None, which is no idempotency key")
    ours_queue.send_task("shop.by_id", {})
    worker.wait_for("Task shop.by_id raised error")
    worker.wait_for("KeyError: 'id'")
    assert shop.notes() == []


def test_while_the_store_is_out_of_reach_nothing_runs(shop: Project, ours_queue: Queue, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    folder.write_text("not a folder")
    worker = start(shop, ours_queue, {"PYQS_IDEMPOTENCY_STORE": f"sqlite://{folder}/keys.db"})
    ours_queue.send_task("shop.charge", 1)
    worker.wait_for("Task shop.charge does not run now: its idempotency key can't be looked up", count=2)
    assert shop.notes() == []

    folder.unlink()

    shop.wait_for_notes("charged")


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A server that speaks Redis's protocol."""
    server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    server.shutdown()
    server.server_close()


def test_keys_in_redis(shop: Project, ours_queue: Queue, redis_url: str) -> None:
    start(shop, ours_queue, {"PYQS_IDEMPOTENCY_STORE": redis_url}, "-c", "2")
    ours_queue.send_tasks("shop.charge", [[number % 3, None] for number in range(20)])

    until_empty(ours_queue)
    assert sorted(shop.values("charged")) == [0, 1, 2]


def test_keys_in_dynamodb(shop: Project, ours_queue: Queue, moto: Endpoint) -> None:
    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=moto.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_table(
        TableName=ours_queue.name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    store = {"PYQS_IDEMPOTENCY_STORE": f"dynamodb://{ours_queue.name}", "AWS_ENDPOINT_URL_DYNAMODB": moto.url}
    start(shop, ours_queue, store, "-c", "2")
    ours_queue.send_tasks("shop.charge", [[number % 3, None] for number in range(20)])

    until_empty(ours_queue)
    assert sorted(shop.values("charged")) == [0, 1, 2]
