"""``pyqs.testing.run_until_empty``: a worker on the test's own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from unittest import mock

import boto3
import pytest
from pyqs import Discard, task
from pyqs.errors import PyqsError
from pyqs.testing import Endpoint, endpoint, run_until_empty


@pytest.fixture(autouse=True)
def sqs() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


def left(queue: str) -> list[int]:
    """How many messages of a queue are visible, hidden and delayed."""
    client = boto3.client("sqs")
    url = client.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ["Messages", "MessagesNotVisible", "MessagesDelayed"]
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return [int(found[f"ApproximateNumberOf{name}"]) for name in names]


def deliver(_text: str) -> Any:
    return threading.current_thread()


@task(queue="mails")
def send_mail(text: str) -> Any:
    return deliver(text)


@task(queue="orders")
def order(number: int) -> None:
    for text in ("thanks", "invoice"):
        send_mail.delay(f"{text} {number}")


@task(queue="orders", retries=1, backoff=[3600])
def fail(text: str) -> None:
    raise ValueError(text)


def test_it_runs_on_this_thread_until_nothing_is_left() -> None:
    order.delay_many([(1,), (2,)])
    with mock.patch(f"{__name__}.deliver", return_value="replaced"):
        runs = run_until_empty("orders", "mails")
    assert [run.outcome for run in runs] == ["succeeded"] * 6
    mails = [run for run in runs if run.queue == "mails"]
    assert sorted(run.args[0] for run in mails) == ["invoice 1", "invoice 2", "thanks 1", "thanks 2"]
    assert {run.result for run in mails} == {"replaced"}
    assert left("orders") == left("mails") == [0, 0, 0]

    send_mail.delay("again")
    (run,) = run_until_empty("mails")
    assert run.result is threading.current_thread()


def test_an_empty_queue_is_soon_done() -> None:
    assert run_until_empty("new") == []


def test_errors_are_raised_when_all_has_run() -> None:
    @task(queue="orders")
    def refuse() -> None:
        raise KeyError("first")

    @task(queue="orders")
    def discard() -> None:
        raise Discard

    for one in (refuse, discard):
        one.delay()
    order.delay(7)
    with pytest.raises(KeyError, match="first"):
        run_until_empty("orders")
    assert left("orders") == [0, 1, 0], "what failed comes back after its visibility timeout"
    refuse.delay()
    (run,) = run_until_empty("orders", propagate=False)
    assert (run.outcome, type(run.error)) == ("failed", KeyError)


def test_what_is_delayed_or_retried_later_is_not_waited_for() -> None:
    order.apply_async([7], countdown=600)
    fail.delay("no luck")
    (run,) = run_until_empty("orders")
    assert (run.outcome, run.retry_seconds) == ("retry", 3600)
    assert left("orders") == [0, 1, 1]


def test_async_tasks_run_too() -> None:
    @task(queue="orders")
    async def wait() -> str:
        await asyncio.sleep(0.01)
        return "done"

    wait.delay()
    assert [run.result for run in run_until_empty("orders")] == ["done"]


def test_patterns_of_queues() -> None:
    order.delay(7)
    assert len(run_until_empty("ord*")) == 1


def test_settings_that_cant_be_are_told() -> None:
    with pytest.raises(PyqsError, match="absurd"):
        run_until_empty("orders", http="absurd")
    with pytest.raises(TypeError, match="no setting"):
        run_until_empty("orders", speed=3)


def test_ctrl_c_in_a_task_is_its_failure_and_ends_nothing() -> None:
    @task(queue="orders")
    def interrupted() -> None:
        raise KeyboardInterrupt

    interrupted.delay()
    with pytest.raises(KeyboardInterrupt):
        run_until_empty("orders")
