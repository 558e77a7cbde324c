"""Uses of tasks that a type checker is to refuse: each line with ``# E:``, for the reason that follows it, and no
other. Checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator

import pyqs
from pyqs import BatchItem, BoundTask, task
from pyqs.events import TaskFailed, TaskSucceeded, on


@task
def bare(name: str, times: int = 1) -> str:
    return name * times


@task(batch=10, idempotency_key="row")  # E: No overload variant
def once(items: object) -> None: ...


@task(batch=10)
def pairs(items: list[BatchItem[int, str]]) -> None:
    print(items[0].value)  # E: Invalid self argument


pairs.delay(1, 2)  # E: overload variant
pairs.delay(1)  # E: overload variant
pairs([1])  # E: List item 0 has incompatible type


@task(queue="email", bind=True)
def bound(self: BoundTask, to: str) -> int:
    self.request.id = 7  # E: expression has type "int"
    self.extend("long")  # E: incompatible type "str"
    if not to:
        self.retry(after="soon")  # E: incompatible type "str"
    return self.request.colour  # E: has no attribute "colour"


@task
async def fetch(url: str) -> bytes:
    return url.encode()


def calls() -> None:
    bare(1)  # E: expected "str"
    bound(bound, "ada")  # E: Too many arguments
    number: int = bare("a")  # E: expression has type "str"
    print(number)


def sends() -> None:
    bare.delay()  # E: overload variant
    bare.delay(1)  # E: overload variant
    bare.delay("a", 1, 2)  # E: overload variant
    bare.delay("a", tims=2)  # E: overload variant
    bare.delay("a", times="twice")  # E: overload variant
    bare.delay("a", _delay_seconds="soon")  # E: overload variant
    bound.delay(bound, "ada")  # E: overload variant
    bound.delay(7)  # E: overload variant
    fetch.delay(b"http://127.0.0.1")  # E: overload variant
    bare.delay_on_commit("a", "b")  # E: incompatible type "str"
    number: int = bare.delay("a")  # E: expression has type "MessageId"
    print(number)
    bare.dely("a")  # E: has no attribute "dely"


def options() -> None:
    bare.apply_async(["a"], priority=3)  # E: Unexpected keyword argument "priority"
    bare.apply_async(7)  # E: incompatible type "int"
    bare.apply_async(["a"], countdown="soon")  # E: incompatible type "str"
    bare.apply_async(["a"], eta=60)  # E: incompatible type "int"
    bare.apply_async(["a"], queue=7)  # E: incompatible type "int"
    bare.apply_async(["a"], group=7)  # E: incompatible type "int"
    bare.apply_async(["a"], headers={"a": [1]})  # E: "list[int]"
    bare.delay_many([1, 2])  # E: "int"


async def in_async_code() -> None:
    await bare.adelay(7)  # E: incompatible type "int"
    await fetch.adelay()  # E: Missing positional argument
    text: str = await fetch("http://127.0.0.1")  # E: expression has type "bytes"
    print(text)


@task(queue=7)  # E: overload variant
def numbered() -> None: ...


@task(retries="many")  # E: overload variant
def retried() -> None: ...


@task(format="msgpack")  # E: overload variant
def formatted() -> None: ...


@task(colour="red")  # E: Unexpected keyword argument "colour" | No overload variant
def coloured() -> None: ...


@task(group=7)  # E: overload variant
def grouped() -> None: ...


@task(retry_on="ValueError")  # E: overload variant
def named() -> None: ...


@task(bind=True)  # E: incompatible type
def no_room() -> None: ...


@on(TaskFailed)  # E: incompatible type
def another_event(event: TaskSucceeded) -> None: ...


@on(TaskFailed)  # E: incompatible type
def too_many(event: TaskFailed, more: int) -> None: ...


@on(TaskFailed)
def misread(event: TaskFailed) -> None:
    print(event.result)  # E: has no attribute "result"
    event.task = "other"  # E: read-only


on("TaskFailed")  # E: incompatible type "str"


def of_success(event: TaskSucceeded) -> None: ...


@task(on_failure=of_success)  # E: incompatible type
def wrongly_watched() -> None: ...


@pyqs.lifespan  # E: type variable
def with_an_argument(url: str) -> Iterator[None]:
    yield


def unasked() -> str:
    return pyqs.current().name  # E: has no attribute "name"
