"""``@pyqs.lifespan``: what each task process sets up before its first task and closes after its last."""

from __future__ import annotations

import os
import signal

import pytest
from support.processes import is_alive
from support.projects import Project
from support.queues import Queue, new_name
from support.waiting import eventually

HOOKS = """
import asyncio, contextlib, contextvars
import pyqs
from journal import note
from pyqs import task

connections = {}
tenant = contextvars.ContextVar("tenant", default=None)

@pyqs.lifespan
def first():
    connections["first"] = "open"
    tenant.set("blue")
    note("opened", value="first")
    yield
    note("closed", value="first")

@pyqs.lifespan
async def second():
    loop = connections["loop"] = asyncio.get_running_loop()
    here = asyncio.current_task()
    await asyncio.sleep(0)
    note("opened", value="second")
    yield
    assert loop is asyncio.get_running_loop() and here is asyncio.current_task()
    await asyncio.sleep(0)
    note("closed", value="second")

@pyqs.lifespan
@contextlib.contextmanager
def third():
    note("opened", value="third")
    yield
    note("closed", value="third")

@pyqs.lifespan
class fourth:
    async def __aenter__(self):
        note("opened", value="fourth")
    async def __aexit__(self, *error):
        note("closed", value="fourth")

@task(queue="unused")
def plain(value):
    note("ran", value=value, has=connections["first"], tenant=tenant.get())

@task(queue="unused")
async def soon(value):
    note("ran", value=value, has=connections["first"], tenant=tenant.get(),
         same=asyncio.get_running_loop() is connections["loop"])
"""

ORDER = ["first", "second", "third", "fourth"]


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("hooks.py", HOOKS)
    return ours_project


@pytest.fixture
def queue(ours_queue: Queue) -> Queue:
    return Queue(ours_queue.client, new_name(), VisibilityTimeout="60")


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("option", ["--import", "--preload"])
def test_hooks_are_set_up_before_the_first_task_and_closed_at_a_stop(
    project: Project, queue: Queue, threads: str, option: str
) -> None:
    queue.send_tasks("hooks.plain", [[1], [2]])
    queue.send_tasks("hooks.soon", [[3], [4]])
    worker = project.worker(queue.name, option, "hooks", "--threads", threads)
    ran = project.wait_for_notes("ran", 4)
    assert project.notes("closed") == []
    assert worker.stop(signal.SIGTERM) == 0

    assert [note["value"] for note in project.notes()[:4]] == ORDER
    assert project.values("opened") == ORDER
    assert project.values("closed") == ORDER[::-1]
    assert all(note["has"] == "open" and note["tenant"] == "blue" for note in ran)
    assert all(note["same"] for note in ran if note["value"] > 2), "async hooks are on the loop of the tasks"
    assert len({note["pid"] for note in project.notes()}) == 1
    assert "Traceback" not in worker.output


def test_each_process_has_its_own_and_closes_it_when_it_is_replaced(project: Project, queue: Queue) -> None:
    queue.send_tasks("hooks.plain", [[number] for number in range(3)])
    worker = project.worker(queue.name, "--import", "hooks", "--max-tasks-per-child", "1")
    ran = project.wait_for_notes("ran", 3)
    assert worker.stop() == 0

    for pid in {note["pid"] for note in ran}:
        of_it = [(note["what"], note["value"]) for note in project.notes() if note["pid"] == pid]
        assert [value for what, value in of_it if what == "opened"] == ORDER
        assert [what for what, _ in of_it][4] == "ran"
        assert [value for what, value in of_it if what == "closed"] == ORDER[::-1]


def test_a_killed_process_closes_nothing_and_the_next_one_begins_anew(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name, "--import", "hooks")
    queue.send_task("hooks.plain", 1)
    pid = project.wait_for_notes("ran")[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "it is dead")
    queue.send_task("hooks.plain", 2)
    project.wait_for_notes("ran", 2)
    assert worker.stop() == 0

    assert [note["value"] for note in project.notes("closed") if note["pid"] == pid] == []
    assert project.values("closed") == ORDER[::-1]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_hook_that_raises_from_the_start_ends_the_worker(project: Project, queue: Queue, kind: str) -> None:
    project.write(
        "broken.py", f"import pyqs\n@pyqs.lifespan\n{kind} database():\n    raise OSError('no route')\n    yield\n"
    )
    worker = project.start_pyqs(queue.name, "--import", "hooks", "--import", "broken")
    queue.send_task("tasks.work", 1)

    assert worker.wait() == 1
    assert "pyqs: a lifespan hook raised: OSError: no route" in worker.lines[-1]
    assert project.notes("work") == []
    assert project.values("closed") == ORDER[::-1], "those before it are closed"
    assert queue.counts()[0] + queue.counts()[1] == 1, "the message is still there"


def test_a_hook_that_raises_later_takes_no_tasks_until_it_works_again(project: Project, queue: Queue) -> None:
    project.write(
        "shaky.py",
        """
import os, pyqs
@pyqs.lifespan
def database():
    if os.path.exists("down.gate"):
        raise OSError("no route")
    yield
""",
    )
    worker = project.worker(queue.name, "--import", "shaky")
    queue.send_task("tasks.work", 1)
    pid = project.wait_for_notes("work")[0]["pid"]
    project.open_gate("down")
    os.kill(pid, signal.SIGKILL)
    worker.wait_for("a task process can't start: a lifespan hook raised: OSError: no route", 4)
    queue.send_task("tasks.work", 2)
    worker.wait_for("task processes keep dying before they have ended a task")
    (project.folder / "down.gate").unlink()

    project.wait_for_notes("work", 2)
    assert project.values("work") == [1, 2]


def test_a_hook_that_fails_to_close_keeps_no_other_open(project: Project, queue: Queue) -> None:
    project.write(
        "failing.py",
        """
import sys, pyqs
@pyqs.lifespan
def fail():
    yield
    raise RuntimeError("it does not close")
@pyqs.lifespan
async def leave():
    yield
    sys.exit(3)
@pyqs.lifespan
def twice():
    yield
    yield
""",
    )
    worker = project.worker(queue.name, "--import", "hooks", "--import", "failing")
    queue.send_task("hooks.plain", 1)
    project.wait_for_notes("ran")

    assert worker.stop() == 0
    assert project.values("closed") == ORDER[::-1]
    for name in ("fail", "leave", "twice"):
        worker.wait_for(rf"^\[ERROR\]: Lifespan hook failing\.{name} raised while it was closed")


def test_a_hook_that_comes_too_late_is_named(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name)
    queue.send_task("hooks.plain", 1)

    worker.wait_for(r"^\[ERROR\]: Lifespan hook hooks\.first was declared after its task process had begun, .*--import")
    assert project.notes("opened") == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("async def hook(): pass", "has no `yield`"),
        ("def hook(argument): yield", "is called without arguments"),
        ("hook = 7", "is given 7"),
    ],
)
def test_what_is_no_hook_is_refused_where_it_is_declared(project: Project, source: str, words: str) -> None:
    program = f"import pyqs\n{source}\npyqs.lifespan(hook)"
    result = project.script(program)

    assert result.wait() == 1
    assert words in result.lines[-1]
    assert "SettingsInvalid" in result.lines[-1]


def test_a_function_that_gives_no_context_manager_is_refused_at_the_start(project: Project, queue: Queue) -> None:
    project.write("wrong.py", "import pyqs\n@pyqs.lifespan\ndef hook():\n    return 7\n")
    worker = project.start_pyqs(queue.name, "--import", "wrong")

    assert worker.wait() == 1
    assert "wrong.hook has no `yield`, and gives 7" in worker.lines[-1]
