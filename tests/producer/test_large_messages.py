"""Large messages: what is stored, and what is sent in place of it."""

from __future__ import annotations

import base64
import json
import stat
from typing import Any

import pytest
from support.endpoints import Endpoint
from support.payloads import Bucket, Folder
from support.projects import Project
from support.queues import Queue, new_name

MODULE = """
from pyqs import task

@task(queue="{queue}")
def keep(value, number=None):
    pass
"""

BIG = 1_100_000
"""Characters above what SQS takes."""

EXTENDED_CLIENT = """
import boto3, json
from sqs_extended_client import SQSExtendedClientSession
sqs = SQSExtendedClientSession().client("sqs")
sqs.delete_payload_from_s3 = True
message = sqs.receive_message(QueueUrl={url!r}, WaitTimeSeconds=5)["Messages"][0]
print(json.loads(message["Body"])["task"], len(json.loads(message["Body"])["args"][0]))
"""
"""AWS's extended client library for Python as a reader."""


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
    """A project with a task on ``ours_queue``."""
    ours_project.write("shop.py", MODULE.format(queue=ours_queue.name))
    return ours_project


def body_of(length: int, task: str = "shop.keep") -> dict[str, Any]:
    return {"task": task, "args": ["x" * length], "kwargs": {}}


def test_a_large_message_is_stored_and_a_pointer_of_awss_extended_clients_is_sent(
    shop: Project, ours_queue: Queue, bucket: Bucket
) -> None:
    printed = shop.python(f"from shop import keep; print(keep.delay('x' * {BIG}))", **bucket.environment)

    message = ours_queue.take()[0]
    [key] = bucket.keys()
    assert json.loads(message["Body"]) == [
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName": bucket.name, "s3Key": key},
    ]
    payload = bucket.read(key)
    assert json.loads(payload) == body_of(BIG)
    assert message["MessageAttributes"]["ExtendedPayloadSize"] == {
        "StringValue": str(len(payload)),
        "DataType": "Number",
    }
    assert message["MessageId"] == printed.strip()


def test_awss_extended_client_reads_what_was_sent(shop: Project, ours_queue: Queue, bucket: Bucket) -> None:
    shop.python(f"from shop import keep; keep.delay('x' * {BIG})", **bucket.environment)

    printed = shop.python(EXTENDED_CLIENT.format(url=ours_queue.url), **bucket.environment)

    assert printed.strip() == f"shop.keep {BIG}"


def test_a_small_message_is_sent_as_ever(shop: Project, ours_queue: Queue, bucket: Bucket) -> None:
    shop.python("from shop import keep; keep.delay('x' * 1_000_000)", **bucket.environment)

    message = ours_queue.take()[0]
    assert json.loads(message["Body"]) == body_of(1_000_000)
    assert "MessageAttributes" not in message
    assert bucket.keys() == []


def test_without_a_store_a_large_message_is_refused(shop: Project, ours_queue: Queue) -> None:
    shop.python(
        "import pytest, pyqs\n"
        "from shop import keep\n"
        f"with pytest.raises(pyqs.errors.MessageTooLarge, match='payload_store'):\n"
        f"    keep.delay('x' * {BIG})"
    )

    assert ours_queue.counts() == (0, 0)


def test_the_threshold_is_bytes_of_body_and_attributes(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    size = len(json.dumps(body_of(100)).encode())
    at_limit = {**folder.environment, "PYQS_PAYLOAD_THRESHOLD": str(size)}
    shop.python("from shop import keep; keep.delay('x' * 100)", **at_limit)
    assert json.loads(ours_queue.take()[0]["Body"]) == body_of(100)

    shop.python("from shop import keep; keep.delay('x' * 101)", **at_limit)
    assert json.loads(ours_queue.take()[0]["Body"])[0] == "pyqs.PayloadPointer"

    shop.python("from shop import keep; keep.apply_async(['x' * 100], headers={'tenant': 'a'})", **at_limit)
    assert set(ours_queue.take()[0]["MessageAttributes"]) == {"tenant", "ExtendedPayloadSize"}


def test_what_the_queues_own_limit_refuses_is_stored_too(shop: Project, ours: Endpoint, folder: Folder) -> None:
    queue = Queue(ours.client(), new_name(), MaximumMessageSize="2048")
    shop.write("shop.py", MODULE.format(queue=queue.name))

    shop.python(
        "from shop import keep\nkeep.delay('x' * 3000)\nkeep.delay_many([('y' * 3000,), (1,), ('z' * 4000,)])",
        **folder.environment,
    )

    bodies = [json.loads(message["Body"]) for message in queue.take(4)]
    stored = sorted(folder.read(body[1]["key"]).decode() for body in bodies if isinstance(body, list))
    assert [json.loads(text)["args"][0][0] for text in stored] == ["x", "y", "z"]
    assert [body["args"] for body in bodies if isinstance(body, dict)] == [[1]]


def test_configure_takes_a_store_of_the_users(shop: Project, ours_queue: Queue) -> None:
    printed = shop.python(
        "import pyqs\n"
        "from shop import keep\n"
        "class Memory:\n"
        "    name = 'memory://here'\n"
        "    def put(self, payload): self.payload = payload; return 'one'\n"
        "    def get(self, key): ...\n"
        "    def delete(self, key): ...\n"
        "store = Memory()\n"
        "pyqs.configure(payload_store=store, payload_threshold=10)\n"
        "keep.delay(1)\n"
        "print(store.payload.decode())"
    )

    assert json.loads(printed) == {"task": "shop.keep", "args": [1], "kwargs": {}}
    body = json.loads(ours_queue.take()[0]["Body"])
    assert body == ["pyqs.PayloadPointer", {"store": "memory://here", "key": "one"}]


def test_all_ways_to_send_store_what_is_large(shop: Project, ours_queue: Queue, bucket: Bucket) -> None:
    shop.python(
        "import asyncio, types, sys\n"
        "from shop import keep\n"
        f"big = 'x' * {BIG}\n"
        "keep.apply_async([big], {'number': 1})\n"
        "asyncio.run(keep.adelay(big, number=2))\n"
        "sent = keep.delay_many((big, number) for number in range(3, 23))\n"
        "assert all(isinstance(id, str) for id in sent), sent\n"
        "mixed = keep.delay_many([('small', 23), (object(), 24), (big, 25)])\n"
        "assert isinstance(mixed[1], TypeError) and isinstance(mixed[2], str), mixed",
        **bucket.environment,
    )

    numbers = []
    for message in ours_queue.take(24):
        body = json.loads(message["Body"])
        call = json.loads(bucket.read(body[1]["s3Key"])) if isinstance(body, list) else body
        numbers.append(call["kwargs"].get("number") or call["args"][1])
    assert sorted(numbers) == [*range(1, 24), 25]
    assert len(bucket.keys()) == 23


def test_a_celery_message_is_stored_whole(shop: Project, ours_queue: Queue, bucket: Bucket) -> None:
    shop.python(f"from shop import keep; keep.delay('x' * {BIG})", PYQS_FORMAT="celery", **bucket.environment)

    ours_queue.take()
    payload = json.loads(base64.b64decode(bucket.read(bucket.keys()[0])))
    assert payload["headers"]["task"] == "shop.keep"


def test_fifo_needs_a_deduplication_id_and_keeps_the_order(shop: Project, ours: Endpoint, folder: Folder) -> None:
    queue = Queue(ours.client(), new_name() + ".fifo", FifoQueue="true", ContentBasedDeduplication="true")
    shop.write(
        "shop.py",
        "from pyqs import task\n"
        f"@task(queue='{queue.name}', group='one', dedup_id=lambda value, number: f'{{number}}-{{value[:1]}}')\n"
        "def keep(value, number): pass\n"
        f"@task(queue='{queue.name}', group='one')\n"
        "def careless(value): pass\n",
    )
    shop.python(
        "import pytest, pyqs\n"
        "from shop import careless, keep\n"
        f"with pytest.raises(pyqs.errors.SettingsInvalid, match='dedup_id'):\n"
        f"    careless.delay('x' * {BIG})\n"
        f"keep.delay('x' * {BIG}, 0)\n"
        f"keep.delay('x' * {BIG}, 0)\n"
        f"keep.delay_many([('y', 1), ('x' * {BIG}, 2), ('y', 3), ('x' * {BIG}, 4)])",
        **folder.environment,
    )

    bodies = [json.loads(message["Body"]) for message in queue.take(5)]
    calls = [json.loads(folder.read(body[1]["key"])) if isinstance(body, list) else body for body in bodies]
    assert [call["args"][1] for call in calls] == [0, 1, 2, 3, 4]
    assert queue.counts() == (0, 0), "the second of number 0 is no message"


def test_what_was_stored_for_nothing_is_deleted(shop: Project, folder: Folder) -> None:
    shop.python(
        "import pytest, pyqs\n"
        "from shop import keep\n"
        "with pytest.raises(pyqs.errors.QueueMissing):\n"
        f"    keep.apply_async(['x' * {BIG}], queue='nowhere')\n",
        PYQS_CREATE_QUEUES="0",
        **folder.environment,
    )

    assert folder.keys() == []


def test_the_senders_attributes_leave_room_for_ours(shop: Project, ours_queue: Queue, folder: Folder) -> None:
    shop.python(
        "import pytest, pyqs\n"
        "from shop import keep\n"
        "ten = {f'h{n}': 'x' for n in range(10)}\n"
        "with pytest.raises(pyqs.errors.SettingsInvalid, match='10 attributes'):\n"
        f"    keep.apply_async(['x' * {BIG}], headers=ten)\n"
        "with pytest.raises(pyqs.errors.SettingsInvalid, match='reserved'):\n"
        "    keep.apply_async([1], headers={'ExtendedPayloadSize': 1})\n",
        **folder.environment,
    )

    assert ours_queue.counts() == (0, 0)
    assert folder.keys() == []


def test_files_are_whole_and_for_their_owner_alone(shop: Project, folder: Folder) -> None:
    shop.python(f"from shop import keep; keep.delay('x' * {BIG})", **folder.environment)

    [name] = folder.keys()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o600


def test_a_store_that_fails_sends_nothing(shop: Project, ours_queue: Queue, ours_project: Project) -> None:
    ours_project.write("file", "not a folder")
    shop.python(
        f"import pytest\nfrom shop import keep\nwith pytest.raises(OSError):\n    keep.delay('x' * {BIG})",
        PYQS_PAYLOAD_STORE=f"file://{ours_project.folder}/file",
    )

    assert ours_queue.counts() == (0, 0)
