"""``pyqs.django.TasksBackend``: tasks of Django's own framework, on SQS."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from support.examples import Example, script, settings
from support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason="no django.tasks for Python 3.9")

TASKS = """
import pyqs
from journal import note
from orders.models import Order
try:
    from django.tasks import task
except ImportError:
    from django_tasks import task

@task(queue_name="mail")
def plain(value, more=0):
    note("plain", value=value, more=more)

@task(queue_name="mail", takes_context=True)
def contextual(context, value):
    result = context.task_result
    note("contextual", value=value, id=result.id, attempt=context.attempt, status=str(result.status),
         enqueued=str(result.enqueued_at), backend=result.backend, args=result.args)

@task(queue_name="mail", takes_context=True)
async def in_async(context, value):
    await Order.objects.acreate(item=value)
    note("in_async", value=value, id=context.task_result.id, count=await Order.objects.acount())

@task(queue_name="mail", takes_context=True)
def fail_first(context, value):
    note("fail_first", value=value, attempt=context.attempt)
    if context.attempt == 1:
        raise ValueError("no luck")
    return "lucky"

def no_task(value):
    note("no_task", value=value)
"""

APPS = """
from django.apps import AppConfig

class Work(AppConfig):
    name = "work"

    def ready(self):
        from journal import note
        try:
            from django.tasks.signals import task_enqueued, task_finished, task_started
        except ImportError:
            from django_tasks.signals import task_enqueued, task_finished, task_started

        def tell(what):
            def receiver(sender, task_result, **_):
                note(what, value=task_result.id, status=str(task_result.status), sender=sender.__name__,
                     errors=[error.exception_class_path for error in task_result.errors])
                raise RuntimeError("a receiver that fails harms nothing")
            return receiver

        for signal, what in ((task_started, "started"), (task_finished, "finished")):
            signal.connect(tell(what), weak=False)
"""


def with_tasks(shop: Example, lines: str = "") -> dict[str, str]:
    """Settings with the app ``work``, which has ``TASKS`` and listens to the framework's signals."""
    shop.write("work/__init__.py", "")
    shop.write("work/apps.py", APPS)
    shop.write("work/tasks.py", TASKS)
    return settings(shop, f"INSTALLED_APPS.append('work')\nTASKS['default']['ENQUEUE_ON_COMMIT'] = False\n{lines}")


def body(message: dict[str, Any]) -> Any:
    return json.loads(message["Body"])


def test_a_call_as_it_is_sent(shop: Example) -> None:
    changed = with_tasks(shop, "TASKS['default']['QUEUES'].append('other')")
    printed = script(
        shop,
        """
from work.tasks import plain
result = plain.enqueue([1, {"a": None}], more=2.5)
print(result.id, result.status, result.enqueued_at.isoformat(), result.backend, result.args, result.kwargs)
plain.using(queue_name="other").enqueue("other")
""",
        **changed,
    )
    (message,) = shop.queue("shop-mail").take()
    assert body(message) == {"task": "work.tasks.plain", "args": [[1, {"a": None}]], "kwargs": {"more": 2.5}}
    told = json.loads(message["MessageAttributes"]["django.task"]["StringValue"])
    assert printed == (f"{told['id']} READY {told['enqueued_at']} default [[1, {{'a': None}}]] {{'more': 2.5}}\n")
    assert told["backend"] == "default"
    assert body(*shop.queue("shop-other").take())["args"] == ["other"]


def test_what_can_not_be_sent(shop: Example) -> None:
    changed = with_tasks(shop)
    printed = script(
        shop,
        """
import datetime
from django.utils import timezone
from work.tasks import plain
far = timezone.now() + datetime.timedelta(days=400)
for call in (
    lambda: plain.using(priority=5),
    lambda: plain.using(queue_name="unlisted"),
    lambda: plain.using(run_after=datetime.datetime(2030, 1, 1)),
    lambda: plain.using(run_after=far).enqueue(1),
    lambda: plain.enqueue(object()),
    lambda: plain.enqueue(1, 2, 3),
    lambda: plain.enqueue(1, les=3),
    lambda: plain.get_result("x"),
    lambda: plain.enqueue(1).refresh(),
):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, "|", error)
""",
        **changed,
    )
    lines = printed.splitlines()
    for line, words in zip(
        lines,
        (
            "priority",
            "unlisted",
            "aware",
            "366 days",
            "TypeError",
            "one too many",
            "argument les",
            "NotImpl",
            "NotImpl",
        ),
    ):
        assert words in line
    assert len(lines) == 9
    assert shop.queue("shop-mail").counts() == (1, 0)


def test_run_after(shop: Example) -> None:
    changed = with_tasks(shop)
    script(
        shop,
        """
import datetime
from django.utils import timezone
from work.tasks import plain
for seconds in (-60, 600, 86400):
    plain.using(run_after=timezone.now() + datetime.timedelta(seconds=seconds)).enqueue(seconds)
""",
        **changed,
    )
    queue = shop.queue("shop-mail")
    eventually(lambda: queue.counts() == (1, 0) and queue.delayed() == 2, "one is due, two are not")
    assert body(*queue.take())["args"] == [-60]


def test_times_without_a_zone_are_in_the_projects(shop: Example) -> None:
    changed = with_tasks(shop, "USE_TZ = False\nTIME_ZONE = 'Asia/Tokyo'")
    script(
        shop,
        """
import datetime
from work.tasks import plain
for seconds in (-60, 600):
    plain.using(run_after=datetime.datetime.now() + datetime.timedelta(seconds=seconds)).enqueue(seconds)
""",
        **changed,
    )
    queue = shop.queue("shop-mail")
    eventually(lambda: queue.counts() == (1, 0) and queue.delayed() == 1, "one is due, one is not")
    assert body(*queue.take())["args"] == [-60]


def test_on_commit(shop: Example) -> None:
    changed = with_tasks(shop, "TASKS['default']['ENQUEUE_ON_COMMIT'] = True")
    printed = script(
        shop,
        """
import asyncio
from django.db import transaction
from work.tasks import plain
with transaction.atomic():
    kept = plain.enqueue("kept")
    print(kept.id != "", kept.enqueued_at)
print(kept.enqueued_at is not None)
try:
    with transaction.atomic():
        plain.enqueue("lost")
        raise KeyError
except KeyError:
    pass
plain.enqueue("at once")
asyncio.run(plain.aenqueue("in async"))
""",
        **changed,
    )
    assert printed == "True None\nTrue\n"
    queue = shop.queue("shop-mail")
    assert sorted(body(message)["args"][0] for message in queue.take(3)) == ["at once", "in async", "kept"]
    assert queue.counts() == (0, 0)


def test_tasks_run_and_are_told_of(shop: Example) -> None:
    changed = with_tasks(shop)
    ids = script(
        shop,
        """
from work.tasks import *
for call in (plain, contextual, in_async, fail_first):
    print(call.enqueue(call.name).id)
""",
        **changed,
    ).split()
    worker = shop.start_manage("pyqs", **changed)
    shop.wait_for_notes("finished", 5)
    shop.queue("shop-mail").wait_until_empty()

    assert shop.values("plain") == ["plain"]
    (contextual,) = shop.notes("contextual")
    assert (contextual["id"], contextual["attempt"], contextual["status"]) == (ids[1], 1, "RUNNING")
    assert (contextual["backend"], contextual["args"]) == ("default", ["contextual"])
    assert [note["id"] for note in shop.notes("in_async")] == [ids[2]]
    assert [note["attempt"] for note in shop.notes("fail_first")] == [1, 2], "OPTIONS has retries"
    assert sorted(shop.values("started")) == sorted([*ids, ids[3]])
    finished = [(note["value"], note["status"], note["errors"]) for note in shop.notes("finished")]
    assert sorted(finished) == sorted(
        [(id, "SUCCESSFUL", []) for id in ids] + [(ids[3], "FAILED", ["builtins.ValueError"])]
    )
    assert {note["sender"] for note in shop.notes("finished")} == {"TasksBackend"}
    assert worker.stop() == 0, worker.output


def test_only_tasks_run(shop: Example) -> None:
    """By the paths that anybody who can send may name."""
    changed = with_tasks(shop)
    queue = shop.queue("shop-mail")
    refused = ["work.tasks.no_task", "work.tasks.Order", "work.tasks.plain.func", "work.tasks.task", "os.getcwd"]
    for path in refused:
        queue.send_task(path, 1)
    # One without what the backend adds, as from elsewhere; one with nonsense in its place.
    queue.send_task("work.tasks.contextual", "bare")
    nonsense = {"django.task": {"DataType": "String", "StringValue": '["no", "object"]'}}
    queue.send(json.dumps({"task": "work.tasks.contextual", "args": ["odd"], "kwargs": {}}), MessageAttributes=nonsense)
    worker = shop.start_manage("pyqs", "--registered-only", **changed)
    worker.wait_for(r"can't be run: ", count=len(refused))
    notes = shop.wait_for_notes("contextual", 2)
    assert sorted((note["value"], note["enqueued"], note["attempt"]) for note in notes) == [
        ("bare", "None", 1),
        ("odd", "None", 1),
    ]
    assert not shop.notes("no_task")
