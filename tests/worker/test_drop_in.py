"""What programs written for PyQS 1.0.1 do with a worker goes on as it was."""

from __future__ import annotations

import sys
from typing import Callable

from support.processes import Process
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

SEND_WITH_DEFAULTS = """
from pyqs import task
from journal import note

@task()
def greet(name, greeting="hello"):
    note("greet", value=f"{greeting} {name}")
"""

PROGRAM = """
import sys
from journal import note
from pyqs.main import _main
from pyqs.events import register_event

STATE = {{"ready": False}}
STATE["ready"] = True
register_event("pre_process", lambda context: note("hook", value=STATE["ready"]))
{call}
"""


def test_a_task_with_all_defaults_goes_through_its_own_queue(project: Project) -> None:
    project.write("greetings.py", SEND_WITH_DEFAULTS)
    code = "from greetings import greet; print(greet.delay('Ada', greeting='good day'))"
    message_id = project.python(code).strip()
    assert len(message_id) == 36

    project.worker("greetings.greet")

    assert project.wait_for_notes("greet")[0]["value"] == "good day Ada"


def test_main_takes_positional_arguments(project: Project, queue: Queue) -> None:
    queue.send_task("tasks.work", 7)
    project.script(PROGRAM.format(call=f"_main(['{queue.name}'], 2, 'WARN', 'us-east-1')"))

    assert project.wait_for_notes("work")[0]["value"] == 7
    assert project.values("hook") == [True], "what the program has set up is there in the tasks"
    queue.wait_until_empty()


def test_main_takes_keyword_arguments_and_exits_0_after_a_signal(ours_project: Project, ours_queue: Queue) -> None:
    call = f"""_main(
        queue_prefixes=["{ours_queue.name}"], concurrency=1, logging_level="INFO", region="us-east-1",
        access_key_id="local", secret_access_key="local", interval=0, batchsize=1, prefetch_multiplier=2,
        simple_worker=False, endpoint_url="{ours_project.endpoint.url}")
note("returned")"""
    unset = dict.fromkeys(["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
    program = ours_project.start(
        [sys.executable, str(ours_project.write("program.py", PROGRAM.format(call=call)))], **unset
    )
    ours_queue.send_task("tasks.work", 1)
    ours_project.wait_for_notes("work")

    assert program.stop() == 0
    assert ours_project.notes("returned") == [], "_main does not return"


def test_main_does_not_look_at_the_programs_own_arguments(project: Project, queue: Queue) -> None:
    project.write("program.py", PROGRAM.format(call=f"_main(['{queue.name}'], interval=0)"))
    project.start([sys.executable, "program.py", "--unknown", "other-queue"])
    queue.send_task("tasks.work", 1)

    project.wait_for_notes("work")


def test_manager_worker_starts_and_stops_from_a_program(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write(
        "program.py",
        f"""
import sys, time
sys.path.insert(0, ".")
from pyqs.worker import ManagerWorker
from journal import note, wait_for_gate

manager = ManagerWorker(["{ours_queue.name}"], 1, 0, 10, prefetch_multiplier=2, region="us-east-1",
                        access_key_id="local", secret_access_key="local")
note("urls", value=manager.queue_urls)
manager.start()
wait_for_gate("stop")
manager.stop()
note("stopped")
""",
    )
    program = ours_project.start([sys.executable, "program.py"])
    ours_queue.send_task("tasks.work", 3)
    ours_project.wait_for_notes("work")
    assert [url.rsplit("/", 1)[1] for url in ours_project.values("urls")[0]] == [ours_queue.name]

    ours_project.open_gate("stop")

    assert program.wait() == 0, program.output
    assert ours_project.notes("stopped")
    assert "Traceback" not in program.output


def test_manager_worker_sleeps_until_a_signal(ours_project: Project, ours_queue: Queue) -> None:
    program = ours_project.script(
        f"""
import os, sys
sys.path.insert(0, os.getcwd())
from pyqs.worker import SimpleManagerWorker
manager = SimpleManagerWorker(["{ours_queue.name}"], 1, 0, 1)
manager.start()
manager.sleep()
"""
    )
    ours_queue.send_task("tasks.work", 3)
    ours_project.wait_for_notes("work")

    assert program.stop() == 0, program.output


def test_python_m_pyqs_is_the_command(project: Project, queue: Queue) -> None:
    project.start([sys.executable, "-m", "pyqs", queue.name])
    queue.send_task("tasks.work", 1)

    project.wait_for_notes("work")


def test_the_current_directory_is_importable(project: Project, queue: Queue) -> None:
    project.write("only_here.py", "from journal import note\ndef plain(value):\n    note('plain', value=value)\n")
    project.worker(queue.name)
    queue.send_task("only_here.plain", 5)

    assert project.wait_for_notes("plain")[0]["value"] == 5


def test_a_queue_with_redrive_and_a_healthy_worker_say_nothing(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name, loglevel="WARN")
    queue.send_task("tasks.work", 1)
    project.wait_for_notes("work")
    queue.wait_until_empty()

    assert worker.output == ""


def test_log_lines_keep_their_wording(worker: Callable[..., Process], project: Project, queue: Queue) -> None:
    process = worker(queue.name)
    queue.send_task("tasks.work", "a")
    queue.send_task("tasks.fail", "b")
    project.wait_for_notes("work")
    project.wait_for_notes("fail")

    process.wait_for(r"^\[INFO\]: Starting PyQS version \S+$")
    process.wait_for(rf"^\[INFO\]: \[Queue\]\t{queue.name}$")
    process.wait_for(rf"^\[INFO\]: Found matching SQS Queues: \[.*{queue.name}.*\]$")
    process.wait_for(rf"^\[INFO\]: Running ReadWorker: \S+/{queue.name}, pid: \d+$")
    process.wait_for(r"^\[INFO\]: Running ProcessWorker, pid: \d+$")
    process.wait_for(
        r"^\[INFO\]: Processed task tasks\.work in \d+\.\d{4} seconds with args: \['a'\] and kwargs: \{\}"
        r" \[tasks\.work \S+\]$"
    )
    process.wait_for(
        r"^\[ERROR\]: Task tasks\.fail raised error in \d+\.\d{4} seconds: with args: \['b'\] and kwargs: \{\}: "
    )
    process.wait_for(r"^ValueError: no luck with b$")
    process.send_signal(15)
    process.wait_for(r"^\[INFO\]: Received shutdown signal 15$")
    process.wait_for(r"^\[INFO\]: Graceful shutdown\. Sending shutdown signal to children\.$")


def test_a_loglevel_may_be_in_lower_case(project: Project, queue: Queue) -> None:
    process = project.start_pyqs(queue.name, "--log_level", "info")

    process.wait_for(r"Starting PyQS version")


def test_an_interval_is_kept_between_two_tasks(project: Project, queue: Queue) -> None:
    queue.send_tasks("tasks.work", [[1], [2], [3]])
    project.worker(queue.name, "--interval", "0.5")

    times = [note["at"] for note in project.wait_for_notes("work", 3)]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert all(gap >= 0.45 for gap in gaps), gaps


def test_a_delay_inside_a_task_goes_where_the_worker_gets_its_tasks(project: Project, queue: Queue) -> None:
    project.write(
        "chained.py",
        f"""
from journal import note
from pyqs import task

@task(queue="{queue.name}")
def first(value):
    second.delay(value + 1)

@task(queue="{queue.name}")
def second(value):
    note("second", value=value)
""",
    )
    connection = ["--endpoint-url", project.endpoint.url, "--region", "us-east-1"]
    keys = ["--access-key-id", "local", "--secret-access-key", "local"]
    unset = dict.fromkeys(["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
    project.worker(queue.name, *connection, *keys, **unset)
    queue.send_task("chained.first", 1)

    assert project.wait_for_notes("second")[0]["value"] == 2
    queue.wait_until_empty()


def test_tasks_share_what_the_program_imported_before(project: Project, queue: Queue) -> None:
    project.write(
        "program.py",
        f"""
import tasks
from journal import note
from pyqs.main import _main

def local_task(value):
    note("local", value=value)

_main(["{queue.name}"], 1, interval=0)
""",
    )
    project.start([sys.executable, "program.py"])
    queue.send_task("__main__.local_task", 4)

    assert project.wait_for_notes("local")[0]["value"] == 4


def test_the_programs_other_children_are_its_own(ours_project: Project, ours_queue: Queue) -> None:
    """A program that has children of its own gets their exit codes, not the worker."""
    ours_project.write(
        "program.py",
        f"""
import subprocess, sys
from journal import note
from pyqs.worker import ManagerWorker

child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
manager = ManagerWorker(["{ours_queue.name}"], 1, 0, 10)
manager.start()
try:
    manager.sleep()
finally:
    note("child", value=child.wait())
""",
    )
    program = ours_project.start([sys.executable, "program.py"])
    ours_queue.send_task("tasks.work", 1)
    ours_project.wait_for_notes("work")

    assert program.stop() == 0, program.output
    assert eventually(lambda: ours_project.values("child")) == [7]


def test_reload_is_for_programs_that_are_a_worker_alone(ours_project: Project, ours_queue: Queue) -> None:
    output = ours_project.python(
        "import pyqs\n"
        "from pyqs.worker import ManagerWorker\n"
        "try:\n"
        f"    ManagerWorker([{ours_queue.name!r}], 1, 0, 10, reload=True)\n"
        "except pyqs.errors.SettingsInvalid as error:\n"
        "    print(error)\n"
        f"ManagerWorker([{ours_queue.name!r}], 1, 0, 10)\n",
        PYQS_RELOAD="1",
    )
    refused, warned = output.splitlines()
    assert "use `pyqs --reload`, or pyqs.main._main(..., reload=True)" in refused
    assert warned == "ManagerWorker does not start anew when code changes, as reload says; `pyqs` does"
