"""``pyqs.testing.eager``: what is sent runs at once, by the worker's own code."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyqs
import pytest
from pyqs import BoundTask, Discard, Retry, task
from pyqs.errors import (
    MessageTooLarge,
    QueueNameInvalid,
    RequestRejected,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
    UndecodableMessage,
)
from pyqs.events import clear_events, register_event
from pyqs.testing import EndlessChain, eager
from pyqs.utils import decode_message
from support.waiting import eventually

done: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_is_done() -> None:
    done.clear()


@task(queue="email")
def add(a: int, b: int = 2) -> int:
    done.append((a, b))
    return a + b


@task(queue="email")
def fail(text: str) -> None:
    raise ValueError(text)


@task(queue="email")
def parent() -> None:
    done.append("parent begins")
    child.delay(1)
    child.delay(2)
    done.append("parent ends")


@task(queue="email")
def child(number: int) -> None:
    done.append(f"child {number}")


@task(queue="email", retries=3, backoff=3600)
def fail_until(attempts: int) -> str:
    done.append(attempts)
    if len(done) < attempts:
        raise ValueError(f"attempt {len(done)}")
    return "well"


@task(queue="email", bind=True)
def bound(self: BoundTask, value: int) -> Any:
    request = self.request
    return (request.id, request.retries, request.receive_count, request.queue, request.args, request.attributes)


@task(queue="email")
async def add_async(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


def test_what_is_sent_runs_at_once() -> None:
    with eager() as tasks:
        message_id = add.delay(1, b=3)
        assert done == [(1, 3)]
        run = tasks.run_of(message_id)
    assert (run.outcome, run.result, run.args, run.kwargs, run.queue) == ("succeeded", 4, [1], {"b": 3}, "email")
    assert run.task == f"{__name__}.add"
    assert [run] == tasks.runs
    with pytest.raises(LookupError):
        tasks.run_of("another")


def test_all_ways_of_sending() -> None:
    with eager() as tasks:
        add.apply_async([1], {"b": 4}, countdown=60, headers={"tenant": "a"})
        results = add.delay_many([(5,), {"a": 6}, "not an item"])
        asyncio.run(_adelay(7))
    assert done == [(1, 4), (5, 2), (6, 2), (7, 2)]
    assert [type(result).__name__ for result in results] == ["MessageId", "MessageId", "TypeError"]
    first = tasks.sent("email")[0]
    assert (first.delay_seconds, first.attributes) == (60, {"tenant": "a"})


async def _adelay(value: int) -> str:
    return await add.adelay(value)


def test_arguments_are_those_that_json_gives_back() -> None:
    with eager() as tasks:
        add.delay((1, 2), (3,))
    assert tasks.runs[0].error is None, "lists can be added"
    assert done == [([1, 2], [3])]


def test_what_json_cant_carry_fails() -> None:
    with eager() as tasks, pytest.raises(TypeError, match=r"argument 1 of .*\.add is a object that JSON can't carry"):
        add.delay(object())
    assert (done, tasks.sent()) == ([], [])


def test_what_sqs_does_not_take_fails_as_it_would_there() -> None:
    with eager() as tasks:
        with pytest.raises(MessageTooLarge):
            add.delay("x" * 1024 * 1024)
        with pytest.raises(QueueNameInvalid):
            add.apply_async([1], queue="with space")
        with pytest.raises(RequestRejected, match="message group"):
            add.apply_async([1], queue="orders.fifo")
    assert (done, tasks.sent()) == ([], [])


def test_celerys_format_goes_through_celerys() -> None:
    with eager() as tasks:
        dated.delay(datetime(2026, 1, 2, tzinfo=timezone.utc))
    assert done == [datetime(2026, 1, 2, tzinfo=timezone.utc)]
    assert decode_message({"Body": tasks.sent()[0].body})["protocol"] == 2
    tasks.assert_sent(dated, datetime(2026, 1, 2, tzinfo=timezone.utc))


@task(queue="email", format="celery")
def dated(at: datetime) -> None:
    done.append(at)


def test_what_a_task_raises_is_raised_by_delay() -> None:
    with eager() as tasks:
        with pytest.raises(ValueError, match="no luck"):
            fail.delay("no luck")
        assert tasks.runs[0].outcome == "failed"


def test_what_a_task_raises_may_be_kept_instead() -> None:
    with eager(propagate=False) as tasks:
        run = tasks.run_of(fail.delay("no luck"))
    assert (run.outcome, str(run.error)) == ("failed", "no luck")


def test_what_a_task_sends_runs_when_it_has_ended() -> None:
    with eager():
        parent.delay()
    assert done == ["parent begins", "parent ends", "child 1", "child 2"]


def test_a_child_that_fails_does_not_fail_its_parent() -> None:
    @task(queue="email")
    def fathers_two() -> None:
        fail.delay("child")
        child.delay(2)

    with eager() as tasks, pytest.raises(ValueError, match="child"):
        fathers_two.delay()
    assert [run.outcome for run in tasks.runs] == ["succeeded", "failed", "succeeded"]
    assert done == ["child 2"], "all that was sent has run"


def test_retries_come_without_waiting() -> None:
    with eager() as tasks:
        run = tasks.run_of(fail_until.delay(3))
    assert [run.outcome for run in tasks.runs] == ["retry", "retry", "succeeded"]
    assert [run.attempt for run in tasks.runs] == [1, 2, 3]
    assert 1800 <= tasks.runs[0].retry_seconds <= 3600
    assert run.result == "well"


def test_retries_end() -> None:
    with eager() as tasks, pytest.raises(ValueError, match="attempt 4"):
        fail_until.delay(9)
    assert [run.outcome for run in tasks.runs] == ["retry"] * 3 + ["exhausted"]


def test_discards_and_dead_letters() -> None:
    @task(queue="orders", dead_letter_on=KeyError, dead_letter="orders-dead")
    def order(kind: str) -> None:
        raise Discard if kind == "gone" else KeyError(kind)

    with eager() as tasks:
        order.delay("gone")
        with pytest.raises(KeyError):
            order.delay("odd")
    assert [(run.outcome, run.dead_letter) for run in tasks.runs] == [
        ("discarded", None),
        ("dead_letter", "orders-dead"),
    ]


def test_self_has_the_request() -> None:
    with eager() as tasks:
        message_id = bound.apply_async([5], headers={"tenant": "a", "number": 7})
    attributes = {"tenant": "a", "number": "7"}
    assert tasks.run_of(message_id).result == (message_id, 0, 1, "email", [5], attributes)


def test_events_come_as_in_a_worker() -> None:
    contexts: list[dict[str, Any]] = []
    register_event("pre_process", lambda context: contexts.append(dict(context)))
    register_event("post_process", lambda context: contexts.append(dict(context)))
    try:
        with eager(propagate=False):
            fail.delay("x")
    finally:
        clear_events()
    assert [context.get("status") for context in contexts] == [None, "exception"]
    assert contexts[0]["full_task_path"] == f"{__name__}.fail"
    assert "ValueError: x" in contexts[1]["exception"]


def test_async_tasks_run_with_and_without_a_loop() -> None:
    async def within_a_loop() -> None:
        loop = asyncio.get_running_loop()
        assert tasks.run_of(await which_loop.adelay()).result is loop, "that of the caller"
        assert tasks.run_of(which_loop.delay()).result is not loop, "the caller's is blocked meanwhile"

    with eager() as tasks:
        assert tasks.run_of(add_async.delay(1, 2)).result == 3
        asyncio.run(within_a_loop())
    assert all(thread.name != "pyqs-event-loop" for thread in threading.enumerate())


@task(queue="email")
async def which_loop() -> Any:
    return asyncio.get_running_loop()


def test_async_tasks_send_on() -> None:
    @task(queue="email")
    async def fathers() -> None:
        await child.adelay(1)
        child.delay(2)
        done.append("ends")

    async def main() -> None:
        await fathers.adelay()
        assert done == ["ends", "child 1", "child 2"]

    with eager():
        asyncio.run(main())
        fathers.delay()
    assert done == ["ends", "child 1", "child 2"] * 2


def test_a_chain_of_tasks_may_be_long() -> None:
    @task(queue="email")
    def count_down(number: int) -> None:
        done.append(number)
        if number:
            count_down.delay(number - 1)

    with eager():
        count_down.delay(400)
    assert len(done) == 401


def test_a_chain_without_end_is_named() -> None:
    @task(queue="email")
    def again() -> None:
        again.delay()

    @task(queue="email")
    def ask_again() -> None:
        raise Retry(after=1)

    for endless in (again, ask_again):
        with eager(), pytest.raises(EndlessChain, match=endless.__name__):
            endless.delay()


def test_what_is_delayed_may_wait() -> None:
    @task(queue="email")
    def tick() -> None:
        done.append("tick")
        tick.delay(_delay_seconds=60)

    with eager(run_delayed=False) as tasks:
        tick.delay()
        assert (done, tasks.waiting) == (["tick"], 1)
        tasks.run_waiting()
        assert (done, tasks.waiting) == (["tick"] * 2, 1)
        done.clear()
        run_id = fail_until.delay(2)
        assert tasks.run_of(run_id).outcome == "retry"
        tasks.run_waiting()
        assert tasks.run_of(run_id).outcome == "succeeded"


def test_what_has_expired_does_not_run() -> None:
    with eager() as tasks:
        run_id = add.apply_async([1], expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    assert (tasks.run_of(run_id).outcome, done) == ("expired", [])


def test_what_sqs_takes_for_the_same_message_runs_once() -> None:
    with eager() as tasks:
        first = add.apply_async([1], queue="orders.fifo", group="g", dedup_id="one")
        second = add.apply_async([1], queue="orders.fifo", group="g", dedup_id="one")
        add.apply_async([1], queue="orders.fifo", group="g", dedup_id="two")
    assert first == second
    assert len(tasks.sent("orders.fifo")) == len(done) == 2


def test_soft_time_limits_are_kept() -> None:
    @task(queue="email", soft_time_limit=0.05)
    def long() -> str:
        try:
            while True:
                threading.Event().wait(0.01)
        except SoftTimeLimitExceeded:
            return "cleaned up"

    @task(queue="email", time_limit=0.05)
    async def long_async() -> None:
        await asyncio.sleep(30)

    with eager() as tasks:
        with pytest.raises(TimeLimitExceeded):
            long_async.delay()
        assert tasks.run_of(long.delay()).result == "cleaned up"


def test_a_body_that_is_no_call_is_told() -> None:
    from pyqs.decorator import get_or_create_queue

    with eager() as tasks, pytest.raises(UndecodableMessage):
        get_or_create_queue("raw").send_message("hello")
    assert (tasks.sent()[0].task, tasks.sent()[0].body, tasks.runs[0].outcome) == (None, "hello", "unrunnable")


def test_threads_that_send_run_it_themselves() -> None:
    with eager() as tasks:
        thread = threading.Thread(target=lambda: add.delay(3))
        thread.start()
        thread.join()
    assert (done, len(tasks.runs)) == ([(3, 2)], 1)


def test_ctrl_c_ends_the_test_and_not_the_task() -> None:
    @task(queue="email")
    def interrupted() -> None:
        raise KeyboardInterrupt

    @task(queue="email")
    def failed_test() -> None:
        pytest.fail("from within")

    with eager(propagate=False):
        with pytest.raises(KeyboardInterrupt):
            interrupted.delay()
        with pytest.raises(pytest.fail.Exception):
            failed_test.delay()


def test_it_wins_over_configure_and_is_undone() -> None:
    from pyqs import _producer

    with eager() as outer:
        pyqs.configure(endpoint_url="http://127.0.0.1:9", region="eu-west-1")
        add.delay(1)
        with eager() as inner:
            add.delay(2)
        add.delay(3)
    assert (len(outer.runs), len(inner.runs)) == (2, 1)
    assert _producer._in_tests is None
    pyqs.configure()


def test_what_was_sent_is_asserted() -> None:
    with eager() as tasks:
        add.delay(1, 5)
        add.apply_async([2], countdown=30)

    assert tasks.assert_sent(add, 1, 5).queue == "email"
    assert tasks.assert_sent(add, b=5, a=1).task == f"{__name__}.add"
    assert tasks.assert_sent(add, 2).delay_seconds == 30
    assert len(tasks.sent(task=add)) == 2
    assert not tasks.sent("reports")
    assert not tasks.sent(task=fail)
    with pytest.raises(AssertionError) as missing:
        tasks.assert_sent(add, 3)
    lines = str(missing.value).splitlines()
    assert lines == [
        f"not sent: {__name__}.add(3) to email",
        "sent of it:",
        f"  {__name__}.add(1, 5) to email",
        f"  {__name__}.add(2) to email in 30 s",
    ]
    with pytest.raises(AssertionError, match="sent:"):
        tasks.assert_sent(fail, "x")
    with pytest.raises(TypeError, match="not marked with @task"):
        tasks.assert_sent(print, "x")


def test_tuples_are_what_json_makes_of_them() -> None:
    with eager() as tasks:
        add.delay((1, 2), (3,))
    tasks.assert_sent(add, (1, 2), (3,))
    tasks.assert_sent(add, [1, 2], b=[3])


def test_nothing_is_left_to_look_up(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: neither credentials nor an endpoint are asked for."""
    import socket

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    threads = threading.active_count()
    with eager(), caplog.at_level(logging.INFO, "pyqs"):
        add.delay(1)
    assert threading.active_count() == threads
    assert "Processed task" in caplog.text


@task(queue="email")
def typed(at: datetime, by: uuid.UUID) -> Any:
    return at, by


def test_arguments_have_their_types() -> None:
    at, by = datetime(2026, 1, 2, tzinfo=timezone.utc), uuid.uuid4()
    with eager() as tasks:
        run = tasks.run_of(typed.delay(at, by=by))
    assert run.result == (at, by)
    assert (run.args, run.kwargs) == ([at], {"by": by})
    tasks.assert_sent(typed, at, by)
    with pytest.raises(AssertionError):
        tasks.assert_sent(typed, at, uuid.uuid4())


@task(queue="email")
def never_sent(at: datetime) -> None: ...


def test_what_was_never_sent_is_missed_whatever_its_types() -> None:
    with eager() as tasks, pytest.raises(AssertionError, match=r"not sent: .*never_sent\("):
        tasks.assert_sent(never_sent, datetime(2026, 1, 2, tzinfo=timezone.utc))


def test_handlers_of_messages_run_too() -> None:
    from pyqs import on_message
    from pyqs.decorator import get_or_create_queue

    @on_message(queue="pictures", retries=1, backoff=0)
    def uploaded(message: Any) -> str:
        done.append((message.body, message.receive_count))
        if len(done) == 1:
            raise ValueError("not yet")
        return "stored"

    with eager() as tasks:
        get_or_create_queue("pictures").send_message("a file")
    assert done == [("a file", 1), ("a file", 2)]
    assert [run.outcome for run in tasks.runs] == ["retry", "succeeded"]
    assert tasks.runs[1].result == "stored"


def test_large_messages_go_through_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYQS_PAYLOAD_STORE", f"file://{tmp_path}/payloads")

    @task(queue="large")
    def measure(value: str) -> int:
        return len(value)

    with eager() as tasks:
        measure.delay("x" * 1_100_000)
        [run] = tasks.runs
    assert (run.outcome, run.result) == ("succeeded", 1_100_000)
    eventually(lambda: list((tmp_path / "payloads").iterdir()) == [], "the payload is deleted")


def test_idempotency_keys_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYQS_IDEMPOTENCY_STORE", f"sqlite://{tmp_path}/keys.db")

    @task(queue="orders", idempotency_key="order")
    def charge(order: int) -> int:
        return order

    with eager() as tasks:
        for order in (1, 2, 1):
            charge.delay(order)
    assert [run.outcome for run in tasks.runs] == ["succeeded", "succeeded", "discarded"]
