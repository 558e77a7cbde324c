"""`bench/run.py send`: what it costs a program to send, beside boto3's `send_message`."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from local import HERE, PEERS, Endpoint

QUEUE = "bench-send"
"""Known to send_calls.py too."""

IMPORTS = 5
"""So often the package is imported, each time in a new process."""


@dataclass
class Sending:
    """One process that sends; the endpoint's share is not in it."""

    messages_a_sec: float
    cpu_micros_a_message: float


@dataclass(frozen=True)
class Way:
    """One way of sending, and how much of it makes a round."""

    name: str
    kind: str
    threads: int
    messages: int
    beside: str
    """What it is compared with."""
    reach: float
    """At most this part of the other's CPU a message."""


PEER_1 = Way("send_message, 1 thread", "boto3", 1, 1_500, "", 1)
PEER_16 = Way("send_message, 16 threads", "boto3", 16, 1_600, "", 1)
WAYS = (
    PEER_1,
    PEER_16,
    Way(".delay, 1 thread", "delay", 1, 5_000, PEER_1.name, 0.2),
    Way(".delay, 16 threads", "delay", 16, 16_000, PEER_16.name, 0.1),
    Way("delay_many, 1 thread", "delay_many", 1, 60_000, PEER_1.name, 0.05),
)


def run_send(rounds: int) -> dict[str, Any]:
    """All ways in turn, so many times; the table has their medians."""
    taken: dict[str, list[Sending]] = {way.name: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            # An endpoint of its own for each: what one has sent is no burden to the next.
            with Endpoint("--memory") as at:
                at.fresh_queue(QUEUE)
                taken[way.name].append(send(way, at))
            print(f"round {number + 1}: {way.name}: {taken[way.name][-1]}", file=sys.stderr)
    medians = {
        name: Sending(
            statistics.median(row.messages_a_sec for row in rows),
            statistics.median(row.cpu_micros_a_message for row in rows),
        )
        for name, rows in taken.items()
    }
    print(f"\nsending, medians of {rounds} rounds, CPU of the sending process")
    print(f"  {'':<28}{'messages/s':>12}{'us a message':>14}{'of boto3':>10}{'asked':>8}")
    for way in WAYS:
        row = medians[way.name]
        part = row.cpu_micros_a_message / medians[way.beside].cpu_micros_a_message if way.beside else 1
        asked = f"{way.reach:>8.2f}" if way.beside else ""
        print(f"  {way.name:<28}{row.messages_a_sec:>12,.0f}{row.cpu_micros_a_message:>14,.1f}{part:>10.3f}{asked}")
    import_millis = import_time()
    print(f"  import pyqs: {import_millis:.1f} ms (asked: below 30)")
    figures: dict[str, Any] = {name: asdict(row) for name, row in medians.items()}
    return {**figures, "import_millis": import_millis}


def send(way: Way, at: Endpoint) -> Sending:
    """One process that sends, to its end."""
    python = str(PEERS / "bin" / "python") if way.kind == "boto3" else sys.executable
    command = [python, "send_calls.py", way.kind, str(way.messages), str(way.threads)]
    printed = subprocess.run(command, cwd=HERE, env=at.environment, check=True, capture_output=True, text=True)
    return Sending(**json.loads(printed.stdout))


def import_time() -> float:
    """Milliseconds that `import pyqs` takes, in a process that has imported nothing: the median."""
    code = "import time; began = time.perf_counter(); import pyqs; print((time.perf_counter() - began) * 1000)"
    command = [sys.executable, "-c", code]
    took = [float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(IMPORTS)]
    return statistics.median(took)
