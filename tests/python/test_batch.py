"""``@task(batch=...)`` as it is declared, and its items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest
from pyqs import BatchItem, Message, _batch, _declarations, _on_message, on_message, task
from pyqs.errors import PyqsError, SettingsInvalid


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_on_message, "_handlers", {})
    monkeypatch.setattr(_declarations, "known", [])
    monkeypatch.setattr(_declarations, "_met", {})
    _declarations.take()
    yield
    _declarations.take()


def test_the_function_stays_itself_and_is_called_with_a_list() -> None:
    def insert(items: list[BatchItem]) -> list[Any]:
        return [item.value for item in items]

    marked = task(queue="rows", batch=100)(insert)
    assert marked is insert
    assert marked([BatchItem((1,)), BatchItem(kwargs={"row": 2})]) == [1, 2]


def test_the_manager_is_told_under_each_name() -> None:
    @task(queue="rows", batch=100, batch_wait=5, custom_function_path="rows.insert")
    def insert(items: list[BatchItem]) -> None: ...

    told = sorted(_declarations.take())
    names = sorted(["rows.insert", f"{__name__}.insert"])
    assert told == [_declarations.Declaration(name, None, (100, 5.0)) for name in names]
    assert _batch.declared(insert) == (100, 5.0)


def test_the_manager_is_told_once_of_a_batch_and_its_limits() -> None:
    @task(queue="rows", batch=100, max_concurrency=2, rate_limit="10/m")
    def insert(items: list[BatchItem]) -> None: ...

    name = f"{__name__}.insert"
    _declarations.meet(name, insert)
    assert _declarations.take() == [_declarations.Declaration(name, None, (100, 1.0), 2, (10, 60.0))]


def test_a_handlers_batch_is_told_with_its_queue() -> None:
    @on_message(queue="orders", batch=10)
    def handle(messages: list[Message]) -> None: ...

    assert _declarations.take() == [_declarations.Declaration(f"{__name__}.handle", "orders", (10, 1.0))]


def test_an_item_of_a_call_with_one_argument_has_its_value() -> None:
    item = BatchItem((1,), id="m-1", receive_count=2, retries=1, attributes={"a": "b"})
    assert (item.value, item.args, item.kwargs) == (1, [1], {})
    assert (item.id, item.receive_count, item.retries, item.attributes) == ("m-1", 2, 1, {"a": "b"})
    assert repr(item) == "BatchItem([1], {}, id='m-1')"
    for none in (BatchItem(), BatchItem((1, 2)), BatchItem((1,), {"b": 2})):
        with pytest.raises(TypeError, match="no single value"):
            _ = none.value


@pytest.mark.parametrize("part", [BatchItem((1,)), Message("text")])
def test_what_is_in_no_batch_fails_by_no_call(part: Any) -> None:
    with pytest.raises(PyqsError, match="raise an exception"):
        part.fail("no luck")


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: task(batch=0), "batch=0"),
        (lambda: task(batch=1001), "from 1 to 1000"),
        (lambda: task(batch=True), "batch=True"),
        (lambda: task(batch=1.5), "batch=1.5"),  # type: ignore[call-overload]
        (lambda: task(batch=5, batch_wait=-1), "batch_wait=-1"),
        (lambda: task(batch=5, batch_wait=301), "from 0 to 300"),
        (lambda: task(batch=5, batch_wait=float("nan")), "batch_wait=nan"),
        (lambda: task(batch_wait=1), "needs batch="),  # type: ignore[call-overload]
        (lambda: task(batch=5, bind=True), "don't go together"),  # type: ignore[call-overload]
        (lambda: on_message(queue="a", batch=0), "batch=0"),
        (lambda: on_message(queue="a", batch_wait=1), "needs batch="),
    ],
)
def test_what_is_refused(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingsInvalid, match=message):
        declare()
