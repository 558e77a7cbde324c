"""Stores of idempotency keys, one contract for all of them; keys, and how they are declared."""

from __future__ import annotations

import asyncio
import datetime
import enum
import functools
import multiprocessing
import sqlite3
import stat
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import fakeredis
import pyqs
import pytest
from pyqs import _idempotency, _settings, task, testing
from pyqs._idempotency import Idempotency, scoped
from pyqs.errors import SettingsInvalid
from pyqs.idempotency import (
    BEGUN,
    DONE,
    Claim,
    DynamoDBIdempotencyStore,
    IdempotencyStore,
    RedisIdempotencyStore,
    SQLiteIdempotencyStore,
    from_url,
)
from pyqs.testing import _host, _runs
from support.endpoints import Endpoint
from support.waiting import eventually


def new_table(moto: Endpoint) -> tuple[str, Any]:
    """A table's name and a client, as the guide says to make it."""
    name = f"keys-{uuid.uuid4().hex[:12]}"
    client = boto3.client(
        "dynamodb",
        endpoint_url=moto.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return name, client


class TestContract:
    """What every store does."""

    @pytest.fixture(params=["sqlite", "redis", "dynamodb"])
    def store(self, request: pytest.FixtureRequest, tmp_path: Path, moto: Endpoint) -> IdempotencyStore:
        """Each kind of store."""
        if request.param == "sqlite":
            return SQLiteIdempotencyStore(tmp_path / "keys.db")
        if request.param == "redis":
            return RedisIdempotencyStore(client=fakeredis.FakeRedis())
        name, client = new_table(moto)
        return DynamoDBIdempotencyStore(name, client=client)

    def test_one_of_two_owners_begins(self, store: IdempotencyStore) -> None:
        assert isinstance(store, IdempotencyStore)
        assert store.begin("a", "one", 60) == BEGUN
        claim = store.begin("a", "two", 60)
        assert claim.state == "in_progress"
        assert 50 < claim.seconds_left <= 61
        assert store.begin("b", "two", 60) == BEGUN

    def test_the_same_owner_begins_again(self, store: IdempotencyStore) -> None:
        assert store.begin("a", "one", 60) == BEGUN
        assert store.begin("a", "one", 600) == BEGUN
        assert store.begin("a", "two", 60).seconds_left > 500, "its lease is the longer one"

    def test_what_is_done_is_done_for_all(self, store: IdempotencyStore) -> None:
        store.begin("a", "one", 60)
        store.finish("a", "one", 60)
        assert store.begin("a", "two", 60) == DONE
        assert store.begin("a", "one", 60) == DONE
        store.release("a", "one")
        assert store.begin("a", "two", 60) == DONE, "what is done is not released"

    def test_what_has_failed_may_begin_again(self, store: IdempotencyStore) -> None:
        store.begin("a", "one", 60)
        store.release("a", "two")
        assert store.begin("a", "two", 60).state == "in_progress", "another's key is not released"
        store.release("a", "one")
        assert store.begin("a", "two", 60) == BEGUN

    def test_leases_and_memories_end(self, store: IdempotencyStore) -> None:
        store.begin("a", "one", 0.2)
        eventually(lambda: store.begin("a", "two", 60) == BEGUN, "the lease ends")
        store.finish("b", "one", 0.2)
        eventually(lambda: store.begin("b", "two", 60) == BEGUN, "what was done is forgotten")

    def test_a_late_finish_counts(self, store: IdempotencyStore) -> None:
        store.begin("a", "one", 0.1)
        store.finish("a", "one", 60)
        assert store.begin("a", "two", 60) == DONE

    def test_of_many_threads_one_begins(self, store: IdempotencyStore) -> None:
        barrier = threading.Barrier(8)
        claims: list[Any] = []

        def begin(owner: str) -> None:
            barrier.wait()
            claims.append(store.begin("a", owner, 60).state)

        threads = [threading.Thread(target=begin, args=(str(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claims) == ["begun"] + ["in_progress"] * 7


def begin_many(path: str, owner: str, barrier: Any, found: Any) -> None:
    store = SQLiteIdempotencyStore(path)
    barrier.wait()
    found.put(sum(store.begin(str(number), owner, 60).state == "begun" for number in range(100)))


def test_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(2), context.Queue()
    path = str(tmp_path / "keys.db")
    processes = [context.Process(target=begin_many, args=(path, owner, barrier, found)) for owner in "ab"]
    for process in processes:
        process.start()
    counts = [found.get(timeout=30) for _ in processes]
    for process in processes:
        process.join()
    assert sum(counts) == 100
    assert stat.S_IMODE((tmp_path / "keys.db").stat().st_mode) == 0o600


def test_a_file_does_not_keep_what_is_over(tmp_path: Path) -> None:
    store = SQLiteIdempotencyStore(tmp_path / "keys.db")
    for number in range(50):
        store.finish(str(number), "one", 1e-6)
    store.begin("a", "one", 60)
    rows = sqlite3.connect(tmp_path / "keys.db").execute("SELECT key FROM pyqs_idempotency").fetchall()
    assert rows == [("a",)]


def test_urls_name_stores(tmp_path: Path) -> None:
    assert isinstance(from_url(f"sqlite://{tmp_path}/keys.db"), SQLiteIdempotencyStore)
    assert isinstance(from_url(f"sqlite:///{tmp_path}/keys.db"), SQLiteIdempotencyStore)
    assert isinstance(from_url("redis://localhost:6379/1"), RedisIdempotencyStore)
    assert isinstance(from_url("dynamodb://keys"), DynamoDBIdempotencyStore)


@pytest.mark.parametrize("url", ["", "keys.db", "sqlite://", "sqlite:///", "dynamodb://", "dynamodb://a/b", "http://x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        from_url(url)


@pytest.mark.parametrize(
    ("module", "store", "extra"),
    [("redis", RedisIdempotencyStore(), "redis"), ("boto3", DynamoDBIdempotencyStore("keys"), "dynamodb")],
)
def test_what_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, store: IdempotencyStore, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsInvalid, match=rf"pip install 'pyqs-rs\[{extra}\]'"):
        store.begin("a", "one", 60)


class Color(enum.Enum):
    RED = "red"


def order(order_id: Any, amount: int = 1, *rest: Any, **more: Any) -> None:
    pass


def key_of(key: Any, *args: Any, **kwargs: Any) -> str:
    return Idempotency(key).checked().of("shop.order", order, list(args), kwargs)


def test_a_parameter_or_a_function_gives_the_key() -> None:
    assert key_of("order_id", 7) == "shop.order:7"
    assert key_of("order_id", order_id="x") == "shop.order:x"
    assert key_of("amount", 7) == "shop.order:1", "a default is an argument too"
    assert key_of("order_id", Color.RED) == "shop.order:red"
    assert key_of("order_id", datetime.date(2026, 1, 2)) == "shop.order:2026-01-02"
    assert key_of(lambda order_id, amount: f"{order_id}-{amount}", 7, amount=3) == "shop.order:7-3"


@pytest.mark.parametrize("value", [None, "", 1.5, [1], {"a": 1}, object()])
def test_what_is_no_key_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=r"shop\.order"):
        key_of("order_id", value)


@pytest.mark.parametrize("value", [None, "", 7])
def test_a_function_must_give_text(value: Any) -> None:
    with pytest.raises(TypeError, match=r"shop\.order"):
        key_of(lambda order_id: value, 7)


def test_keys_of_different_tasks_differ() -> None:
    assert scoped("a:b", "c") != scoped("a", "b:c")
    assert scoped("a%3Ab", "c") != scoped("a:b", "c")
    long = "x" * 2000
    assert scoped("a", long) != scoped("b", long)
    assert len(scoped("a", long)) < 100
    assert scoped("a", "\ud800" * 1000).startswith("sha256:")


@pytest.mark.parametrize("key", ["", "no name", 7, ["a"]])
def test_nonsense_for_a_key_is_refused(key: Any) -> None:
    with pytest.raises(SettingsInvalid, match="idempotency_key"):
        task(queue="orders", idempotency_key=key)


@pytest.mark.parametrize("ttl", [0, -1, "1", float("nan"), 366 * 24 * 3600 + 1, True])
def test_nonsense_for_a_life_is_refused(ttl: Any) -> None:
    with pytest.raises(SettingsInvalid, match="idempotency_ttl"):
        task(queue="orders", idempotency_key="a", idempotency_ttl=ttl)


def test_a_life_without_a_key_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="without idempotency_key="):
        task(queue="orders", idempotency_ttl=60)


def test_a_parameter_that_is_none_is_refused_at_the_declaration() -> None:
    with pytest.raises(SettingsInvalid, match="'order', which is no parameter; it has order_id, amount"):

        @task(queue="orders", idempotency_key="order")
        def charge(order_id: int, amount: int, *rest: int) -> None: ...


def test_a_parameter_may_be_one_of_what_a_decorator_decorates() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @task(queue="orders", idempotency_key="order_id")
    @logged
    def charge(order_id: int, amount: int) -> None: ...

    _, own = charge.delay.idempotency  # type: ignore[attr-defined]
    assert Idempotency("order_id").of("shop.charge", own, [7, 1], {}) == "shop.charge:7"
    with pytest.raises(SettingsInvalid, match="'order', which is no parameter; it has order_id, amount"):
        task(queue="orders", idempotency_key="order")(logged(order))


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is configured before and after."""
    monkeypatch.setattr(_settings, "_configured", _settings.Settings())
    monkeypatch.setattr(_settings, "_ambient", {})
    monkeypatch.delenv("PYQS_IDEMPOTENCY_STORE", raising=False)
    yield
    monkeypatch.undo()


def test_configure_goes_before_the_environment_and_that_before_the_file(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _idempotency.current() is None
    monkeypatch.setattr(_settings, "_ambient", {"idempotency_store": "sqlite:///of/file.db"})
    assert isinstance(_idempotency.current(), SQLiteIdempotencyStore)
    monkeypatch.setenv("PYQS_IDEMPOTENCY_STORE", "dynamodb://keys")
    assert isinstance(_idempotency.current(), DynamoDBIdempotencyStore)
    pyqs.configure(idempotency_store="redis://localhost/3")
    assert isinstance(_idempotency.current(), RedisIdempotencyStore)


@pytest.mark.parametrize("store", [object(), 7, "nonsense"])
def test_configure_refuses_what_is_no_store(configured: None, store: Any) -> None:
    with pytest.raises(SettingsInvalid):
        pyqs.configure(idempotency_store=store)
    assert _idempotency.current() is None


class Steps:
    """A store that notes its steps among the others of a run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        self.rings: list[int] = []
        record = _runs.RecordedLane.record

        def noted(lane: _runs.RecordedLane, outcome: Any, *, delay_seconds: int = 0) -> None:
            self.taken.append(f"record {outcome}")
            record(lane, outcome, delay_seconds=delay_seconds)

        monkeypatch.setattr(_runs.RecordedLane, "record", noted)

    def begin(self, key: str, owner: str, lease_secs: float) -> Claim:
        self.taken.append("begin")
        return BEGUN

    def finish(self, key: str, owner: str, ttl_secs: float) -> None:
        self.taken.append("finish")
        self.rings.append(len(_host._alarms._waiting))

    def release(self, key: str, owner: str) -> None:
        self.taken.append("release")


@pytest.fixture
def steps(configured: None, monkeypatch: pytest.MonkeyPatch) -> Steps:
    store = Steps(monkeypatch)
    pyqs.configure(idempotency_store=store)
    return store


BEFORE = ["begin", "release", "record retry", "begin", "finish", "record succeeded"]
"""The key is the next run's from when a failure is recorded, and done before a success is."""


def fail_once(tried: list[int]) -> None:
    tried.append(1)
    if len(tried) == 1:
        raise ValueError("no luck")


def test_a_key_is_settled_before_the_outcome_is_recorded(steps: Steps) -> None:
    tried: list[int] = []

    @task(queue="orders", idempotency_key="order", retries=1, backoff=0)
    def charge(order: int) -> None:
        fail_once(tried)

    with testing.eager():
        charge.delay(7)
    assert steps.taken == BEFORE


@pytest.mark.parametrize("is_awaited", [True, False])
def test_the_key_of_an_async_task_too(steps: Steps, is_awaited: bool) -> None:
    tried: list[int] = []

    @task(queue="orders", idempotency_key="order", retries=1, backoff=0)
    async def charge(order: int) -> None:
        fail_once(tried)

    with testing.eager():
        if is_awaited:
            asyncio.run(charge.adelay(7))  # type: ignore[arg-type]
        else:
            charge.delay(7)
    assert steps.taken == BEFORE


def test_the_soft_limit_is_over_when_a_key_is_done(steps: Steps) -> None:
    @task(queue="orders", idempotency_key="order", soft_time_limit=30)
    def charge(order: int) -> None: ...

    with testing.eager():
        charge.delay(7)
    assert steps.rings == [0]
