"""One run of chaos: an endpoint, workers with their process families, the journal of what ran, and what it comes to."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from local import HERE, OURS, Endpoint, call_body, children

QUEUE = "chaos"
VISIBILITY_SECS = 5
"""Short, so that what is delivered again comes soon."""
CONCURRENCY = 4
LOOK_AGAIN_SECS = 0.02
READY_SECS_MAX = 30
STOP_SECS_MAX = 40

# What workers ask. Not GetQueueAttributes and SendMessageBatch, by which the benchmark itself fills and looks.
WORKER_ACTIONS = [
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "GetQueueUrl",
    "ListQueues",
]


@dataclass
class Result:
    """What a scenario came to."""

    sent: int
    ran: int
    lost: int
    duplicates: int
    """Tasks that ended more than once, each counted for its further times."""
    cut_short: int
    """Runs that began and did not end: their process was killed."""
    left: int
    """Messages in the queues at the end, but for those that must be there."""
    recovery_secs: Optional[float] = None
    """The longest time from the end of a cause to the next task that began."""
    tasks_a_sec: Optional[float] = None
    """Until 90 % were done."""
    ratio: Optional[float] = None
    """Of that to the quiet run."""
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What should not be so."""


class Worker:
    """A worker and all that it has started, in a process group of its own."""

    def __init__(self, run: Run, queues: list[str], options: list[str]) -> None:
        self.log = run.folder / f"worker-{time.monotonic_ns()}.log"
        self.is_ours = run.command == OURS
        level = ["--loglevel", "INFO"] if self.is_ours else []
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*run.command, *queues, "--concurrency", str(CONCURRENCY), *level, *options],
                cwd=HERE,
                env={**run.at.environment, "CHAOS_JOURNAL": str(run.journal)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        if self.is_ours:
            wait_until(self.task_processes, READY_SECS_MAX, f"a task process; see {self.log}")

    def task_processes(self) -> list[int]:
        if not self.is_ours:
            return children(self.process.pid)
        named = set(map(int, re.findall(r"Running ProcessWorker, pid: (\d+)", self.log.read_text())))
        return [pid for pid in children(self.process.pid) if pid in named]

    def manager(self) -> Optional[int]:
        """The child that runs no tasks; while a new one starts there may be none."""
        others = set(children(self.process.pid)) - set(self.task_processes())
        return min(others) if len(others) == 1 else None

    def signal_all(self, signum: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signum)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_SECS_MAX)
        self.kill()

    def kill(self) -> None:
        self.signal_all(signal.SIGKILL)
        self.process.wait()


class Run:
    """A scenario under way."""

    def __init__(self, command: list[str], folder: Path, at: Endpoint, faults: Path, deadline_secs: float) -> None:
        self.command = command
        self.folder = folder
        self.at = at
        self.faults = faults
        self.journal = folder / "journal"
        self.deadline_secs = deadline_secs
        self.queues: list[str] = []
        self.sent: set[str] = set()
        self.workers: list[Worker] = []
        self.healed: list[float] = []

    def queue(self, name: str = QUEUE, **attributes: str) -> str:
        url = self.at.fresh_queue(name, **{"VisibilityTimeout": str(VISIBILITY_SECS), **attributes})
        self.queues.append(url)
        return url

    def fill(self, url: str, count: int, secs: float = 0, prefix: str = "") -> None:
        """Send so many tasks that last so long."""
        values = [f"{prefix}{number}" for number in range(count)]
        self.at.send(url, [call_body("chaos_tasks.work", value, secs) for value in values])
        self.sent.update(values)

    def inject(self, *faults: str) -> None:
        """From now on these faults; a kind alone is for all that workers ask."""
        lines = [f"{action}:{fault}" for fault in faults if fault[0].islower() for action in WORKER_ACTIONS]
        lines += [fault for fault in faults if fault[0].isupper()]
        new = self.faults.with_suffix(".new")
        new.write_text("\n".join(lines))
        new.replace(self.faults)

    def start(self, *queues: str, options: Optional[list[str]] = None) -> Worker:
        worker = Worker(self, list(queues or [QUEUE]), options or [])
        self.workers.append(worker)
        return worker

    def heal(self) -> None:
        """The cause of trouble has ended just now."""
        self.healed.append(time.monotonic())

    def left(self) -> int:
        return sum(self.at.left(url) for url in self.queues)

    def notes(self) -> Iterator[tuple[str, float, str]]:
        """What tasks have noted, in order: what, when, and the value."""
        if self.journal.exists():
            with open(self.journal) as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        return  # it is being written
                    what, at, value = line.split()
                    yield what, float(at), value

    def ended(self) -> int:
        return sum(1 for what, _, _ in self.notes() if what == "end")

    def wait_until_ended(self, count: int) -> None:
        """Until so many tasks have run; the deadline is no failure here, the figures tell."""
        end = time.monotonic() + self.deadline_secs
        while self.ended() < count and time.monotonic() < end:
            time.sleep(0.05)

    def wait_until_left(self, expected: int = 0) -> None:
        end = time.monotonic() + self.deadline_secs
        while self.left() > expected and time.monotonic() < end:
            time.sleep(LOOK_AGAIN_SECS)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()

    def result(self, left_expected: int = 0) -> Result:
        """To be asked when the workers have stopped."""
        begins: dict[str, list[float]] = defaultdict(list)
        ends: dict[str, list[float]] = defaultdict(list)
        for what, at, value in self.notes():
            if what != "fail":
                (begins if what == "begin" else ends)[value].append(at)
        left = self.left() - left_expected
        missing = self.sent - ends.keys()
        times = sorted(min(values) for values in ends.values())
        starts = sorted(at for values in begins.values() for at in values)
        result = Result(
            sent=len(self.sent),
            ran=len(ends.keys() & self.sent),
            lost=max(0, len(missing) - max(0, left)),
            duplicates=sum(len(values) - 1 for values in ends.values()),
            cut_short=sum(map(len, begins.values())) - sum(map(len, ends.values())),
            left=left,
        )
        most = int(len(self.sent) * 0.9)
        if 0 < most <= len(times) and times[most - 1] > starts[0]:
            result.tasks_a_sec = most / (times[most - 1] - starts[0])
        recoveries = [next((at - healed for at in starts if at > healed), None) for healed in self.healed]
        known = [secs for secs in recoveries if secs is not None]
        if known:
            result.recovery_secs = max(known)
        return result


@contextlib.contextmanager
def run(command: list[str], deadline_secs: float, is_durable: bool = False) -> Iterator[Run]:
    """A run on an endpoint of its own."""
    with tempfile.TemporaryDirectory(prefix="pyqs-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        faults = folder / "faults"
        store = ["--data", str(folder / "queues")] if is_durable else ["--memory"]
        with Endpoint(*store, "--fault-file", str(faults)) as at:
            under_way = Run(command, folder, at, faults, deadline_secs)
            try:
                yield under_way
            finally:
                under_way.close()


def wait_until(condition: Callable[[], Any], secs: float, what: str) -> Any:
    end = time.monotonic() + secs
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"not within {secs:.0f} s: {what}")
        time.sleep(LOOK_AGAIN_SECS)
