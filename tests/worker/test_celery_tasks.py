"""Task objects of the real Celery, run by our worker: their requests, retries, limits and handlers."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest
from support.celery import site_packages
from support.processes import Process
from support.projects import Project
from support.queues import Queue

SHOP = """
import time
from datetime import datetime, timedelta, timezone
from celery import Celery, Task, current_app, current_task, shared_task, signals
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from journal import note

app = Celery("shop", broker="sqs://", backend=None)

class Noting(Task):
    def before_start(self, task_id, args, kwargs):
        note("before_start", id=task_id, args=list(args))
    def on_success(self, result, task_id, args, kwargs):
        note("on_success", result=result, same=self.request.id == task_id)
    def on_retry(self, error, task_id, args, kwargs, info):
        note("on_retry", error=repr(error))
    def on_failure(self, error, task_id, args, kwargs, info):
        note("on_failure", error=repr(error), traceback="ValueError" in info.traceback)
    def after_return(self, status, result, task_id, args, kwargs, info):
        note("after_return", status=status)
    def __call__(self, *args, **kwargs):
        note("called", id=self.request.id)
        return super().__call__(*args, **kwargs)

@signals.task_prerun.connect
def begin(sender=None, task_id=None, **_):
    note("prerun", id=task_id, name=sender.name)

@signals.task_postrun.connect
def end(sender=None, state=None, **_):
    note("postrun", state=state, name=sender.name)

@app.task(bind=True, max_retries=3)
def page(self, first, *, size=2, seen=()):
    note("page", tenant=self.request.get("tenant"), first=first,
         size=size, seen=[str(when.date()) for when in seen], retries=self.request.retries,
         id=self.request.id, chain=len(self.request.chain or []))
    if first < 3:
        raise self.retry(args=[first + 1], kwargs={"size": size + 1, "seen": [*seen, datetime(2020, 1, first)]},
                         countdown=0)

@app.task(bind=True)
def same(self, value):
    note("same", value=value)
    if not self.request.retries:
        raise self.retry(args=[value], kwargs={}, countdown=0, priority=3)

@app.task(bind=True)
def elsewhere(self, queue):
    note("elsewhere", retries=self.request.retries)
    if not self.request.retries:
        raise self.retry(queue=queue, countdown=1)

@app.task
def add(a, b=2):
    note("add", sum=a + b, current=current_task.name, app=current_app.main)

@shared_task(name="billing.charge", bind=True)
def pay(self, amount):
    request = self.request
    note("pay", amount=amount, id=request.id, retries=request.retries, args=list(request.args),
         kwargs=request.kwargs, routing_key=request.delivery_info["routing_key"], root_id=request.root_id,
         parent_id=request.parent_id, origin=request.origin, eta=request.eta, expires=request.expires,
         hostname=request.hostname, direct=request.called_directly, name=self.name,
         correlation_id=request.correlation_id,
         tenant=request.get("tenant"), headers=request.headers, redelivered=request.delivery_info["redelivered"],
         app=current_app.main)

@app.task(bind=True, max_retries=2, default_retry_delay=1)
def flaky(self, how):
    note("flaky", how=how, retries=self.request.retries, id=self.request.id)
    if how == "quiet":
        self.retry(throw=False)
        note("went on")
        return
    if how == "eta":
        self.retry(eta=datetime.now(timezone.utc) + timedelta(seconds=2), max_retries=1)
    if how == "naive":
        self.retry(eta=datetime.now() + timedelta(seconds=1), max_retries=1)
    try:
        raise ValueError("no luck")
    except ValueError as error:
        raise self.retry(exc=error, countdown=0.5)

@app.task(bind=True, autoretry_for=(ValueError,), retry_backoff=1, retry_backoff_max=1, retry_jitter=False,
          retry_kwargs={"max_retries": 2}, dont_autoretry_for=(UnicodeError,))
def automatic(self, how):
    note("automatic", how=how, retries=self.request.retries)
    raise UnicodeError("never") if how == "dont" else ValueError("no luck")

@app.task(bind=True, throws=(KeyError,))
def leave(self, how):
    note("leave", how=how)
    if how == "ignore":
        raise Ignore("nothing to do")
    if how == "throws":
        raise KeyError("as expected")
    raise Reject("not now", requeue=how == "requeue" and not self.request.delivery_info["redelivered"])

@app.task(base=Noting, bind=True, max_retries=1)
def noted(self, how):
    if how == "fail":
        raise ValueError("no luck")
    if how == "retry" and not self.request.retries:
        raise self.retry(exc=ValueError("once more"), countdown=0)
    return how

@app.task(soft_time_limit=0.3, time_limit=30)
def slow(value):
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded as told:
        note("told", value=value)

@app.task(time_limit=0.5)
def endless():
    note("began")
    time.sleep(1000)

@app.task(bind=True)
def direct(self):
    try:
        flaky("direct")
    except ValueError:
        note("raised directly", own=self.request.called_directly)
"""


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("shop.py", SHOP)
    return ours_project


def start(project: Project, queue: Queue, *options: str) -> Process:
    return project.worker(queue.name, *options, PYTHONPATH=site_packages(), TZ="UTC")


def celery_body(task: str, *args: Any, embed: Optional[dict[str, Any]] = None, **headers: Any) -> str:
    """As Celery writes it, with what its samples have at least."""
    envelope = {
        "body": json.dumps([args, {}, embed or {}]),
        "content-type": "application/json",
        "headers": {"task": task, "id": "c-1", **headers},
        "properties": {"delivery_info": {"exchange": "", "routing_key": "shop.orders"}, "correlation_id": "c-1"},
    }
    return json.dumps(envelope)


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_task_object_runs_by_its_path(project: Project, ours_queue: Queue, threads: str) -> None:
    ours_queue.send_task("shop.add", 1, b=5)
    ours_queue.send_task("shop.pay", 3)
    start(project, ours_queue, "--threads", threads)

    project.wait_for_notes("add")
    project.wait_for_notes("pay")
    ours_queue.wait_until_empty()
    (added,) = project.notes("add")
    assert (added["sum"], added["current"], added["app"]) == (6, "shop.add", "shop")
    (paid,) = project.notes("pay")
    assert (paid["amount"], paid["name"], paid["app"]) == (3, "billing.charge", "shop")
    assert not paid["direct"]
    assert (paid["id"], paid["root_id"], paid["routing_key"]) == (paid["id"], paid["id"], ours_queue.name)
    assert [note["name"] for note in project.notes("prerun")] == [note["name"] for note in project.notes("postrun")]


@pytest.mark.parametrize("options", [["--import", "shop"], ["--import", "shop", "--registered-only"]])
def test_a_name_that_is_no_path_is_found_in_what_is_imported(
    project: Project, ours_queue: Queue, options: list[str]
) -> None:
    eta = "2020-01-01T00:00:00+00:00"
    expires = "2200-01-01T00:00:00+00:00"
    headers: dict[str, Any] = {"root_id": "r-1", "parent_id": "p-1", "origin": "gen1@host", "retries": 2, "eta": eta}
    ours_queue.send(celery_body("billing.charge", 7, expires=expires, tenant={"blue": 1}, **headers))
    start(project, ours_queue, *options)

    (note,) = project.wait_for_notes("pay")
    ours_queue.wait_until_empty()
    expected = {
        **headers,
        "id": "c-1",
        "expires": expires,
        "args": [7],
        "kwargs": {},
        "routing_key": "shop.orders",
        "correlation_id": "c-1",
        "redelivered": False,
        "tenant": {"blue": 1},
        "headers": {"tenant": {"blue": 1}},
    }
    assert {name: note[name] for name in expected} == expected
    assert note["hostname"].startswith("pyqs@")


def test_an_unknown_name_says_so(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(celery_body("billing.refund", 7))
    worker = start(project, ours_queue, "--import", "shop")
    worker.wait_for(r"can't be run: .*billing")


def test_retries_go_by_celerys_rules(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(celery_body("shop.flaky", "exc"))
    worker = start(project, ours_queue)

    notes = project.wait_for_notes("flaky", 3)
    worker.wait_for("shop.flaky raised error .*ValueError; run 3, and no retry is left: its message stays in its queue")
    assert [note["retries"] for note in notes] == [0, 1, 2]
    assert {note["id"] for note in notes} == {"c-1"}
    assert notes[1]["at"] - notes[0]["at"] >= 0.5
    assert ours_queue.counts() == (0, 1)


def test_a_senders_retries_count(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(celery_body("shop.flaky", "exc", retries=2))
    worker = start(project, ours_queue)

    worker.wait_for("shop.flaky raised error .*ValueError; run 3, and no retry is left")
    assert [note["retries"] for note in project.notes("flaky")] == [2]


def test_a_retry_that_does_not_raise(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(celery_body("shop.flaky", "quiet"))
    worker = start(project, ours_queue)

    worker.wait_for("shop.flaky raised error .*MaxRetriesExceededError; run 3, and no retry is left")
    assert len(project.notes("flaky")) == 3
    assert len(project.notes("went on")) == 2


@pytest.mark.parametrize(("how", "seconds"), [("eta", 2), ("naive", 0.9)])
def test_a_retry_at_a_time(project: Project, ours_queue: Queue, how: str, seconds: float) -> None:
    ours_queue.send_task("shop.flaky", how)
    worker = start(project, ours_queue)

    first, second = project.wait_for_notes("flaky", 2)
    worker.wait_for("run 2, and no retry is left")
    assert second["at"] - first["at"] >= seconds


def test_a_retry_with_other_arguments_is_a_message_of_its_own(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(celery_body("shop.page", 1, tenant="blue"))
    worker = start(project, ours_queue)

    project.wait_for_notes("page", 3)
    ours_queue.wait_until_empty()
    told = [(note["first"], note["size"], note["seen"], note["retries"]) for note in project.notes("page")]
    assert told == [(1, 2, [], 0), (2, 3, ["2020-01-01"], 1), (3, 4, ["2020-01-01", "2020-01-02"], 2)]
    assert {(note["id"], note["tenant"]) for note in project.notes("page")} == {("c-1", "blue")}
    worker.wait_for(r"Task shop.page is retried by message [0-9a-f-]{36}", count=2)


def test_a_retry_of_our_own_message_with_other_arguments(project: Project, ours_queue: Queue) -> None:
    sent = ours_queue.send_task("shop.page", 2)
    start(project, ours_queue)

    project.wait_for_notes("page", 2)
    ours_queue.wait_until_empty()
    assert [(note["first"], note["retries"], note["id"]) for note in project.notes("page")] == [
        (2, 0, sent),
        (3, 1, sent),
    ]


def test_a_retry_with_the_same_arguments_is_the_same_message(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.same", [1])
    worker = start(project, ours_queue)

    project.wait_for_notes("same", 2)
    ours_queue.wait_until_empty()
    worker.wait_for(r"shop.same raised error .*Retry; run 1, the next one in 0 s")
    worker.wait_for(r"\[WARNING\]: Task shop.same: self.retry\(priority=...\) is not carried over")


def test_a_retry_to_another_queue(project: Project, ours_queue: Queue) -> None:
    other = Queue(ours_queue.client, f"{ours_queue.name}-other")
    ours_queue.send_task("shop.elsewhere", f"{ours_queue.name}.other")
    project.worker(ours_queue.name, other.name, PYTHONPATH=site_packages())

    first, second = project.wait_for_notes("elsewhere", 2)
    assert second["at"] - first["at"] >= 1
    ours_queue.wait_until_empty()
    other.wait_until_empty()
    assert [note["retries"] for note in (first, second)] == [0, 1]


def test_a_retry_that_can_not_be_sent_is_a_failure(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.elsewhere", "x" * 81)
    worker = start(project, ours_queue)
    worker.wait_for("What becomes of task shop.elsewhere can't be found out; its message comes back")
    assert ours_queue.counts() == (0, 1)


def test_autoretry(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.automatic", "do")
    worker = start(project, ours_queue)

    worker.wait_for("shop.automatic raised error .*ValueError; run 3, and no retry is left")
    assert [note["retries"] for note in project.notes("automatic")] == [0, 1, 2]


def test_what_autoretry_leaves_out(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.automatic", "dont")
    worker = start(project, ours_queue)

    worker.wait_for("shop.automatic raised error .*UnicodeError")
    assert len(project.notes("automatic")) == 1
    assert ours_queue.counts() == (0, 1)


def test_ignore_deletes(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.leave", "ignore")
    worker = start(project, ours_queue)
    worker.wait_for("shop.leave was discarded: Ignore: nothing to do")
    ours_queue.wait_until_empty()


def test_a_rejected_message_stays_or_comes_again(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.leave", "requeue")
    worker = start(project, ours_queue)
    project.wait_for_notes("leave", 2)
    worker.wait_for(r"\[ERROR\]: Task shop.leave raised error .*: Reject")
    assert ours_queue.counts() == (0, 1)


def test_errors_that_a_task_throws_are_no_trouble(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.leave", "throws")
    worker = start(project, ours_queue)
    worker.wait_for(r"\[INFO\]: Task shop.leave raised expected: KeyError")
    assert "Traceback" not in worker.output
    assert ours_queue.counts() == (0, 1)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("do", ["before_start", "called", "on_success", "after_return SUCCESS", "postrun SUCCESS"]),
        (
            "retry",
            [
                *["before_start", "called", "on_retry", "after_return RETRY", "postrun RETRY"],
                *["before_start", "called", "on_success", "after_return SUCCESS", "postrun SUCCESS"],
            ],
        ),
        ("fail", ["before_start", "called", "on_failure", "after_return FAILURE", "postrun FAILURE"]),
    ],
)
def test_the_handlers_of_a_task(project: Project, ours_queue: Queue, how: str, expected: list[str]) -> None:
    ours_queue.send(celery_body("shop.noted", how))
    start(project, ours_queue)

    project.wait_for_notes("postrun", sum(word.startswith("postrun") for word in expected))
    notes = [note for note in project.notes() if note["what"] != "prerun"]
    assert [f"{note['what']} {note.get('status') or note.get('state') or ''}".strip() for note in notes] == expected
    assert {note["id"] for note in notes if "id" in note} == {"c-1"}
    if how == "do":
        assert [(note["result"], note["same"]) for note in project.notes("on_success")] == [("do", True)]
    if how == "fail":
        assert [note["traceback"] for note in project.notes("on_failure")] == [True]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_soft_limit_is_celerys_exception(project: Project, ours_queue: Queue, threads: str) -> None:
    ours_queue.send_task("shop.slow", 1)
    start(project, ours_queue, "--threads", threads)
    project.wait_for_notes("told")
    ours_queue.wait_until_empty()


def test_the_hard_limit_of_a_task_object(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.endless")
    worker = start(project, ours_queue)
    worker.wait_for(r"shop.endless .* time limit of 0.5")


def test_a_direct_call_raises_as_celerys_does(project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("shop.direct")
    start(project, ours_queue)
    (note,) = project.wait_for_notes("raised directly")
    ours_queue.wait_until_empty()
    assert note["own"] is False
