"""``pyqs.django``: the command, the settings, connections, transactions."""

from __future__ import annotations

import sys

import pytest
from support.examples import Example, script, settings
from support.projects import Project
from support.queues import Queue

NEEDS_TASKS = pytest.mark.skipif(sys.version_info < (3, 10), reason="no django.tasks for Python 3.9")


def with_work(shop: Example, lines: str = "") -> dict[str, str]:
    """The same, with an app more: the tasks of ``WORK``."""
    shop.write("work/__init__.py", "")
    shop.write("work/tasks.py", WORK)
    return settings(shop, f"INSTALLED_APPS.append('work')\n{lines}")


@pytest.mark.parametrize("arguments", [["q", "--concurrency", "x"], ["--no-such-option"], ["send"], ["--version"]])
def test_options_and_exit_codes_are_those_of_pyqs(shop: Example, arguments: list[str]) -> None:
    ours = shop.pyqs(*arguments)
    command = shop.start_manage("pyqs", *arguments)

    assert (command.wait(), command.output) == (ours.returncode, ours.stdout + ours.stderr)


def test_djangos_own_options_hold_too(shop: Example) -> None:
    settings(shop, "PYQS = {'CONCURRENCY': 'here'}")
    for arguments in (["pyqs", "q", "--settings", "changed"], ["pyqs", "--settings=changed", "q"]):
        command = shop.start_manage(*arguments)
        assert command.wait() == 2
        assert "'here'" in command.output


def test_a_worker_without_queues_says_so(shop: Example) -> None:
    changed = settings(shop, "PYQS = TASKS = {}\nINSTALLED_APPS = ['pyqs.django']\ndel ROOT_URLCONF")
    command = shop.start_manage("pyqs", **changed)
    assert command.wait() == 2
    assert "no queue given" in command.output


def test_options_variables_settings_and_the_projects_file_in_this_order(shop: Example) -> None:
    shop.write("pyproject.toml", "[tool.pyqs]\ntime_limit = 'of file'")
    changed = settings(shop, "PYQS = {'Time_Limit': 'of settings'}")
    variable = {"PYQS_TIME_LIMIT": "of variable"}
    for options, environment, said in (
        ([], {}, "of file"),
        ([], changed, "of settings"),
        ([], {**changed, **variable}, "of variable"),
        (["--time-limit", "of option"], {**changed, **variable}, "of option"),
    ):
        command = shop.start_manage("pyqs", "q", *options, **environment)
        assert command.wait() == 2
        assert f"bad value '{said}' for --time-limit" in command.output


def test_programs_of_the_projects_go_by_the_settings(shop: Example) -> None:
    changed = settings(shop, "PYQS = {'CONCURRENCY': 7, 'THREADS': 7, 'THRAEDS': 7}")
    printed = script(
        shop,
        """
from pyqs import main
main.run_worker = lambda settings: print(settings.concurrency, settings.threads)
main._main(["q"])
main._main(["q"], 3)
""",
        **changed,
        PYQS_THREADS="2",
    )
    assert printed == "7 2\n3 2\n"


def test_settings_of_all_kinds_of_values(shop: Example) -> None:
    changed = settings(
        shop,
        """
PYQS = {"QUEUES": ["a", "b*"], "SIMPLE_WORKER": True, "STRICT": False, "INTERVAL": 0.5, "IMPORTS": ["orders.tasks"],
        "ENDPOINT_URL": None, "EXTEND_VISIBILITY": False, "LOG_LEVEL": "INFO"}
from pyqs import main
def show(settings):
    print(settings.queues, settings.imports, settings.extend_visibility, settings.log_level)
    raise SystemExit
main.run_worker = show
""",
    )
    assert shop.manage("pyqs", **changed) == "['a,b*'] ['orders.tasks'] False INFO\n"
    assert shop.manage("pyqs", "given", **changed) == "['given'] ['orders.tasks'] False INFO\n"


@NEEDS_TASKS
def test_without_queues_it_works_on_those_of_tasks(shop: Example) -> None:
    changed = settings(
        shop,
        """
PYQS = {}
TASKS["other"] = {**TASKS["default"], "OPTIONS": {}, "QUEUES": ["b", "a"]}
TASKS["dummy"] = {"BACKEND": TASKS["default"]["BACKEND"], "QUEUES": ["a"]}
from pyqs import main
def show(settings):
    print(settings.queues)
    raise SystemExit
main.run_worker = show
""",
    )
    assert shop.manage("pyqs", **changed) == "['shop-mail,a,b']\n"


def test_sending_goes_by_the_settings_and_by_variables_before(shop: Example, ours_project: Project) -> None:
    other = Queue(ours_project.endpoint.client(), "shop-orders")
    changed = settings(shop, f"PYQS['ENDPOINT_URL'] = {ours_project.endpoint.url!r}")
    lines = "from orders.tasks import reserve\nreserve.delay(1)"
    script(shop, lines, **changed)
    assert other.take(1)

    script(shop, lines, **changed, PYQS_ENDPOINT_URL=shop.endpoint.url)
    assert shop.queue("shop-orders").take(1)
    assert other.counts() == (0, 0)


CHECKS = """
import copy
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings

for lines in {changes}:
    changed = {{"PYQS": copy.deepcopy(settings.PYQS), "TASKS": copy.deepcopy(settings.TASKS)}}
    exec(lines, changed)
    del changed["__builtins__"]
    with override_settings(**changed):
        print([(problem.id, problem.msg, problem.hint) for problem in run_checks() if problem.id != "urls.E007"])
"""


@NEEDS_TASKS
def test_system_checks(shop: Example) -> None:
    cases = {
        "": [],
        "PYQS = None": [],
        "PYQS['CONCURENCY'] = 4": ["pyqs.E002", "Is it 'CONCURRENCY'?"],
        "PYQS = ['shop-orders']": ["pyqs.E001", "is a list, not a dict"],
        "PYQS['QUEUES'] = []": ["pyqs.E003", "PYQS['QUEUES'] is []"],
        "PYQS['QUEUES'] = ['a', '']": ["pyqs.E003", "['a', '']"],
        "TASKS['default']['OPTIONS']['retires'] = 4": ["pyqs.E004", "has 'retires'"],
        "TASKS['default']['OPTIONS']['retries'] = -1": ["pyqs.E005", "retries"],
        "TASKS['default']['QUEUES'].append('my mail')": ["pyqs.E006", "'shop-my mail' is no queue name"],
    }
    changed = settings(shop, TASKS_CHECKED)
    found = script(shop, CHECKS.format(changes=list(cases)), **changed).splitlines()
    assert len(found) == len(cases)
    for problems, (lines, words) in zip(found, cases.items()):
        assert problems.count("pyqs.E") == (1 if words else 0), lines
        assert all(word in problems for word in words), lines


TASKS_CHECKED = """
try:
    import django.tasks
except ImportError:
    INSTALLED_APPS.append("django_tasks")  # which registers its checks
"""


def test_no_worker_starts_with_settings_that_fail_the_checks(shop: Example) -> None:
    command = shop.start_manage("pyqs", **settings(shop, "PYQS['CONCURENCY'] = 4"))
    assert command.wait() == 1
    assert "pyqs.E002" in command.output


def test_the_example_passes_its_checks(shop: Example) -> None:
    assert "no issues" in shop.manage("check")


def test_delay_on_commit(shop: Example) -> None:
    queue = shop.queue("shop-orders")
    printed = script(
        shop,
        """
import json
from django.db import transaction
from orders.models import Order
from orders.tasks import reserve

class Undo(Exception):
    pass

def order(number, undo=False):
    try:
        with transaction.atomic():
            Order.objects.create(id=number, item="x")
            reserve.delay_on_commit(number)
            if undo:
                raise Undo
    except Undo:
        pass

reserve.delay_on_commit(1)          # no transaction: at once
order(2)
order(3, undo=True)
with transaction.atomic():
    order(4)
    order(5, undo=True)             # a savepoint's
    with transaction.atomic(durable=False):
        mutable = [6]
        reserve.delay_on_commit(mutable)
        mutable.append(7)           # too late: what is sent is what was given
try:
    with transaction.atomic():
        order(8)
        raise Undo
except Undo:
    pass
try:
    with transaction.atomic():
        reserve.delay_on_commit(object())
except TypeError as error:
    print(error)
""",
    )
    assert "argument 1 of orders.tasks.reserve is a object" in printed
    sent = [eval(message["Body"])["args"][0] for message in queue.take(4)]
    assert sorted(map(str, sent)) == ["1", "2", "4", "[6]"]
    assert queue.counts() == (0, 0)


WORK = """
from django.db import connection, connections, transaction
from django.db.utils import Error
from journal import note, wait_for_gate
from orders.models import Order
from pyqs import task

@task(queue="shop-orders")
def touch(value):
    was_open = connection.connection is not None
    Order.objects.create(item=value)
    note("touch", value=value, was_open=was_open)

@task(queue="shop-orders")
def wreck():
    connection.is_usable = lambda: False   # as of a server that has gone away
    try:
        connection.cursor().execute("nonsense")
    except Error:
        note("wreck")

@task(queue="shop-orders")
async def each(gate):
    async for order in Order.objects.order_by("pk").aiterator(chunk_size=1):
        note("each", value=order.pk)
        if order.pk == 1:
            await asyncio.to_thread(wait_for_gate, gate)
    note("end", value=gate)

@task(queue="shop-orders")
async def count(value):
    note("count", value=await Order.objects.acount())

import asyncio
"""


def test_connections_are_closed_with_the_task(shop: Example) -> None:
    changed = with_work(shop)
    script(shop, "from work.tasks import touch\nfor n in range(4): touch.delay(n)", **changed)
    shop.start_manage("pyqs", "--concurrency", "1", **changed)

    assert [note["was_open"] for note in shop.wait_for_notes("touch", 4)] == [False] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_persistent_connections_stay_with_their_thread(shop: Example, threads: int) -> None:
    changed = with_work(shop, "DATABASES['default']['CONN_MAX_AGE'] = None")
    # One that is open when the worker forks is nobody's afterwards.
    shop.write("orders/apps.py", APPS)
    script(shop, "from work.tasks import touch\nfor n in range(9): touch.delay(n)", **changed)
    shop.start_manage("pyqs", "--concurrency", "1", "--threads", str(threads), **changed)
    were_open = [note["was_open"] for note in shop.wait_for_notes("touch", 9)]
    assert were_open.count(False) in range(1, threads + 1)


def test_a_broken_persistent_connection_is_replaced(shop: Example) -> None:
    changed = with_work(shop, "DATABASES['default']['CONN_MAX_AGE'] = None")
    worker = shop.start_manage("pyqs", "--concurrency", "1", **changed)
    script(shop, "from work.tasks import touch, wreck\ntouch.delay(1)", **changed)
    shop.wait_for_notes("touch")
    script(shop, "from work.tasks import touch, wreck\nwreck.delay()", **changed)
    shop.wait_for_notes("wreck")
    script(shop, "from work.tasks import touch, wreck\nfor n in range(3): touch.delay(n)", **changed)
    assert [note["was_open"] for note in shop.wait_for_notes("touch", 4)] == [False, False, True, True]
    assert worker.stop() == 0, worker.output


APPS = """
from django.apps import AppConfig

class Orders(AppConfig):
    name = "orders"
    def ready(self):
        from django.db import connection
        connection.ensure_connection()
"""


def test_a_connection_from_before_the_fork_is_left_alone(shop: Example) -> None:
    """Also where a program of the user's starts the worker."""
    changed = with_work(shop, "DATABASES['default']['CONN_MAX_AGE'] = None")
    script(shop, "from work.tasks import touch\ntouch.delay(1)", **changed)
    shop.script(
        """
import django
django.setup()
from django.db import connection
from pyqs.main import _main
connection.ensure_connection()
_main(["shop-orders"], 1, interval=0)
""",
        **changed,
    )
    assert [note["was_open"] for note in shop.wait_for_notes("touch")] == [False]


def test_tasks_on_one_event_loop_leave_each_others_connections_alone(shop: Example) -> None:
    changed = with_work(shop)
    script(
        shop,
        """
from orders.models import Order
from work.tasks import each
for n in range(3): Order.objects.create(item=n)
each.delay("gate")
""",
        **changed,
    )
    worker = shop.start_manage("pyqs", "--concurrency", "1", "--threads", "3", **changed)
    shop.wait_for_notes("each")
    script(shop, "from work.tasks import count\nfor n in range(5): count.delay(n)", **changed)
    shop.wait_for_notes("count", 5)
    shop.open_gate("gate")
    shop.wait_for_notes("end")
    assert shop.values("each") == [1, 2, 3]
    assert worker.stop() == 0, worker.output


def test_a_transaction_around_is_not_touched(shop: Example) -> None:
    """As that of a test which runs a task."""
    printed = script(
        shop,
        """
from django.db import transaction
from pyqs.events import get_events
from orders.models import Order
try:
    with transaction.atomic():
        Order.objects.create(item="x")
        for hook in get_events().pre_process + get_events().post_process:
            hook({})
        Order.objects.create(item="y")
        print(Order.objects.count())
        raise KeyError
except KeyError:
    print(Order.objects.count())
""",
    )
    assert printed == "2\n0\n"


def test_all_installed_apps_tasks_are_known(shop: Example) -> None:
    """With ``--registered-only`` too, which imports nothing by a message's word."""
    changed = with_work(shop)
    script(shop, "from work.tasks import touch\ntouch.delay(1)", **changed)
    shop.start_manage("pyqs", "--registered-only", **changed)
    shop.wait_for_notes("touch")


def test_a_tasks_module_that_fails_ends_the_start(shop: Example) -> None:
    shop.write("orders/tasks.py", "import no_such_module\n")
    command = shop.start_manage("pyqs")
    assert command.wait() == 1
    assert "no_such_module" in command.output
