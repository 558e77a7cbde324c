"""Messages whose body is in a payload store: who reads it, what becomes of it, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest
from support.endpoints import Endpoint
from support.payloads import Bucket, Folder
from support.projects import Project, manager_pid
from support.queues import Queue, new_name
from support.waiting import eventually

MODULE = """
import asyncio
from journal import note, wait_for_gate
from pyqs import Discard, task

@task(queue="{queue}")
def measure(value, **_options):
    note("measured", value=len(value))

@task(queue="{queue}")
async def measure_async(value):
    await asyncio.sleep(0)
    note("measured", value=len(value))

@task(queue="{queue}")
def fail(value):
    note("failed", value=len(value))
    raise ValueError("no luck")

@task(queue="{queue}")
def discard(value):
    note("discarded", value=len(value))
    raise Discard("not wanted")

@task(queue="{queue}", dead_letter_on=ValueError, dead_letter="{queue}-dead")
def give_up(value):
    raise ValueError("no luck")

@task(queue="{queue}", batch=5, batch_wait=0.1)
def gather(items):
    for item in items:
        note("gathered", value=item.value[-1])
        if item.value.endswith("f"):
            item.fail("no luck")
        elif item.value.endswith("d"):
            item.discard()

@task(queue="{queue}")
def wait(value):
    note("began", value=len(value))
    wait_for_gate("go")
    note("ended", value=len(value))
"""

BIG = 1_100_000
"""Characters above what SQS takes."""

EXTENDED_CLIENT = """
from sqs_extended_client import SQSExtendedClientSession
sqs = SQSExtendedClientSession().client("sqs")
sqs.large_payload_support = {bucket!r}
sqs.use_legacy_attribute = {legacy}
sqs.send_message(QueueUrl={url!r}, MessageBody={body!r} % ("x" * {length}))
"""
"""AWS's extended client library for Python as a sender."""


@pytest.fixture
def bucket(moto: Endpoint) -> Bucket:
    """A new bucket."""
    return Bucket(moto)


@pytest.fixture
def folder(ours_project: Project) -> Folder:
    """A folder store."""
    return Folder(ours_project.folder / "payloads")


@pytest.fixture
def shop(ours_project: Project, ours_queue: Queue) -> Project:
    """A project with tasks on ``ours_queue``."""
    ours_project.write("shop.py", MODULE.format(queue=ours_queue.name))
    return ours_project


def send(shop: Project, store: Any, call: str, **environment: str) -> None:
    """Send ``shop.CALL``."""
    shop.python(f"import shop; big = 'x' * {BIG}; shop.{call}", **store.environment, **environment)


def native(task: str, length: int) -> str:
    return json.dumps({"task": task, "args": ["x" * length], "kwargs": {}})


def pointer(bucket: str, key: str) -> str:
    return json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": bucket, "s3Key": key}])


@pytest.mark.parametrize("format", ["pyqs", "celery"])
@pytest.mark.parametrize("task", ["measure", "measure_async"])
@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_stored_message_runs_and_its_payload_is_deleted(
    shop: Project, ours_queue: Queue, bucket: Bucket, format: str, task: str, threads: str
) -> None:
    send(shop, bucket, f"{task}.delay_many([(big,)] * 3)", PYQS_FORMAT=format)
    assert len(bucket.keys()) == 3

    shop.worker(ours_queue.name, "--threads", threads, **bucket.environment)

    shop.wait_for_notes("measured", 3)
    assert shop.values("measured") == [BIG] * 3
    eventually(lambda: bucket.keys() == [], "the payloads are deleted")
    assert ours_queue.counts() == (0, 0)


@pytest.mark.parametrize("legacy", [False, True])
def test_what_awss_extended_client_sent_runs(shop: Project, ours_queue: Queue, bucket: Bucket, legacy: bool) -> None:
    body = native("shop.measure", 0).replace('[""]', '["%s"]')
    code = EXTENDED_CLIENT.format(bucket=bucket.name, url=ours_queue.url, body=body, length=300_000, legacy=legacy)
    shop.python(code, **bucket.environment)
    assert len(bucket.keys()) == 1

    shop.worker(ours_queue.name, **bucket.environment)

    shop.wait_for_notes("measured")
    assert shop.values("measured") == [300_000]
    eventually(lambda: bucket.keys() == [], "the payload is deleted")


def test_a_payload_far_above_what_sqs_takes_is_read(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    shop.python("import shop; shop.measure.delay([7] * 2_000_000)", **folder.environment)

    shop.worker(ours_queue.name, **folder.environment)

    shop.wait_for_notes("measured")
    assert shop.values("measured") == [2_000_000]


def test_a_payload_stays_until_its_message_is_deleted(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    send(shop, folder, "wait.delay(big)")
    shop.worker(ours_queue.name, **folder.environment)
    shop.wait_for_notes("began")
    assert len(folder.keys()) == 1

    shop.open_gate("go")

    shop.wait_for_notes("ended")
    eventually(lambda: folder.keys() == [], "the payload is deleted")


def test_payloads_are_deleted_by_a_worker_that_stops_at_once(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    send(shop, folder, "wait.delay(big)")
    worker = shop.worker(ours_queue.name, **folder.environment)
    shop.wait_for_notes("began")
    worker.send_signal(signal.SIGTERM)
    shop.open_gate("go")

    assert worker.wait() == 0, worker.output
    assert folder.keys() == []
    assert ours_queue.counts() == (0, 0)


def test_payloads_are_kept_where_that_is_asked_for(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    send(shop, folder, "measure.delay(big)")
    worker = shop.worker(ours_queue.name, PYQS_KEEP_PAYLOADS="1", **folder.environment)
    shop.wait_for_notes("measured")
    assert worker.stop() == 0
    assert len(folder.keys()) == 1


def test_a_failed_task_keeps_its_payload_and_a_discarded_one_does_not(
    shop: Project, ours_queue: Queue, folder: Folder
) -> None:
    send(shop, folder, "fail.delay(big)")
    worker = shop.worker(ours_queue.name, **folder.environment)
    shop.wait_for_notes("failed")
    kept = folder.keys()
    assert len(kept) == 1

    send(shop, folder, "discard.delay(big)")
    shop.wait_for_notes("discarded")
    eventually(lambda: folder.keys() == kept, "only the discarded one's payload is deleted")
    assert worker.stop() == 0
    assert folder.keys() == kept


def test_a_batch_task_deletes_the_payloads_of_what_is_done(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    send(shop, folder, "gather.delay(big + 'f')")
    kept = folder.keys()
    send(shop, folder, "gather.delay_many([(big + 's',), (big + 'd',)])")
    worker = shop.worker(ours_queue.name, "--import", "shop", **folder.environment)

    shop.wait_for_notes("gathered", 3)
    eventually(lambda: folder.keys() == kept, "only the failed one's payload is left")
    assert worker.stop() == 0
    assert sorted(shop.values("gathered")) == ["d", "f", "s"]
    assert folder.keys() == kept


def test_a_dead_letter_takes_its_pointer_along(
    shop: Project, ours: Endpoint, ours_queue: Queue, folder: Folder
) -> None:
    dead = Queue(ours.client(), f"{ours_queue.name}-dead")
    send(shop, folder, "give_up.delay(big)")
    shop.worker(ours_queue.name, **folder.environment)

    message = dead.take()[0]
    [key] = folder.keys()
    assert json.loads(message["Body"])[1]["key"] == key
    assert {"ExtendedPayloadSize", "pyqs.reason"} <= set(message["MessageAttributes"])


@pytest.mark.parametrize("format", ["pyqs", "celery"])
def test_what_has_expired_does_not_run_and_leaves_nothing(
    shop: Project, ours_queue: Queue, folder: Folder, format: str
) -> None:
    send(shop, folder, "measure.apply_async([big], expires=0.01)", PYQS_FORMAT=format)
    send(shop, folder, "measure.apply_async([big + 'y'], expires=3600)", PYQS_FORMAT=format)
    worker = shop.worker(ours_queue.name, **folder.environment)

    worker.wait_for("has expired")
    shop.wait_for_notes("measured")
    eventually(lambda: folder.keys() == [], "the payloads are deleted")
    assert shop.values("measured") == [BIG + 1]
    assert ours_queue.counts() == (0, 0)


@pytest.mark.parametrize("format", ["pyqs", "celery"])
def test_what_is_not_due_waits(shop: Project, ours_queue: Queue, folder: Folder, format: str) -> None:
    body = shop.python(
        "import shop\n"
        "from pyqs import _producer\n"
        "def show(queue, message):\n"
        "    return str(print(message.body))\n"
        "_producer.send = show\n"
        f"shop.measure.apply_async(['x' * {BIG}], countdown=3)\n",
        PYQS_FORMAT=format,
    ).strip()
    folder.path.mkdir()
    key = "0" * 32 + ".payload"
    (folder.path / key).write_text(body)
    sent = time.time()
    attributes = (
        {} if format == "celery" else {"pyqs.due": {"DataType": "Number", "StringValue": str(int(sent * 1000) + 3000)}}
    )
    ours_queue.send(
        json.dumps(["pyqs.PayloadPointer", {"store": f"file://{folder.path}", "key": key}]),
        MessageAttributes=attributes,
    )
    shop.worker(ours_queue.name, **folder.environment)

    shop.wait_for_notes("measured")
    assert time.time() - sent >= 2


def test_without_a_store_a_pointer_is_poison_that_says_what_to_do(
    shop: Project, ours_queue: Queue, bucket: Bucket
) -> None:
    send(shop, bucket, "measure.delay(big)")
    worker = shop.worker(ours_queue.name)

    worker.wait_for(rf"can't be run: its body is stored in s3://{bucket.name}.*--payload-store s3://{bucket.name}")
    assert len(bucket.keys()) == 1


def test_a_pointer_to_another_bucket_is_refused(
    shop: Project, ours_queue: Queue, moto: Endpoint, bucket: Bucket
) -> None:
    other = Bucket(moto)
    other.write("secret", native("shop.measure", 1))
    ours_queue.send(pointer(other.name, "secret"))
    worker = shop.worker(ours_queue.name, **bucket.environment)

    worker.wait_for(rf"can't be run: its body is said to be stored in s3://{other.name}, and this worker reads from")
    assert other.keys() == ["secret"]
    assert shop.notes() == []


def test_a_pointer_out_of_the_prefix_is_refused(shop: Project, ours_queue: Queue, bucket: Bucket) -> None:
    bucket.write("private/one", native("shop.measure", 1))
    ours_queue.send(pointer(bucket.name, "private/one"))
    store = {**bucket.environment, "PYQS_PAYLOAD_STORE": f"s3://{bucket.name}/payloads"}
    worker = shop.worker(ours_queue.name, **store)

    worker.wait_for("can't be run: object 'private/one' of bucket .* is not under prefix 'payloads/'")
    assert shop.notes() == []


def test_a_missing_payload_is_a_failure_that_says_so(shop: Project, ours: Endpoint, bucket: Bucket) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="1")
    shop.write("shop.py", MODULE.format(queue=queue.name))
    queue.send(pointer(bucket.name, "later"))
    worker = shop.worker(queue.name, **bucket.environment)
    worker.wait_for(f"has failed: its payload is gone: there is no object s3://{bucket.name}/later")

    bucket.write("later", native("shop.measure", 5))
    shop.wait_for_notes("measured")
    assert shop.values("measured") == [5], "its message came again"


@pytest.mark.parametrize("content", ["not json", '["pyqs.PayloadPointer", {"store": "file:///", "key": "x"}]', "[]"])
def test_a_payload_that_is_no_task_is_poison(shop: Project, ours_queue: Queue, bucket: Bucket, content: str) -> None:
    bucket.write("one", content)
    ours_queue.send(pointer(bucket.name, "one"))
    worker = shop.worker(ours_queue.name, **bucket.environment)

    worker.wait_for("can't be run: message body: ")
    assert bucket.keys() == ["one"]


def test_while_the_store_is_out_of_reach_messages_wait_and_no_run_is_counted(
    shop: Project, ours: Endpoint, folder: Folder
) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="30")
    shop.write(
        "shop.py",
        "from journal import note\n"
        "import pyqs\n"
        "from pyqs import task, payloads\n"
        "from pyqs.payloads import _receiving\n"
        "_receiving.FETCH_AGAIN_SECS = (1.0, 1.0)\n"
        "import os\n"
        "class Store(payloads.FolderPayloadStore):\n"
        "    def get(self, key):\n"
        "        if not os.path.exists('up.gate'): raise ConnectionError('no route')\n"
        "        return super().get(key)\n"
        f"pyqs.configure(payload_store=Store({str(folder.path)!r}))\n"
        f"@task(queue='{queue.name}', bind=True)\n"
        "def measure(self, value):\n"
        "    note('measured', value=[len(value), self.request.retries])\n",
    )
    shop.python(f"import shop; shop.measure.delay('x' * {BIG})")
    worker = shop.worker(queue.name, "--import", "shop")
    worker.wait_for(r"can't be read now, and is tried again in 1 s: ConnectionError: no route[\s\S]*no route")

    shop.open_gate("up")

    shop.wait_for_notes("measured")
    assert shop.values("measured") == [[BIG, 0]]
    eventually(lambda: folder.keys() == [], "the payload is deleted")


def test_a_payload_is_there_until_a_task_that_outlives_its_manager_is_done_with(
    shop: Project, ours: Endpoint, folder: Folder
) -> None:
    queue = Queue(ours.client(), new_name(), VisibilityTimeout="3")
    shop.write("shop.py", MODULE.format(queue=queue.name))
    send(shop, folder, "wait.delay(big)")
    worker = shop.worker(queue.name, **folder.environment)
    shop.wait_for_notes("began")

    os.kill(manager_pid(worker), signal.SIGKILL)
    worker.wait_for("of an earlier manager still runs a task")
    assert len(folder.keys()) == 1
    shop.open_gate("go")

    shop.wait_for_notes("ended")
    eventually(lambda: queue.counts() == (0, 0), "the message is deleted")
    eventually(lambda: folder.keys() == [], "the payload is deleted")
