"""The programs of ``examples/``: a request comes in, and a worker does what is left to it."""

from __future__ import annotations

from support.examples import Example, gunicorn, uvicorn
from support.waiting import eventually


def test_django(shop: Example) -> None:
    site = gunicorn(shop, "config.wsgi")
    assert site.post_form("/orders", item="a book") == (201, {"id": 1})
    assert site.get("/orders/1") == {"item": "a book", "reserved": False, "confirmed": False}

    worker = shop.start_manage("pyqs")
    eventually(
        lambda: site.get("/orders/1") == {"item": "a book", "reserved": True, "confirmed": True},
        "the order is reserved and confirmed",
    )
    worker.wait_for("thank you for ordering a book")
    assert worker.stop() == 0, worker.output


def test_django_sends_nothing_of_what_is_rolled_back(shop: Example) -> None:
    queues = [shop.queue("shop-orders"), shop.queue("shop-mail")]
    site = gunicorn(shop, "config.wsgi")
    assert site.post_form("/orders", item="a car", card="declined")[0] == 402
    assert [queue.counts() for queue in queues] == [(0, 0), (0, 0)]

    assert site.post_form("/orders", item="a book")[0] == 201
    assert [queue.counts() for queue in queues] == [(1, 0), (1, 0)]


def test_the_django_projects_own_tests(shop: Example) -> None:
    printed = shop.manage("test")
    assert "Ran 3 tests" in printed
    assert "OK" in printed


def test_flask(example: Example) -> None:
    example.take("flask")
    site = gunicorn(example, "shop:app", "--preload", "--workers", "2")
    assert site.post_form("/orders", item="a book") == (201, {"id": 1})
    assert site.get("/orders/1") == {"item": "a book", "state": "new"}

    example.worker("shop-orders")
    eventually(lambda: site.get("/orders/1")["state"] == "shipped", "the order is shipped")


def test_fastapi(example: Example) -> None:
    example.take("fastapi")
    site = uvicorn(example, "web:app")
    status, order = site.post_json("/orders", {"item": "a book", "express": True})
    assert (status, order["id"]) == (201, 1)
    assert site.get("/orders/1") == {"item": "a book", "state": "new"}

    worker = example.start_pyqs()
    eventually(lambda: site.get("/orders/1")["state"] == "sent by express", "the order is sent")
    assert worker.stop() == 0, worker.output
