"""What keeps a worker from starting is one clear line and exit code 1; the same later ends nothing."""

from __future__ import annotations

import subprocess

from support.endpoints import pyqs_command
from support.projects import Project
from support.queues import Queue


def test_too_few_open_files_for_the_concurrency_are_told(ours_project: Project, ours_queue: Queue) -> None:
    pyqs = " ".join(pyqs_command())
    result: subprocess.CompletedProcess[str] = ours_project.run(
        ["sh", "-c", f"ulimit -n 64; exec {pyqs} {ours_queue.name} --concurrency 50"]
    )

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert "--concurrency 50 needs about" in result.stderr
    assert "64 are allowed" in result.stderr


def test_a_low_limit_of_open_files_does_for_few_processes(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_tasks("tasks.work", [[number] for number in range(30)])
    pyqs = " ".join(pyqs_command())
    ours_project.start(["sh", "-c", f"ulimit -n 64; exec {pyqs} {ours_queue.name} --concurrency 5"])

    ours_project.wait_for_notes("work", 30)
    ours_queue.wait_until_empty()


def test_a_module_that_can_not_be_imported_from_the_start_ends_the_worker(
    ours_project: Project, ours_queue: Queue
) -> None:
    ours_project.write("broken.py", "1 / 0")
    ours_queue.send_task("tasks.work", 1)
    result = ours_project.pyqs(ours_queue.name, "--import", "broken", "--concurrency", "2")

    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == "pyqs: can't import broken, which --import names: ZeroDivisionError: division by zero"
    assert ours_queue.counts() == (1, 0), "it took no message"


def test_a_module_that_ends_the_process_at_import_is_named(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("leaving.py", "raise SystemExit(0)")
    result = ours_project.pyqs(ours_queue.name, "--import", "leaving")

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("pyqs: can't import leaving, which --import names: SystemExit")


def test_a_module_that_breaks_later_is_tried_again_until_it_works(ours_project: Project, ours_queue: Queue) -> None:
    """As in a deployment that is under way: what runs goes on, and so does the worker."""
    ours_project.write("plugin.py", "")
    worker = ours_project.worker(ours_queue.name, "--import", "plugin", "--max-tasks-per-child", "1")
    ours_queue.send_task("tasks.work", 1)
    ours_project.wait_for_notes("work")
    ours_project.write("plugin.py", "1 / 0")
    ours_queue.send_task("tasks.work", 2)
    worker.wait_for(r"^.ERROR.: a task process can't start: can't import plugin, .*: ZeroDivisionError")

    ours_project.write("plugin.py", "")

    ours_queue.send_task("tasks.work", 3)
    ours_project.wait_for_notes("work", 3)
    ours_queue.wait_until_empty()
    assert sorted(ours_project.values("work")) == [1, 2, 3]
