"""A worker as PID 1."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from .endpoints import pyqs_command
from .processes import Process
from .projects import Project


def start_as_pid_1(project: Project, *arguments: str) -> Process:
    """A worker that is PID 1 of a namespace of its own, as in a container; ``unshare`` is its parent."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no `unshare` to make the worker PID 1 with")
    probe = subprocess.run([unshare, "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"the kernel refuses a namespace in which the worker would be PID 1: {probe.stderr.strip()}")
    command = [unshare, "--pid", "--fork", "--kill-child", *pyqs_command(), *arguments, "--loglevel", "INFO"]
    worker = project.start(command)
    worker.wait_for(r"Running ProcessWorker, pid: \d+")
    return worker
