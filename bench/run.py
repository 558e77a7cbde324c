"""The benchmark: this package against the original PyQS 1.0.1, both on one endpoint in one run.

    cargo xtask bench            # every figure, about five minutes
    cargo xtask bench drain      # tasks a second, requests and CPU a task
    cargo xtask bench idle       # what a worker costs that has nothing to do
    cargo xtask bench send       # what .delay and delay_many cost beside boto3's send_message
    cargo xtask bench async      # how long a thousand `async def` tasks take that sleep for a second

Prints a table and, with `--json FILE`, writes the same figures for a script. The peers
live in bench/.venv, installed from bench/requirements.txt at the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from local import HERE, ORIGINAL, OURS, Endpoint, call_body, ensure_peers
from send import run_send

CONCURRENCY = 2
TICKS_A_SEC = os.sysconf("SC_CLK_TCK")
NO_OP = call_body("bench_tasks.noop")


@dataclass
class Drain:
    """One worker emptying one queue."""

    tasks_a_sec: float
    requests_a_task: float
    cpu_micros_a_task: float


@dataclass
class Idle:
    """One worker on one empty queue, for a minute."""

    requests_a_minute: float
    cpu_secs_a_minute: float


@dataclass
class Async:
    """One task process with an event loop, working on a queue of `async def` tasks that sleep for a second."""

    tasks: int
    secs: float
    """From the start of the command until the last message is deleted."""


# What a worker sends; GetQueueAttributes is how this benchmark looks, and a worker's handful of them
# at its start is left out for both sides.
WORKER_ACTIONS = {
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "SendMessage",
    "ListQueues",
    "GetQueueUrl",
}


def worker_requests(at: Endpoint) -> int:
    """Requests answered so far, less those that this benchmark itself makes to look."""
    return sum(count for action, count in at.requests().items() if action in WORKER_ACTIONS)


def fill(at: Endpoint, queue_url: str, messages: int) -> None:
    at.send(queue_url, [NO_OP] * messages)


@contextmanager
def worker(
    command: list[str], at: Endpoint, queue: str, *options: str, concurrency: int = CONCURRENCY, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*command, queue, "--concurrency", str(concurrency), *options],
        cwd=HERE,
        env={**at.environment, **variables},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def drain(
    command: list[str],
    at: Endpoint,
    messages: int,
    name: str,
    *options: str,
    body: str = NO_OP,
    concurrency: int = CONCURRENCY,
    left_at_end: Optional[int] = None,
) -> Drain:
    """Empty a queue of such messages; the rate is that between the first tenth and the last, or `left_at_end`."""
    queue_url = at.fresh_queue(name)
    at.send(queue_url, [body] * messages)
    last = messages // 10 if left_at_end is None else left_at_end
    with worker(command, at, name, *options, concurrency=concurrency) as process:
        wait_until_left(at, queue_url, messages - (messages - last) // 10, process)
        began, requests, cpu = time.monotonic(), worker_requests(at), tree_cpu_secs(process.pid)
        left_at_start = at.left(queue_url)
        wait_until_left(at, queue_url, last, process)
        took = time.monotonic() - began
        done = left_at_start - at.left(queue_url)
        requests = worker_requests(at) - requests
        cpu = tree_cpu_secs(process.pid) - cpu
    at.call("DeleteQueue", QueueUrl=queue_url)
    return Drain(done / took, requests / done, cpu / done * 1e6)


def idle(command: list[str], at: Endpoint, name: str, secs: float) -> Idle:
    """Let a worker sit on an empty queue, after one task showed that it is up."""
    queue_url = at.fresh_queue(name)
    fill(at, queue_url, 10)
    with worker(command, at, name) as process:
        wait_until_left(at, queue_url, 0, process)
        requests, cpu = worker_requests(at), tree_cpu_secs(process.pid)
        time.sleep(secs)
        requests = worker_requests(at) - requests
        cpu = tree_cpu_secs(process.pid) - cpu
    at.call("DeleteQueue", QueueUrl=queue_url)
    return Idle(requests * 60 / secs, cpu * 60 / secs)


def sleepers(at: Endpoint, tasks: int, name: str) -> Async:
    """Empty a queue of sleeping tasks, all of which may run at once."""
    queue_url = at.fresh_queue(name)
    at.send(queue_url, [call_body("bench_tasks.nap", 1)] * tasks)
    began = time.monotonic()
    with worker(OURS, at, name, "--threads", str(tasks), concurrency=1) as process:
        wait_until_left(at, queue_url, 0, process)
        took = time.monotonic() - began
    at.call("DeleteQueue", QueueUrl=queue_url)
    return Async(tasks, took)


def wait_until_left(at: Endpoint, queue_url: str, messages: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while at.left(queue_url) > messages:
        if process.poll() is not None:
            raise SystemExit(f"the worker ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(f"still {at.left(queue_url)} messages after 300 seconds")
        time.sleep(0.01)


def tree_cpu_secs(root: int) -> float:
    """CPU seconds of a process and its descendants, those included that have been reaped."""
    parents: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended; its parent has its time
            continue
        pid = int(stat.parent.name)
        parents.setdefault(int(fields[1]), []).append(pid)
        used[pid] = sum(map(int, fields[11:15])) / TICKS_A_SEC
    total, queue = 0.0, [root]
    while queue:
        pid = queue.pop()
        total += used.get(pid, 0.0)
        queue.extend(parents.get(pid, []))
    return total


def median_drain(rounds: list[Drain]) -> Drain:
    columns = (sorted(column) for column in zip(*(asdict(row).values() for row in rounds)))
    return Drain(*(statistics.median(column) for column in columns))


def run_drain(rounds: int, messages: int) -> dict[str, Any]:
    ours: list[Drain] = []
    original: list[Drain] = []
    with Endpoint("--memory") as at:
        for number in range(rounds):
            ours.append(drain(OURS, at, messages, f"bench-ours-{number}"))
            original.append(drain(ORIGINAL, at, max(messages // 50, 500), f"bench-original-{number}"))
            print(f"round {number + 1}: {ours[-1]} | original {original[-1]}", file=sys.stderr)
    a, b = median_drain(ours), median_drain(original)
    print(f"\ndrain of no-op tasks, concurrency {CONCURRENCY}, medians of {rounds} rounds")
    print(f"  {'':<22}{'this':>12}{'PyQS 1.0.1':>14}{'ratio':>9}")
    rows = [
        ("tasks a second", a.tasks_a_sec, b.tasks_a_sec, "{:,.0f}"),
        ("SQS requests a task", a.requests_a_task, b.requests_a_task, "{:.3f}"),
        ("CPU microseconds a task", a.cpu_micros_a_task, b.cpu_micros_a_task, "{:,.0f}"),
    ]
    for name, mine, theirs, form in rows:
        print(f"  {name:<24}{form.format(mine):>10}{form.format(theirs):>14}{mine / theirs:>9.2f}")
    return {"ours": asdict(a), "original": asdict(b), "rounds": [asdict(row) for row in ours]}


def run_idle(secs: float) -> dict[str, Any]:
    with Endpoint("--memory") as at:
        mine = idle(OURS, at, "bench-idle-ours", secs)
        theirs = idle(ORIGINAL, at, "bench-idle-original", secs)
    print(f"\nidle on one queue, concurrency {CONCURRENCY}, over {secs:.0f} seconds")
    print(f"  {'':<22}{'this':>12}{'PyQS 1.0.1':>14}")
    print(f"  {'requests a minute':<24}{mine.requests_a_minute:>10.1f}{theirs.requests_a_minute:>14.1f}")
    print(f"  {'CPU seconds a minute':<24}{mine.cpu_secs_a_minute:>10.3f}{theirs.cpu_secs_a_minute:>14.3f}")
    return {"ours": asdict(mine), "original": asdict(theirs)}


def run_async(rounds: int, tasks: int) -> dict[str, Any]:
    with Endpoint("--memory") as at:
        took = [sleepers(at, tasks, f"bench-async-{number}") for number in range(rounds)]
    secs = statistics.median(row.secs for row in took)
    print(f"\n{tasks:,} `async def` tasks that sleep for 1 s, in one process, median of {rounds} rounds")
    print(f"  {'seconds in all':<24}{secs:>10.2f}")
    return {"ours": asdict(Async(tasks, secs)), "rounds": [asdict(row) for row in took]}


def main(argv: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help="drain, idle, send, async (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=50_000, help="no-ops that our worker drains in a round")
    parser.add_argument("--idle-secs", type=float, default=60)
    parser.add_argument("--sleepers", type=int, default=1000, help="tasks that sleep at once")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(argv)
    known = ["drain", "idle", "send", "async"]
    chosen = options.work or known
    if unknown := set(chosen) - set(known):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if set(chosen) - {"async"}:
        ensure_peers()
    figures: dict[str, Any] = {}
    if "drain" in chosen:
        figures["drain"] = run_drain(options.rounds, options.messages)
    if "idle" in chosen:
        figures["idle"] = run_idle(options.idle_secs)
    if "send" in chosen:
        figures["send"] = run_send(options.rounds)
    if "async" in chosen:
        figures["async"] = run_async(options.rounds, options.sleepers)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
