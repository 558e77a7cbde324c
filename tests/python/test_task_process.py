"""The loop of a task process, with a channel that follows a script."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import pyqs
import pytest
from pyqs import (
    _execution,
    _on_message,
    _producer,
    _pyqs,
    _registry,
    _task_process,
    _unrunnable,
    events,
    on_message,
    task,
)
from pyqs.errors import UndecodableMessage
from pyqs.events import clear_events, get_events, register_event


class Job:
    message_id = "m-1"
    receipt_handle = "r-1"
    queue_url = "http://127.0.0.1/000000000000/q"
    fetch_time = 1700000000.5
    timeout = 30
    time_limit = None
    soft_time_limit = None
    attempt = 1
    retries_before = 0
    receive_count = 2
    has_callbacks = has_errbacks = False
    left_out = None
    system: Optional[dict[str, Any]] = None
    body = ""
    others: tuple[Job, ...] = ()
    pointer = None

    def __init__(self, task_name: str, *args: Any, **kwargs: Any) -> None:
        self.task = task_name
        self._arguments = (list(args), kwargs)
        self.attributes: dict[str, Any] = {}

    def arguments(self, _reader: object) -> tuple[list[Any], dict[str, Any]]:
        return self._arguments


class Undecodable(Job):
    def arguments(self, _reader: object) -> tuple[list[Any], dict[str, Any]]:
        raise UndecodableMessage("payload: broken")


class Channel:
    """Gives jobs, and keeps what it is told, in order. It is its only lane too."""

    is_lease_lost = False

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.told: list[str] = []
        self.limits: list[tuple[float, float]] = []
        self.lanes = [self]
        self.is_running = False
        self.extended = 0.0

    def declare(self, _declarations: object) -> None:
        """What limits tasks."""

    def limit(self, seconds: float, grace: float = 0.0) -> None:
        self.limits.append((seconds, grace))

    def extend(self, seconds: float) -> None:
        self.extended += seconds

    def __iter__(self) -> Iterator[Job]:
        for job in self.jobs:
            self.is_running = True
            yield job
            self.told.append("next")

    def record_each(self, ends: list[tuple[str, int, Optional[str], str]]) -> None:
        self.record(",".join(outcome for outcome, *_ in ends))

    def record(self, outcome: str) -> None:
        if self.is_running:
            self.is_running = False
            self.told.append(outcome)


Run = Callable[..., list[str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(_producer, "_producer", None)  # put back when the test is over
    monkeypatch.setattr(_unrunnable.unrunnable, "_since", float("-inf"))
    monkeypatch.setattr(_unrunnable.unrunnable, "_count", 0)
    monkeypatch.setattr(_registry, "_by_path", dict(_registry._by_path))
    clear_events()

    def run(*jobs: Job, **settings: Any) -> list[str]:
        channel: Any = Channel(list(jobs))
        _task_process.run(channel, _pyqs.WorkerSettings(queues=["q"], **settings))
        told: list[str] = channel.told
        return told

    yield run
    clear_events()


seen: list[Any] = []


@task(custom_function_path="t.note")
def note(*args: Any, **kwargs: Any) -> None:
    seen.append((args, kwargs))


@task(custom_function_path="t.fail")
def fail(*args: Any) -> None:
    raise ValueError("no luck")


@task(custom_function_path="t.leave")
def leave() -> None:
    sys.exit(3)


@task(custom_function_path="t.interrupt")
def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def test_outcomes(run: Run) -> None:
    told = run(Job("t.note", 1, a=2), Job("t.fail"), Job("t.leave"), Job("t.interrupt"), Job("t.none"), Job("t.note"))
    assert told == [
        *("succeeded", "next"),
        *("failed", "next"),
        *("failed", "next"),
        *("failed", "next"),
        *("unrunnable", "next"),
        *("succeeded", "next"),
    ]
    assert seen == [((1,), {"a": 2}), ((), {})]


def test_a_handler_counts_a_messages_runs_alike_alone_and_in_a_batch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_on_message, "_handlers", {})

    def handle(got: Any) -> None:
        seen.extend(message.retries for message in (got if isinstance(got, list) else [got]))

    job = Job("handle")
    job.attempt, job.retries_before, job.system = 2, 3, {}
    for options in ({}, {"batch": 5}):
        on_message(queue="q", **options)(handle)
        run(job)
    assert seen == [4, 4]


def test_arguments_that_cannot_be_decoded(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert run(Undecodable("t.note")) == ["unrunnable", "next"]
    assert caplog.messages == [
        "Message m-1 of http://127.0.0.1/000000000000/q can't be run: payload: broken",
    ]


def test_a_queue_full_of_them_does_not_fill_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert run(*[Undecodable("t.note")] * 100).count("unrunnable") == 100
    assert len(caplog.messages) == _unrunnable.UNRUNNABLE_LINES_MAX
    _execution.unrunnable._since = 0.0
    run(Undecodable("t.note"))
    assert "90 more messages can't be run" in caplog.messages


def test_wrong_arguments_are_the_tasks_failure(run: Run) -> None:
    assert run(Job("t.leave", "too", "many")) == ["failed", "next"]


def test_log_lines_are_pyqs_own(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pyqs"):
        run(Job("t.note", 1, a=2), Job("t.fail", "x"))
    succeeded, failed = caplog.records
    assert succeeded.levelname == "INFO"
    words = succeeded.getMessage().split(" seconds ")
    assert words[0].startswith("Processed task t.note in 0.0")
    assert words[1] == "with args: [1] and kwargs: {'a': 2}"
    assert failed.levelname == "ERROR"
    assert failed.getMessage().startswith("Task t.fail raised error in 0.0")
    assert failed.getMessage().endswith(" seconds: with args: ['x'] and kwargs: {}: ValueError")
    assert failed.exc_info
    assert "no luck" in "".join(traceback.format_exception(*failed.exc_info))


def test_hooks_get_pyqs_contexts(run: Run) -> None:
    contexts: list[dict[str, Any]] = []
    register_event("pre_process", lambda context: contexts.append(dict(context)))
    register_event("post_process", lambda context: contexts.append(dict(context)))
    run(Job("t.note", 1, a=2), Job("t.fail"))
    base = {
        "message_id": "m-1",
        "task_name": "note",
        "args": [1],
        "kwargs": {"a": 2},
        "full_task_path": "t.note",
        "fetch_time": 1700000000.5,
        "queue_url": "http://127.0.0.1/000000000000/q",
        "timeout": 30,
        "receipt_handle": "r-1",
    }
    assert contexts[0] == base
    assert contexts[1] == {**base, "status": "success"}
    assert contexts[3].pop("exception").startswith("Traceback (most recent call last)")
    assert contexts[3] == {
        **base,
        "task_name": "fail",
        "args": [],
        "kwargs": {},
        "full_task_path": "t.fail",
        "status": "exception",
    }


def test_a_pre_hook_may_replace_arguments(run: Run) -> None:
    posted: list[Any] = []
    register_event("pre_process", lambda context: context.update(args=["other"]))
    register_event("post_process", lambda context: posted.append(context["args"]))
    run(Job("t.note", 1))
    assert seen == [(("other",), {})]
    assert posted == [[1]]


def test_a_pre_hook_that_raises_fails_the_task(run: Run) -> None:
    def hook(context: dict[str, Any]) -> None:
        del context["args"]
        raise RuntimeError("no")

    statuses: list[str] = []
    register_event("pre_process", hook)
    register_event("post_process", lambda context: statuses.append(context["status"]))
    assert run(Job("t.note")) == ["failed", "next"]
    assert seen == []
    assert statuses == ["exception"]


def test_a_post_hook_that_raises_harms_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    statuses: list[str] = []
    get_events().post_process = [lambda _: sys.exit(1), lambda context: statuses.append(context["status"])]
    assert run(Job("t.note"), Job("t.note")) == ["succeeded", "next", "succeeded", "next"]
    assert statuses == ["success", "success"]
    assert caplog.messages == ["A post_process hook raised after task t.note"] * 2


def test_a_hook_sees_the_task_and_the_task_what_the_hook_has_replaced(run: Run) -> None:
    found: list[Any] = []

    @task(custom_function_path="t.ask")
    def ask(value: int) -> None:
        current = pyqs.current()
        assert current
        found.append((current.name, current.request.id, current.request.args))

    def replace(context: dict[str, Any]) -> None:
        current = pyqs.current()
        assert current
        found.append(current.request.args)
        context["args"] = [2]

    register_event("pre_process", replace)
    run(Job("t.ask", 1))
    assert found == [[1], ("t.ask", "m-1", [2])]
    assert pyqs.current() is None


def test_a_listener_changes_nothing_of_what_a_task_gets(run: Run) -> None:
    @events.on(events.TaskStarted)
    def spoil(event: events.TaskStarted) -> None:
        event.args.clear()
        event.kwargs["more"] = 1

    run(Job("t.note", 1, a=2))
    assert seen == [((1,), {"a": 2})]


def test_events_are_told_after_the_record_and_before_the_hooks(run: Run) -> None:
    order: list[str] = []
    events.on(events.TaskRun)(lambda event: order.append(type(event).__name__))
    register_event("pre_process", lambda _: order.append("pre_process"))
    register_event("post_process", lambda _: order.append("post_process"))

    class Told(Channel):
        def record(self, outcome: str) -> None:
            order.append(outcome)
            super().record(outcome)

    channel: Any = Told([Job("t.note")])
    _task_process.run(channel, _pyqs.WorkerSettings(queues=["q"]))
    assert order == ["TaskStarted", "pre_process", "succeeded", "TaskSucceeded", "post_process"]


def test_a_hook_that_refuses_a_task_is_its_failure_and_a_listener_is_not(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    failed: list[events.TaskFailed] = []
    events.on(events.TaskFailed)(failed.append)

    @events.on(events.TaskStarted)
    def stumble(event: events.TaskStarted) -> None:
        raise RuntimeError("listener")

    def refuse(context: dict[str, Any]) -> None:
        if context["args"] == [2]:
            raise RuntimeError("hook")

    register_event("pre_process", refuse)
    assert run(Job("t.note", 1), Job("t.note", 2)) == ["succeeded", "next", "failed", "next"]
    assert [str(event.exception) for event in failed] == ["hook"]
    assert failed[0].exception.__traceback__


def test_success_is_recorded_before_the_hooks(run: Run) -> None:
    order: list[str] = []
    register_event("post_process", lambda _: order.append("hook"))

    class Told(Channel):
        def record(self, outcome: str) -> None:
            order.append(outcome)
            super().record(outcome)

    channel: Any = Told([Job("t.note")])
    _task_process.run(channel, _pyqs.WorkerSettings(queues=["q"]))
    assert order == ["succeeded", "hook"]


def test_logging_that_raises_ends_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(logging.getLogger("pyqs"), "info", broken)
    assert run(Job("t.note"), Job("t.note")) == ["succeeded", "next", "succeeded", "next"]
    assert "disk full" in capsys.readouterr().err


def test_imports_come_first(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_tasks.py").write_text(
        "from pyqs import task\n@task(custom_function_path='only.here')\ndef f(): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(Job("only.here"), registered_only=True, imports=["imported_tasks"]) == ["succeeded", "next"]


def test_the_workers_connection_holds_in_tasks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    configured: list[dict[str, Any]] = []
    monkeypatch.setattr(_producer, "configure", lambda **options: configured.append(options))
    run(region="eu-west-1", access_key_id="id", secret_access_key="secret", endpoint_url="http://127.0.0.1:1")
    assert configured == [
        {
            "region": "eu-west-1",
            "access_key_id": "id",
            "secret_access_key": "secret",
            "endpoint_url": "http://127.0.0.1:1",
            "format": None,
            "create_queues": None,
        }
    ]


def test_a_coroutine_is_run(run: Run) -> None:
    @task(custom_function_path="t.coroutine")
    async def coroutine(value: str) -> None:
        await asyncio.sleep(0)
        seen.append(value)

    @task(custom_function_path="t.coroutine_fails")
    async def coroutine_fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    told = run(Job("t.coroutine", "awaited"), Job("t.coroutine_fails"))
    assert told == ["succeeded", "next", "failed", "next"]
    assert seen[-1] == "awaited"


def test_a_generator_is_a_failure_and_not_silently_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    @task(custom_function_path="t.generator")
    def generator() -> Iterator[int]:
        yield 1

    @task(custom_function_path="t.has_a_generator")
    def has_a_generator() -> Iterator[int]:
        return (number for number in range(3))

    assert run(Job("t.generator"), Job("t.has_a_generator")) == ["failed", "next", "succeeded", "next"]
    assert "has `yield`" in caplog.text
