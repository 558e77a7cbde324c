"""``--reload``: a worker that starts anew when the code changes."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from support.pid1 import start_as_pid_1
from support.processes import Process, children, one_line
from support.projects import Project
from support.queues import Queue

CHANGING = """
from journal import note
from pyqs import task
import part

@task(queue="unused")
def tell(value):
    note(part.WORD, value=value)
"""


@pytest.fixture
def changing(ours_project: Project) -> Project:
    """A project whose code is about to change."""
    ours_project.write("part.py", "WORD = 'before'\n")
    ours_project.write("changing.py", CHANGING)
    return ours_project


def start(project: Project, queue: Queue, *options: str) -> Process:
    worker = project.worker(queue.name, "--reload", *options)
    queue.send_task("changing.tell", 1)
    project.wait_for_notes("before")
    return worker


def test_changed_code_runs_after_what_was_in_progress(changing: Project, ours_queue: Queue) -> None:
    worker = start(changing, ours_queue, "--concurrency", "2")
    pid = worker.pid
    ours_queue.send_task("tasks.wait", "go")
    changing.wait_for_notes("began")

    changing.write("part.py", "WORD = 'after it has changed'\n")
    worker.wait_for("part.py has changed; starting anew")
    worker.wait_for("Graceful shutdown")
    ours_queue.send_task("changing.tell", 2)
    changing.open_gate("go")

    changing.wait_for_notes("after it has changed")
    assert len(changing.notes("ended")) == len(changing.notes("began")) == 1
    assert worker.pid == pid
    assert worker.stop() == 0, worker.output
    assert worker.children() == []


def test_as_pid_1_it_starts_anew_too(changing: Project, ours_queue: Queue) -> None:
    unshare = start_as_pid_1(changing, ours_queue.name, "--reload")
    ours_queue.send_task("changing.tell", 1)
    changing.wait_for_notes("before")

    changing.write("part.py", "WORD = 'after it has changed'\n")
    unshare.wait_for("Graceful shutdown")
    ours_queue.send_task("changing.tell", 2)

    changing.wait_for_notes("after it has changed")
    (worker,) = children(unshare.pid)
    os.kill(worker, signal.SIGTERM)
    assert unshare.wait() == 0, unshare.output


def test_code_that_is_broken_is_told_and_waits_for_the_next_change(changing: Project, ours_queue: Queue) -> None:
    worker = start(changing, ours_queue, "--import", "changing")

    changing.write("changing.py", "this is no Python\n")
    worker.wait_for("can't import changing, which --import names: SyntaxError.*; waiting for a change")
    changing.write("changing.py", CHANGING)
    changing.write("part.py", "WORD = 'mended it is'\n")
    ours_queue.send_task("changing.tell", 2)

    changing.wait_for_notes("mended it is")
    assert worker.stop() == 0, worker.output


def test_other_files_change_nothing(changing: Project, ours_queue: Queue) -> None:
    worker = start(changing, ours_queue)
    changing.write("notes.txt", "nothing for Python\n")
    ours_queue.send_task("changing.tell", 2)
    changing.wait_for_notes("before", 2)

    assert "has changed" not in worker.output
    assert worker.stop() == 0


def test_without_watchfiles_one_line_says_what_to_install(ours_project: Project) -> None:
    program = (
        "import sys\nsys.modules['watchfiles'] = None\nfrom pyqs.main import _main\n_main(['email'], reload=True)\n"
    )
    result = ours_project.run([sys.executable, "-c", program])

    assert result.returncode == 1
    assert "pip install 'pyqs-rs[reload]'" in one_line(result.stderr)
