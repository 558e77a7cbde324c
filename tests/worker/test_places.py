"""Where a worker may be started: standard files that are closed or full, files named like Python's modules."""

from __future__ import annotations

import shlex
import sys

import pytest
from support.endpoints import pyqs_command
from support.processes import one_line
from support.projects import Project
from support.queues import Queue


def _in_shell(project: Project, queue: Queue, redirections: str, *options: str) -> int:
    """A worker that a shell starts so does its work and stops: its exit code. Its output is buffered, as for users."""
    command = shlex.join([*pyqs_command(), queue.name, *options])
    queue.send_tasks("tasks.work", [[number] for number in range(5)])
    worker = project.start(["sh", "-c", f"exec {command} {redirections}"], PYTHONUNBUFFERED=None)
    project.wait_for_notes("work", 5)
    queue.wait_until_empty()
    return worker.stop()


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_standard_files_may_be_closed_or_full(ours_project: Project, ours_queue: Queue, redirections: str) -> None:
    assert _in_shell(ours_project, ours_queue, redirections) == 0


def test_what_a_module_prints_to_a_full_file_stops_no_worker(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("talkative.py", "import sys; sys.stdout.write('x')")
    code = _in_shell(ours_project, ours_queue, ">/dev/full", "--preload", "talkative")
    assert code in (0, 120), "Python's own word for what it could not write at its end"


def test_a_program_that_a_task_starts_does_not_print_into_our_sockets(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write(
        "programs.py",
        """
import subprocess
from journal import note

def echo(value):
    note("echo", value=subprocess.run("echo out; echo error >&2", shell=True).returncode)
""",
    )
    ours_queue.send_task("programs.echo", 1)
    assert _in_shell(ours_project, ours_queue, "<&- >&- 2>&-") == 0
    assert ours_project.values("echo") == [0]


def test_files_named_like_modules_of_python_do_not_matter_to_the_command(
    ours_project: Project, ours_queue: Queue
) -> None:
    for name in ("json", "logging", "queue", "random", "selectors", "signal", "socket", "tempfile", "traceback"):
        ours_project.write(f"{name}.py", "raise SystemExit('the wrong module')")
    assert _in_shell(ours_project, ours_queue, "") == 0


def test_a_file_that_stands_in_for_a_module_of_python_is_named(ours_project: Project) -> None:
    """``python -m`` looks in the current directory first."""
    ours_project.write("selectors.py", "DefaultSelector = None")
    run = ours_project.run([sys.executable, "-m", "pyqs", "email"])
    assert run.returncode == 1
    assert "selectors.py stands in for Python's own module selectors; rename it" in one_line(run.stderr)
