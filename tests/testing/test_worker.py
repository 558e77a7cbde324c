"""``pyqs.testing.worker`` and ``run_until_empty``: a worker in the test's own process."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pyqs
import pytest
from pyqs import BatchItem, BoundTask, Discard, _lifespan, task
from pyqs.errors import PyqsError, SettingsInvalid, SoftTimeLimitExceeded
from pyqs.events import clear_events, register_event
from pyqs.testing import Endpoint, endpoint, worker
from support.processes import thread_names
from support.waiting import eventually


@pytest.fixture
def sqs() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def counts(queue: str) -> tuple[int, int]:
    """How many messages of a queue are visible, and hidden."""
    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def send(text: str) -> str:
    return f"sent {text}"


@task(queue="email")
def send_email(text: str) -> Any:
    return send(text), os.getpid(), threading.current_thread().name


@task(queue="email", retries=2, backoff=0)
def fail(text: str) -> None:
    raise ValueError(text)


@task(queue="email")
async def wait_async(event: str) -> str:
    await asyncio.sleep(0.01)
    return event


@task(queue="email", bind=True)
def bound(self: BoundTask) -> Any:
    return self.request.id, self.request.queue, self.request.receive_count


def test_it_runs_in_this_process(sqs: Endpoint) -> None:
    with worker("email") as working, mock.patch(f"{__name__}.send", return_value="replaced"):
        run = working.wait(send_email.delay("Hello"))
        assert (run.outcome, run.args, run.queue) == ("succeeded", ["Hello"], "email")
        text, pid, thread = run.result
        assert (text, pid) == ("replaced", os.getpid())
        assert thread.startswith("pyqs-testing-tasks")
        assert working.wait(wait_async.delay("x")).result == "x"
        message_id = bound.delay()
        assert working.wait(bound).result == (message_id, "email", 1)
        eventually(lambda: counts("email") == (0, 0), "all are deleted")


def test_retries_are_waited_for(sqs: Endpoint) -> None:
    with worker("email") as working:
        run = working.wait(fail.delay("no luck"))
        assert [one.outcome for one in working.runs] == ["retry", "retry", "exhausted"]
        assert (run.attempt, str(run.error)) == (3, "no luck")


def test_what_does_not_come_is_an_assertion_error(sqs: Endpoint) -> None:
    with worker("email") as working:
        with pytest.raises(AssertionError, match=r"not within 0.01 s: .*send_email; nothing ran"):
            working.wait(send_email, timeout=0.01)
        working.wait(send_email.delay("Hello"))
        with pytest.raises(AssertionError, match=r"another; ran:\n  .*send_email\('Hello'\): succeeded"):
            working.wait("another", timeout=0.01)
        with pytest.raises(TypeError, match="not marked with @task"):
            working.wait(print)


def test_several_run_at_once(sqs: Endpoint) -> None:
    barrier = threading.Barrier(3, timeout=20)

    @task(queue="email")
    def meet() -> None:
        barrier.wait()

    with worker("email", concurrency=3) as working:
        for message_id in [meet.delay() for _ in range(3)]:
            assert working.wait(message_id, timeout=20).outcome == "succeeded"


def test_dead_letters_and_discards_are_carried_out(sqs: Endpoint) -> None:
    @task(queue="orders", dead_letter_on=KeyError, dead_letter="orders-dead")
    def order(kind: str) -> None:
        raise Discard if kind == "gone" else KeyError(kind)

    boto3.client("sqs").create_queue(QueueName="orders-dead")
    with worker("orders") as working:
        assert working.wait(order.delay("gone")).outcome == "discarded"
        run = working.wait(order.delay("odd"))
        assert (run.outcome, run.dead_letter) == ("dead_letter", "orders-dead")
        eventually(lambda: counts("orders") == (0, 0), "the queue is empty")
    assert counts("orders-dead") == (1, 0)


def test_events_and_soft_limits(sqs: Endpoint) -> None:
    @task(queue="email", soft_time_limit=0.05)
    def long() -> str:
        try:
            while True:
                threading.Event().wait(0.01)
        except SoftTimeLimitExceeded:
            return "cleaned up"

    seen: list[str] = []
    register_event("post_process", lambda context: seen.append(context["status"]))
    try:
        with worker("email") as working:
            assert working.wait(long.delay()).result == "cleaned up"
    finally:
        clear_events()
    assert seen == ["success"]


def test_a_time_limit_ends_no_task_of_a_tests_own_process(sqs: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    @task(queue="email", time_limit=0.05, format="celery")
    def hang() -> None:
        gate.wait(20)

    with worker("email") as working:
        message_id = hang.delay()
        eventually(lambda: "past its time limit" in caplog.text, "it is told")
        gate.set()
        assert working.wait(message_id).outcome == "succeeded"
        assert working.wait(send_email.delay("another"), timeout=20).outcome == "succeeded"
    with pytest.raises(SettingsInvalid, match="threads"), worker("email", threads=2):
        pass


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"time_limit": 1}, "time_limit= is about processes"),
        ({"max_memory_per_child": "1G"}, "max_memory_per_child= is about processes"),
        ({"reload": True}, "reload= is about processes"),
        ({"unsafe_pickle": ["shop.*"]}, "unsafe_pickle= is about processes"),
        ({"format": "celery"}, "format= is this process's own here; say it by pyqs.configure"),
        ({"payload_store": "file:///payloads"}, "payload_store= is this process's own here"),
    ],
)
def test_what_it_can_t_keep_is_refused(sqs: Endpoint, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named), worker("email", **settings):
        pass


def test_a_soft_limit_and_imports_are_a_worker_s(
    sqs: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("imported_here", "preloaded_here"):
        (tmp_path / f"{name}.py").write_text("")

    @task(queue="email")
    def long() -> None:
        while True:
            threading.Event().wait(0.01)

    settings = {"soft_time_limit": 0.05, "imports": ["imported_here"], "preload": ["preloaded_here"]}
    with worker("email", **settings) as working:
        assert {"imported_here", "preloaded_here"} <= sys.modules.keys()
        assert isinstance(working.wait(long.delay()).error, SoftTimeLimitExceeded)


def test_each_of_a_batch_is_waited_for(sqs: Endpoint) -> None:
    @task(queue="rows", batch=3, batch_wait=300, retries=0)
    def insert(items: list[BatchItem]) -> int:
        items[1].fail("no luck")
        return len(items)

    with worker("rows") as working:
        ids = insert.delay_many([(1,), (2,), (3,)])
        runs = [working.wait(str(one)) for one in ids]
    assert [(run.args, run.outcome, run.result) for run in runs] == [
        ([1], "succeeded", 3),
        ([2], "exhausted", None),
        ([3], "succeeded", 3),
    ]
    assert str(runs[1].error) == "no luck"


def test_what_has_not_begun_stays(sqs: Endpoint) -> None:
    with worker("email"):
        pass
    send_email.delay("later")
    assert counts("email") == (1, 0)


def test_what_cant_be_run_is_told(sqs: Endpoint) -> None:
    from pyqs.decorator import task_delayer

    with worker("email") as working:
        run = working.wait(task_delayer("no.such.task", "email", override=True)())
        assert (run.outcome, type(run.error).__name__) == ("unrunnable", "UnknownTask")


def test_a_worker_that_cant_start_says_why(sqs: Endpoint) -> None:
    with pytest.raises(PyqsError, match="absurd"), worker("email", http="absurd"):
        pass


def test_nothing_is_left_behind(sqs: Endpoint) -> None:
    with worker("email") as working:  # so that the producer has its threads and connections
        working.wait(send_email.delay("Hello"))
    threads = threading.active_count()
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with worker("email") as working:
            working.wait(send_email.delay("Hello"))
            working.wait(wait_async.delay("x"))
    assert threading.active_count() == threads
    eventually(lambda: "pyqs-manager" not in thread_names(os.getpid()), "the manager's threads have ended")
    # Connections are kept, and a manager's runtime ends in the background.
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= files + 4, "its files are closed")


def test_handlers_and_lifespan_hooks(sqs: Endpoint) -> None:
    seen: list[str] = []

    @pyqs.on_message(queue="uploads")
    def uploaded(message: Any) -> str:
        seen.append(f"handled {message.body}")
        return "stored"

    @pyqs.lifespan
    def resource() -> Iterator[None]:
        seen.append("open")
        yield
        seen.append("closed")

    try:
        for _ in range(2):  # a process that was started before is told of handlers by the next one, too
            seen.clear()
            with worker("uploads") as working:
                url = boto3.client("sqs").get_queue_url(QueueName="uploads")["QueueUrl"]
                sent = boto3.client("sqs").send_message(QueueUrl=url, MessageBody="a file")
                assert working.wait(sent["MessageId"]).result == "stored"
            assert seen == ["open", "handled a file", "closed"]
    finally:
        _lifespan._declared.remove(resource)


def test_a_lifespan_hook_that_raises_is_raised(sqs: Endpoint) -> None:
    @pyqs.lifespan
    def resource() -> Iterator[None]:
        raise OSError("no database")
        yield

    try:
        with pytest.raises(OSError, match="no database"), worker("email"):
            pass
    finally:
        _lifespan._declared.remove(resource)
