"""An SQS of the test's own, a worker in the test's process, and boto3 beside them."""

from __future__ import annotations

import boto3
import pytest
import shop
from pyqs.testing import Endpoint, run_until_empty, worker


@pytest.fixture(autouse=True)
def _no_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "deliver", lambda _to, _text: None)


def test_orders_wait_in_their_queue(pyqs_endpoint: Endpoint) -> None:
    shop.buy(7, "ada@example.org")

    pyqs_endpoint.assert_sent(shop.charge, 7, customer="ada@example.org")
    assert not pyqs_endpoint.sent("mails"), "nobody has run it"
    sqs = boto3.client("sqs")  # finds the endpoint by the environment
    url = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1


def test_a_worker_runs_all_there_is(pyqs_endpoint: Endpoint) -> None:
    shop.buy(7, "ada@example.org")
    shop.buy(8, "bob@example.org")

    runs = run_until_empty("orders", "mails")
    assert sorted(run.task for run in runs) == ["shop.charge", "shop.charge", "shop.send_mail", "shop.send_mail"]


def test_a_worker_runs_beside_the_test(pyqs_endpoint: Endpoint) -> None:
    with worker("orders", "mails", concurrency=2) as working:
        message_id = shop.buy(7, "ada@example.org")
        assert working.wait(message_id, timeout=10).outcome == "succeeded"
        working.wait(shop.send_mail, timeout=10)
