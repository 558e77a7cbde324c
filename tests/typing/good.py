"""Uses of tasks that a type checker takes, and what it makes of them. Checked by mypy, never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Optional, Union

import pyqs
from pyqs import BoundTask, Discard, Retry, task
from pyqs.events import TaskCrashed, TaskEvent, TaskFailed, TaskRun, TaskSucceeded, on
from typing_extensions import assert_type


@task
def bare(name: str, times: int = 1) -> str:
    return name * times


@task()
def empty() -> None: ...


@task(queue="email", delay_seconds=5, custom_function_path="shop.send")
def declared(to: str, *, when: Optional[datetime] = None) -> list[str]:
    if when is None:
        raise Retry(after=5)
    if not to:
        raise Discard("nobody")
    return [to]


@task("email", 5)
def by_position(to: str) -> None: ...


@task(
    queue="orders.fifo",
    group=lambda order, **_: str(order),
    dedup_id=lambda order, **_: str(order),
    retries=3,
    backoff=[0, 1, 5],
    retry_on=(ConnectionError, TimeoutError),
    discard_on=KeyError,
    dead_letter="orders-dead",
    dead_letter_on=ValueError,
    time_limit=30,
    soft_time_limit=20.5,
    max_concurrency=2,
    rate_limit="10/m",
    expires=60,
    format="celery",
)
def everything(order: int) -> None: ...


@task(retries=3, backoff=lambda number: number * 1.5, group="all")
def functions(order: int) -> None: ...


@task(queue="email", bind=True, retries=2)
def bound(self: BoundTask, to: str, cc: str = "") -> int:
    assert_type(self.request.id, str)
    assert_type(self.request.attributes, dict[str, Union[str, bytes]])
    self.extend(30)
    if not to:
        self.retry(after=60)
    return self.request.retries


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(queue="email", bind=True)
async def bound_fetch(self: BoundTask, url: str) -> bytes:
    return url.encode()


@task
def anything(*args: int, **kwargs: str) -> None: ...


class Mail:
    @staticmethod
    @task(queue="email")
    def send(to: str) -> None: ...


def items() -> Iterator[Union[tuple[str, int], dict[str, str]]]:
    yield "a", 1
    yield {"name": "b"}


def calls() -> None:
    assert_type(bare("a"), str)
    assert_type(declared("a"), list[str])
    assert_type(bound("ada"), int)
    assert_type(bare.__name__, str)
    Mail.send("ada")


def sends() -> None:
    sent = bare.delay("a", times=2)
    text: str = sent
    assert_type(sent.id, str)
    empty.delay()
    by_position.delay("ada")
    declared.delay("ada", when=datetime.now(timezone.utc))
    declared.delay("ada", _delay_seconds=60)
    bound.delay("ada", cc="bob")
    bound.delay(to="ada", _delay_seconds=None)
    fetch.delay("http://127.0.0.1")
    bound_fetch.delay(url=text)
    anything.delay(1, 2, a="b")
    Mail.send.delay("ada")
    everything.delay_on_commit(7)
    functions.delay(order=7)


def options() -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    assert_type(
        bare.apply_async(
            ["a"],
            {"times": 2},
            countdown=1.5,
            expires=tomorrow,
            queue="other",
            group="blue",
            dedup_id="1",
            headers={"tenant": "blue", "number": 7, "key": b"x"},
        ).id,
        str,
    )
    bare.apply_async(("a",), eta=tomorrow, expires=60)
    bare.apply_async()
    for result in bare.delay_many(items()):
        if isinstance(result, Exception):
            raise result
        assert_type(result.id, str)


async def in_async_code() -> None:
    assert_type(await fetch("http://127.0.0.1"), bytes)
    assert_type((await fetch.adelay("http://127.0.0.1")).id, str)
    await asyncio.gather(*(bare.adelay("a", times) for times in range(3)))


def settings() -> None:
    pyqs.configure(region="eu-west-1", endpoint_url="http://127.0.0.1:9324", format="celery")
    decorator = task(queue="email", delay_seconds=3)
    assert_type(decorator.queue_name, Optional[str])
    assert_type(decorator.delay_seconds, Optional[int])


@on(TaskFailed)
def alert(event: TaskFailed) -> None:
    assert_type(event.message_id, str)
    assert_type(event.exception, BaseException)
    assert_type(event.dead_letter, Optional[str])


alert(TaskFailed("m-1", "shop.send", "email", 1, 0, [], {}, 0.5, ValueError(), "failed", None))
on(TaskCrashed)(lambda event: print(event.signal, event.task))


@on(TaskSucceeded)
def hear_any_event(event: TaskEvent) -> None: ...


def measure(event: TaskRun) -> float:
    return 0.0 if isinstance(event, TaskFailed) else event.receive_count


@task(queue="email", on_success=hear_any_event, on_failure=measure)
def watched(to: str) -> None:
    current = pyqs.current()
    if current:
        assert_type(current, BoundTask)
        assert_type(current.request.id, str)


@pyqs.lifespan
def database() -> Iterator[None]:
    yield


@pyqs.lifespan
async def client() -> AsyncIterator[None]:
    yield


@task(bind=True, idempotency_key="to", idempotency_ttl=60, rate_limit="10/m", max_concurrency=2)
def limited(self: BoundTask, to: str) -> None:
    self.extend(60)


@task(queue="rows", batch=100, batch_wait=2)
def insert(items: list[pyqs.BatchItem]) -> int:
    for item in items:
        item.fail("no luck")
    return len(items)


assert_type(insert([pyqs.BatchItem((1,))]), int)
insert.delay(1)
insert.delay(1, row=2)
insert.delay_many([(1,), {"row": 2}])


@task(queue="rows", batch=100)
def insert_moments(items: list[pyqs.BatchItem[datetime]]) -> None:
    for item in items:
        assert_type(item.value, datetime)


@task(queue="rows", batch=100)
def insert_pairs(items: Sequence[pyqs.BatchItem[int, datetime]]) -> None:
    for item in items:
        print(*item.args)


insert_moments.delay(datetime.now(timezone.utc))
insert_moments.delay(datetime.now(timezone.utc), _delay_seconds=5)
insert_moments([pyqs.BatchItem((datetime.now(timezone.utc),))])
insert_pairs.delay(1, datetime.now(timezone.utc))


@pyqs.on_message(queue="uploads", retries=3)
def uploaded(message: pyqs.Message) -> Optional[str]:
    for record in message.s3:
        assert_type(record.key, str)
    return message.sns.subject


assert_type(uploaded(pyqs.Message("{}")), Optional[str])
