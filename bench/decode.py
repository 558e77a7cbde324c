"""Reading Celery's messages: this package against kombu's own reader.

    cargo xtask bench decode

Over the JSON messages among the formats' samples, as SQS carries them: `decode_message`, which gives Python values as
kombu does, and the head alone, which is all that a worker's manager reads. Prints microseconds a message, the best of
many rounds, and how many times as fast as kombu that is.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from local import HERE, PEERS, ensure_peers
from pyqs.utils import decode_message

ROOT = HERE.parent
CORPUS = ROOT / "crates" / "pyqs-formats" / "tests" / "data" / "corpus.jsonl"
ROUNDS = 50


def bodies() -> list[str]:
    """The samples that are tasks in plain JSON."""
    samples = map(json.loads, CORPUS.read_text().splitlines())
    return [
        sample["body"]
        for sample in samples
        if sample["expect"]["kind"] == "task"
        and sample["expect"]["content_type"] == "application/json"
        and not sample["expect"]["compression"]
    ]


def decoded(messages: list[dict[str, str]]) -> float:
    """Seconds for all of them, the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for message in messages:
            decode_message(message)
        best = min(best, time.perf_counter() - start)
    return best


def of_program(argv: list[str | Path], lines: str) -> float:
    """What a program prints that reads the bodies."""
    return float(subprocess.run(argv, input=lines, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def main() -> None:
    """Measure, and print."""
    ensure_peers()
    samples = bodies()
    lines = "".join(json.dumps(body) + "\n" for body in samples)
    cargo = ["cargo", "run", "--release", "--quiet", "--package", "pyqs-formats", "--example", "heads"]
    kombu = of_program([PEERS / "bin" / "python", HERE / "decode_kombu.py"], lines)
    ours = decoded([{"Body": body} for body in samples]) / len(samples) * 1e6
    heads = of_program([*cargo], lines)
    print(f"{len(samples)} messages of {len(''.join(samples)) // len(samples)} bytes, microseconds a message")
    print(f"{'kombu, loads of envelope and body':36} {kombu:8.2f}")
    print(f"{'decode_message':36} {ours:8.2f}  {kombu / ours:6.1f} times as fast")
    print(f"{'read_head, what a manager reads':36} {heads:8.2f}  {kombu / heads:6.1f} times as fast")


if __name__ == "__main__":
    main()
