"""``pyqs.testing.eager``: batches, and what is set up around it all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from pyqs import BatchItem, _lifespan, _producer, lifespan, task
from pyqs._producer import Outgoing
from pyqs.testing import eager


@task(queue="rows", batch=3, retries=1, backoff=0)
def insert(items: list[BatchItem]) -> list[Any]:
    for item in items:
        if item.value == "odd" and not item.retries:
            item.fail("no luck")
        elif item.value == "poor":
            item.discard()
    return [item.value for item in items]


def test_one_call_of_a_batch_task_is_a_batch_of_one() -> None:
    with eager() as tasks:
        insert.delay(1)
        insert.delay(2)
    assert [(run.args, run.result) for run in tasks.runs] == [([1], [1]), ([2], [2])]


def test_delay_many_makes_batches() -> None:
    with eager() as tasks:
        ids = insert.delay_many([(1,), (2,), {"row": 3}, (4,)])
    assert [run.id for run in tasks.runs] == ids
    assert [run.result for run in tasks.runs] == [[1, 2, 3]] * 3 + [[4]]
    assert tasks.runs[2].kwargs == {"row": 3}


def test_each_of_a_batch_has_its_own_outcome() -> None:
    with eager() as tasks:
        insert.delay_many([(1,), ("odd",), ("poor",), (4,)])
    assert [(run.args, run.outcome, run.attempt) for run in tasks.runs] == [
        ([1], "succeeded", 1),
        (["odd"], "retry", 1),
        (["poor"], "discarded", 1),
        ([4], "succeeded", 1),
        (["odd"], "succeeded", 2),
    ]
    assert str(tasks.runs[1].error) == "no luck"


def test_what_a_batch_raises_is_raised_after_all() -> None:
    seen: list[int] = []

    @task(queue="rows", batch=2)
    def broken(items: list[BatchItem]) -> None:
        seen.extend(item.value for item in items)
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"), eager() as tasks:
        broken.delay_many([(1,), (2,), (3,)])
    assert seen == [1, 2, 3]
    assert [run.outcome for run in tasks.runs] == ["failed"] * 3


def test_of_a_batch_what_is_stored_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYQS_PAYLOAD_STORE", f"file://{tmp_path}/payloads")
    monkeypatch.setenv("PYQS_PAYLOAD_THRESHOLD", "1000")
    with eager() as tasks:
        insert.delay_many([(1,), ("x" * 1000,), (3,), (4,)])
    assert [len(run.result) for run in tasks.runs] == [2, 2, 1, 1]
    assert [run.outcome for run in tasks.runs] == ["succeeded"] * 4


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What lifespan hooks do."""
    done: list[str] = []
    monkeypatch.setattr(_lifespan, "_declared", [])

    @lifespan
    def database() -> Iterator[None]:
        done.append("open")
        yield
        done.append("closed")

    @lifespan
    async def client() -> AsyncIterator[None]:
        await asyncio.sleep(0)
        done.append("open async")
        yield
        done.append("closed async")

    return done


def test_lifespan_hooks_are_set_up_around_the_outermost(opened: list[str]) -> None:
    with eager():
        assert opened == ["open", "open async"]
        with eager():
            insert.delay(1)
        assert len(opened) == 2
    assert opened == ["open", "open async", "closed async", "closed"]
    assert not _lifespan._is_too_late


def test_without_lifespan_hooks(opened: list[str]) -> None:
    with eager(lifespan=False):
        insert.delay(1)
    assert opened == []


def test_a_lifespan_hook_that_raises_leaves_nothing_behind(opened: list[str]) -> None:
    @lifespan
    def broken() -> Iterator[None]:
        raise ConnectionError("no database")
        yield

    before = _producer.replaced()
    with pytest.raises(ConnectionError, match="no database"), eager():
        pass
    assert opened[2:] == ["closed async", "closed"]
    assert _producer.replaced() is before


@task(queue="moments", batch=3)
def insert_moments(items: list[BatchItem[datetime]]) -> list[datetime]:
    return [item.value for item in items]


@task(queue="moments", batch=3)
def insert_pairs(items: Sequence[BatchItem[int, uuid.UUID]]) -> list[Any]:
    return [item.args for item in items]


def test_items_are_of_the_type_that_their_batch_declares() -> None:
    now, key = datetime.now(timezone.utc), uuid.uuid4()
    with eager() as tasks:
        insert_moments.delay_many([(now,), (now,)])
        insert_pairs.delay(7, key)
    assert [run.result for run in tasks.runs] == [[now, now], [now, now], [[7, key]]]


@task(queue="rows", batch=3)
def insert_any(items: list[BatchItem]) -> None: ...


def test_calls_of_a_batch_are_held_against_its_items() -> None:
    now = datetime.now(timezone.utc)
    calls: list[tuple[Any, str]] = [
        (lambda: insert_moments.delay(now, now), "argument 2 of .*insert_moments is one too many"),
        (lambda: insert_moments.delay(value=now), "argument value of .*insert_moments is given by name"),
        (lambda: insert_pairs.delay(1, uuid.uuid4(), more=2), "argument more of .*insert_pairs is unknown"),
        (lambda: insert.delay({1}), "argument 1 of .*insert"),
    ]
    with eager(propagate=False) as tasks:
        for call, named in calls:
            with pytest.raises(TypeError, match=named):
                call()
        (refused,) = insert_moments.delay_many([(now, now)])
        assert isinstance(refused, TypeError)
        insert_any.delay(1, more=2)
    assert [(run.args, run.kwargs) for run in tasks.runs] == [([1], {"more": 2})]


def test_an_item_that_is_not_of_its_type_is_left_out_of_its_batch() -> None:
    now = datetime.now(timezone.utc)
    texts = [f'{{"task": "{__name__}.insert_moments", "args": ["{text}"], "kwargs": {{}}}}' for text in (now, "x")]
    with eager(propagate=False) as tasks:
        _producer.send_many("moments", [Outgoing(text, attributes={"pyqs.typed": "[0]"}) for text in texts])
    first, second = tasks.runs
    assert (first.outcome, first.result) == ("succeeded", [now])
    assert second.outcome == "unrunnable"
    assert "argument 1 of" in str(second.error)


def test_an_annotation_that_can_t_be_resolved_is_named_where_it_matters() -> None:
    def take(items: list[BatchItem[Nowhere]]) -> list[Any]:  # type: ignore[name-defined]  # noqa: F821
        return [item.value for item in items]

    marked = task(queue="rows", batch=2)(take)
    with eager() as tasks:
        with pytest.raises(TypeError, match=r"the annotation of its items can't be resolved \(NameError: .*Nowhere"):
            marked.delay(datetime.now(timezone.utc))
        marked.delay(1)
    assert [run.result for run in tasks.runs] == [[1]]
