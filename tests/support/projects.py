"""A user's project: a folder with modules, in which commands run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

from support.endpoints import Endpoint, pyqs_command
from support.processes import Process, thread_names
from support.waiting import DEADLINE_SECS, eventually

JOURNAL = '''
"""What tasks tell of themselves: a line for each note, and gates that the test opens."""
import json, os, time

HERE = os.path.dirname(os.path.abspath(__file__))

def note(what, **facts):
    line = json.dumps({"what": what, "pid": os.getpid(), "at": time.monotonic(), **facts}) + "\\n"
    file = os.open(os.path.join(HERE, "journal.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)

def wait_for_gate(name):
    while not os.path.exists(os.path.join(HERE, name + ".gate")):
        time.sleep(0.01)
'''

TASKS = """
import os, signal, sys, time
from journal import note, wait_for_gate
from pyqs import task

@task(queue="unused")
def work(value=None):
    note("work", value=value)

@task(queue="unused")
def fail(value=None):
    note("fail", value=value)
    raise ValueError(f"no luck with {value}")

@task(queue="unused")
def fail_first(value=None):
    note("fail_first", value=value)
    if os.path.exists(f"tried-{value}"):
        return
    open(f"tried-{value}", "w").close()
    raise ValueError(f"no luck at first with {value}")

@task(queue="unused")
def wait(gate, value=None):
    note("began", value=value)
    wait_for_gate(gate)
    note("ended", value=value)

@task(queue="unused")
def last(seconds, value=None):
    note("began", value=value)
    time.sleep(seconds)
    note("ended", value=value)
"""
"""The ``tasks.py`` of a new project."""


class Project:
    """A user's project: a folder with modules, in which commands run."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self._running: list[Process] = []
        self.write("journal.py", JOURNAL)
        self.write("tasks.py", TASKS)

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def open_gate(self, name: str) -> None:
        """Let tasks on that wait for this gate."""
        self.write(f"{name}.gate", "")

    def environment(self, changes: dict[str, Optional[str]]) -> dict[str, str]:
        """What commands run with: the endpoint's variables and the changes; ``None`` takes one away."""
        variables = {**self.endpoint.environment, **changes}
        return {name: value for name, value in variables.items() if value is not None}

    def start(self, argv: list[str], **environment: Optional[str]) -> Process:
        """Start a command; it is killed when the test ends."""
        process = Process(argv, cwd=self.folder, env=self.environment(environment))
        self._running.append(process)
        return process

    def run(
        self, argv: list[str], deadline_secs: float = DEADLINE_SECS, **environment: Optional[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with stdout and stderr apart."""
        return subprocess.run(
            argv,
            cwd=self.folder,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_secs,
            check=False,
        )

    def pyqs(
        self, *arguments: str, deadline_secs: float = DEADLINE_SECS, **environment: Optional[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run ``pyqs ...`` to its end."""
        return self.run([*pyqs_command(), *arguments], deadline_secs, **environment)

    def python(self, code: str, **environment: Optional[str]) -> str:
        """Run Python code to its end: what it printed."""
        process = self.start([sys.executable, "-c", code], **environment)
        assert process.wait() == 0, process.output
        return process.output

    def script(self, code: str, **environment: Optional[str]) -> Process:
        """Start a program that the user wrote."""
        return self.start([sys.executable, str(self.write("program.py", code))], **environment)

    def start_pyqs(self, *arguments: str, **environment: Optional[str]) -> Process:
        """Start ``pyqs ...``."""
        return self.start([*pyqs_command(), *arguments], **environment)

    def worker(self, *arguments: str, loglevel: str = "INFO", **environment: Optional[str]) -> Process:
        """Start a worker and wait until it has its first task process."""
        process = self.start_pyqs(*arguments, "--loglevel", loglevel, **environment)
        if loglevel in ("INFO", "DEBUG"):
            process.wait_for(r"Running ProcessWorker, pid: \d+")
        return process

    def lines(self, name: str) -> list[str]:
        """The lines of a file that tasks write; none while it is not there."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def notes(self, what: Optional[str] = None) -> list[dict[str, Any]]:
        """What tasks have noted, in order."""
        notes = [json.loads(line) for line in self.lines("journal.jsonl")]
        return [note for note in notes if what is None or note["what"] == what]

    def values(self, what: str) -> list[Any]:
        """The values of these notes, in order."""
        return [note["value"] for note in self.notes(what)]

    def check_each_ran_once(self, what: str, values: list[Any]) -> None:
        """Each of these values was noted, and none twice.

        Not on moto's server, where two receives at the same time may get the same message: about 3 of 1000.
        """
        found = self.values(what)
        assert set(found) == set(values)
        assert self.endpoint.kind == "moto" or len(found) == len(values), sorted(found)

    def wait_for_notes(self, what: str, count: int = 1, deadline_secs: float = DEADLINE_SECS) -> list[dict[str, Any]]:
        """Wait until there are so many notes, and return them all."""
        try:
            return eventually(
                lambda: notes if len(notes := self.notes(what)) >= count else [],
                f"{count} notes {what!r}",
                deadline_secs,
            )
        except AssertionError as error:
            outputs = "\n".join(process.output for process in self._running)
            raise AssertionError(f"{error}; noted: {self.notes()}; printed:\n{outputs}") from None

    def close(self) -> None:
        """Kill what still runs, and its whole family with it; show what they printed where a test has failed."""
        for process in self._running:
            process.kill()
            print(f"{process.argv} printed:\n{process.output}")


def manager_pid(worker: Process) -> int:
    """The manager: the child of the supervisor with the engine's threads, which it names after itself."""

    def only_one() -> Optional[int]:
        found = [pid for pid in worker.children() if "pyqs-manager" in thread_names(pid)]
        return found[0] if len(found) == 1 else None

    return eventually(only_one, "one manager among the children of the worker") or 0
