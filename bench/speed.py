"""How fast a worker is beside a consumer written by hand on boto3 (bench/loop.py), and beside the bare functions.

    cargo xtask bench speed              # every row, about ten minutes on an idle machine
    cargo xtask bench speed drain sleep  # some of them
    cargo xtask bench speed --short      # one short round of each: ratios that only tell of large changes

Both sides work on one endpoint (`pyqs local --memory`) with the same messages, in alternating rounds; the table has
medians, what is asked for, and whether it was reached. `--json FILE` writes the figures, `--record` adds them to
bench/history.jsonl with the commit.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from local import HERE, OURS, PEERS, Endpoint, call_body, children, ensure_peers
from run import (
    CONCURRENCY,
    NO_OP,
    Drain,
    drain,
    median_drain,
    tree_cpu_secs,
    wait_until_left,
    worker,
    worker_requests,
)

LOOP = [str(PEERS / "bin" / "python"), str(HERE / "loop.py")]
FOR_EVER = ("--max-tasks-per-child", "0")


class Row(NamedTuple):
    """One line of the table; `limit` is what is asked of the figure."""

    name: str
    figure: float
    unit: str
    limit: Optional[float] = None
    is_upper: bool = False
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        reached = self.figure <= self.limit if self.is_upper else self.figure >= self.limit
        return f"{'at most' if self.is_upper else 'at least'} {self.limit:g}: {'reached' if reached else 'MISSED'}"


class Bench:
    """What is measured how long."""

    def __init__(self, rounds: int, scale: float) -> None:
        self.rounds = rounds
        self.scale = scale
        self._queues = 0

    def queue(self) -> str:
        self._queues += 1
        return f"bench-{os.getpid()}-{self._queues}"

    def count(self, messages: int) -> int:
        return max(int(messages * self.scale), 200)

    def secs(self, secs: float) -> float:
        return max(secs * self.scale, 2)

    def drains(self, at: Endpoint, messages: int, body: str, *options: str) -> tuple[Drain, Drain]:
        """Ours and the loop's, in alternating rounds: the medians of each figure."""
        ours, loop = [], []
        for _ in range(self.rounds):
            ours.append(drain(OURS, at, self.count(messages), self.queue(), *options, body=body))
            loop.append(drain(LOOP, at, self.count(messages // 2), self.queue(), body=body))
        return median_drain(ours), median_drain(loop)

    def bare(self, kind: str, concurrency: int, *call: str) -> float:
        words = ["--bare", kind, "--concurrency", str(concurrency), "--secs", str(self.secs(5)), *call]
        done = subprocess.run(
            [sys.executable, str(HERE / "loop.py"), *words], cwd=HERE, check=True, stdout=subprocess.PIPE
        )
        return float(done.stdout)


def both(ours: float, theirs: float) -> str:
    return f"{ours:,.0f} / {theirs:,.0f}"


def no_ops(bench: Bench) -> Iterator[Row]:
    with Endpoint("--memory") as at:
        ours, loop = bench.drains(at, 60_000, NO_OP, *FOR_EVER)
        ratio = ours.tasks_a_sec / loop.tasks_a_sec
        yield Row("no-ops: rate", ratio, "x loop", 2.3, detail=both(ours.tasks_a_sec, loop.tasks_a_sec) + " a s")
        cpu = ours.cpu_micros_a_task / loop.cpu_micros_a_task
        detail = both(ours.cpu_micros_a_task, loop.cpu_micros_a_task) + " us"
        yield Row("no-ops: CPU a task", cpu, "x loop", 0.25, is_upper=True, detail=detail)
        yield Row("no-ops: requests", ours.requests_a_task, "a task", 0.21, is_upper=True)
        ours, loop = bench.drains(at, 60_000, NO_OP)
        ratio = ours.tasks_a_sec / loop.tasks_a_sec
        detail = both(ours.tasks_a_sec, loop.tasks_a_sec) + " a s"
        yield Row("no-ops, processes replaced after 100", ratio, "x loop", 1.5, detail=detail)


def distant(bench: Bench) -> Iterator[Row]:
    with Endpoint("--memory", "--fault", "*:delay-before=15") as at:
        ours, loop = bench.drains(at, 30_000, NO_OP, *FOR_EVER)
    ratio = ours.tasks_a_sec / loop.tasks_a_sec
    yield Row("no-ops, 15 ms to SQS", ratio, "x loop", 10, detail=both(ours.tasks_a_sec, loop.tasks_a_sec) + " a s")


def large(bench: Bench) -> Iterator[Row]:
    with Endpoint("--memory") as at:
        body = call_body("bench_tasks.swallow", "x" * 200_000)
        ours, loop = bench.drains(at, 3_000, body, *FOR_EVER)
    ratio = ours.tasks_a_sec / loop.tasks_a_sec
    yield Row("bodies of 200 kB", ratio, "x loop", 1, detail=both(ours.tasks_a_sec, loop.tasks_a_sec) + " a s")


def busy(bench: Bench) -> Iterator[Row]:
    steps = spins_of(0.005)
    body = call_body("bench_tasks.spin", steps)
    with Endpoint("--memory") as at:
        rates = [
            (
                drain(OURS, at, bench.count(2000), bench.queue(), *FOR_EVER, body=body).tasks_a_sec,
                bench.bare("processes", CONCURRENCY, "bench_tasks.spin", str(steps)),
            )
            for _ in range(bench.rounds)
        ]
    yield share("5 ms of CPU, 2 processes", rates, 0.97)


def sleeping(bench: Bench) -> Iterator[Row]:
    kinds = [
        ("processes", "bench_tasks.rest", 100, FOR_EVER),
        ("threads", "bench_tasks.rest", 1, ("--threads", "100", *FOR_EVER)),
        ("async", "bench_tasks.nap", 1, ("--threads", "100", *FOR_EVER)),
    ]
    with Endpoint("--memory") as at:
        for kind, task, concurrency, options in kinds:
            body = call_body(task, 0.01)
            rates = []
            for _ in range(bench.rounds):
                messages, name = bench.count(40_000), bench.queue()
                ours = drain(OURS, at, messages, name, *options, body=body, concurrency=concurrency)
                rates.append((ours.tasks_a_sec, bench.bare(kind, 100, task, "0.01")))
            yield share(f"10 ms asleep, 100 {kind}", rates, 0.9)


def share(name: str, rates: list[tuple[float, float]], limit: float) -> Row:
    ours, bare = (statistics.median(column) for column in zip(*rates))
    return Row(name, ours / bare, "x bare", limit, detail=both(ours, bare) + " a s")


def spins_of(secs: float) -> int:
    """How many steps of `spin` take so much CPU."""
    from bench_tasks import spin

    best = min(_timed(lambda: spin(1_000_000)) for _ in range(5))
    return int(1_000_000 * secs / best)


def _timed(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def waiting(bench: Bench) -> Iterator[Row]:
    """From the send to the task's first line, twenty a second, on a worker that has nothing else to do."""
    ours, loop = [], []
    for _ in range(bench.rounds):
        ours.append(delays(bench, OURS, *FOR_EVER))
        loop.append(delays(bench, LOOP))
    for at, name, limit in ((50, "p50", 1.0), (99, "p99", 1.5)):
        mine, theirs = (
            statistics.median(statistics.quantiles(found, n=100)[at - 1] for found in side) * 1e3
            for side in (ours, loop)
        )
        detail = f"{mine:.2f} / {theirs:.2f} ms"
        yield Row(f"send to start, {name}", mine / theirs, "x loop", limit, is_upper=True, detail=detail)


def delays(bench: Bench, command: list[str], *options: str) -> list[float]:
    with Endpoint("--memory") as at, tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder) / "stamps"
        name = bench.queue()
        queue_url = at.fresh_queue(name)
        with worker(command, at, name, *options, BENCH_STAMPS=str(stamps)) as process:
            at.send(queue_url, [NO_OP] * 20)
            wait_until_left(at, queue_url, 0, process)
            for _ in range(int(20 * bench.secs(15))):
                body = call_body("bench_tasks.stamp", time.time())
                at.call("SendMessage", QueueUrl=queue_url, MessageBody=body)
                time.sleep(0.05)
            wait_until_left(at, queue_url, 0, process)
        return [float(line) for line in stamps.read_text().split()]


def idle(bench: Bench) -> Iterator[Row]:
    for queues, limit in ((1, 0.05), (20, 0.3)):
        with Endpoint("--memory") as at:
            names = [bench.queue() for _ in range(queues)]
            urls = [at.fresh_queue(name) for name in names]
            with worker(OURS, at, ",".join(names)) as process:
                at.send(urls[0], [NO_OP] * 10)
                wait_until_left(at, urls[0], 0, process)
                time.sleep(3)
                pss = pss_mib(process.pid)
                requests, cpu = worker_requests(at), tree_cpu_secs(process.pid)
                secs = 60 if bench.scale == 1 else 20
                time.sleep(secs)
                requests, cpu = worker_requests(at) - requests, tree_cpu_secs(process.pid) - cpu
        a_minute = 60 / secs
        name = f"idle, {queues} queue{'s' if queues > 1 else ''}"
        yield Row(f"{name}: requests", requests * a_minute / queues, "a minute and queue", 3, is_upper=True)
        yield Row(f"{name}: CPU", cpu * a_minute, "s a minute", limit, is_upper=True)
        if queues > 1:
            yield Row(f"{name}: memory of all processes", pss, "MiB PSS", 60, is_upper=True)


def pss_mib(root: int) -> float:
    """What a process and its descendants have in memory, what they share counted once."""
    total, found = 0, [root]
    while found:
        pid = found.pop()
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
        found += children(pid)
    return total / 1024


def spread(bench: Bench) -> Iterator[Row]:
    """The same tasks in one queue and over a hundred."""
    tasks = bench.count(10_000)
    rates: dict[int, list[float]] = {1: [], 100: []}
    for _ in range(bench.rounds):
        for queues, found in rates.items():
            with Endpoint("--memory") as at:
                names = [bench.queue() for _ in range(queues)]
                urls = [at.fresh_queue(name) for name in names]
                for url in urls:
                    at.send(url, [NO_OP] * (tasks // queues))
                began = time.monotonic()
                with worker(OURS, at, ",".join(names), *FOR_EVER) as process:
                    for url in urls:
                        wait_until_left(at, url, 0, process)
                    found.append(tasks / (time.monotonic() - began))
    one, many = (statistics.median(found) for found in rates.values())
    yield Row("100 queues", many / one, "x one queue", 0.8, detail=both(many, one) + " a s, start included")


def growth(bench: Bench) -> Iterator[Row]:
    rates = []
    lengths = (10_000, 100_000, int(1_000_000 * bench.scale))
    for length in lengths:
        with Endpoint("--memory") as at:
            left = length - min(length * 9 // 10, 60_000)
            rates.append(drain(OURS, at, length, bench.queue(), *FOR_EVER, left_at_end=left).tasks_a_sec)
    found, waiting = (" / ".join(f"{number:,.0f}" for number in numbers) for numbers in (rates, lengths))
    detail = f"{found} a s with {waiting} waiting"
    yield Row("growth", min(rates) / max(rates), "slowest by fastest", 0.9, detail=detail)


def start(bench: Bench) -> Iterator[Row]:
    took = []
    for _ in range(10):
        began = time.monotonic()
        subprocess.run([*OURS, "--help"], check=True, stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - began)
    yield Row("pyqs --help", statistics.median(took) * 1e3, "ms", 60, is_upper=True)
    took = []
    for _ in range(max(bench.rounds, 3)):
        with Endpoint("--memory") as at:
            names = [bench.queue() for _ in range(20)]
            for name in names:
                at.send(at.fresh_queue(name), [NO_OP])
            began = time.monotonic()
            with worker(OURS, at, ",".join(names)):
                # Each queue has a message, so its first poll is answered at once.
                while at.requests().get("ReceiveMessage", 0) < len(names):
                    time.sleep(0.002)
                took.append(time.monotonic() - began)
    yield Row("start on 20 queues: until all are polled", statistics.median(took) * 1e3, "ms", 300, is_upper=True)


WORKS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "drain": no_ops,
    "distant": distant,
    "large": large,
    "busy": busy,
    "sleep": sleeping,
    "latency": waiting,
    "idle": idle,
    "spread": spread,
    "growth": growth,
    "start": start,
}


def record(rows: list[Row]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, check=True, capture_output=True, text=True
    )
    line = {
        "commit": commit.stdout.strip(),
        "cores": os.cpu_count(),
        **{row.name: round(row.figure, 4) for row in rows},
    }
    with (HERE / "history.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def main(argv: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="*", help=f"{', '.join(WORKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="one round of each, a tenth as long")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--record", action="store_true", help="add the figures to bench/history.jsonl")
    options = parser.parse_args(argv)
    chosen = options.work or list(WORKS)
    if unknown := set(chosen) - set(WORKS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(WORKS)}")
    ensure_peers()
    # Workers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    bench = Bench(1, 0.1) if options.short else Bench(options.rounds, 1)
    rows: list[Row] = []
    for name in chosen:
        for row in WORKS[name](bench):
            rows.append(row)
            figure = f"{row.figure:>8.2f} {row.unit}"
            print(f"  {row.name:<40}{figure:<30}{row.verdict:<28}{row.detail}", flush=True)
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n")
    if options.record:
        record(rows)


if __name__ == "__main__":
    main()
