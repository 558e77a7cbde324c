"""The built-in endpoint against its peers, by one native load generator on one machine in one run.

    cargo xtask bench endpoint                              # every figure, about ten minutes
    cargo xtask bench endpoint memory fauxqs                # these servers: memory, normal, full, moto, fauxqs
    cargo xtask bench endpoint --work send cycle --rounds 1 --secs 2
    cargo xtask bench endpoint --work long --long 20000

Servers take turns within each round, and a figure is the median of the rounds. Prints a table, the
targets that are met and missed, and with `--json FILE` the same for a script. moto comes from
tests/requirements.txt, fauxqs from npm into bench/node_modules at the first run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

HERE = Path(__file__).resolve().parent
OURS = {"memory": ["--memory"], "normal": ["--sync", "normal"], "full": ["--sync", "full"]}
SERVERS = [*OURS, "moto", "fauxqs"]
START_SECS_MAX = 30
# moto needs a day for a million messages, and minutes to answer many connections at once.
LONG_MAX = {"moto": 1_000}
ROUNDS_MAX = {"moto": 1}
CONNECTIONS_MAX = {"moto": 4}
# Bytes of a body: of most works, and of those that are stored to see what they cost.
SHORT_BYTES = 100
STORED_BYTES = 1_000
RECEIVE_SECS = 1.5
WORKS = {
    "send": "SendMessage, and its p99 at half of the rate it reached",
    "batch": "SendMessageBatch of ten",
    "cycle": "send, receive, delete in tens",
    "long": "the same beside --long messages, in turns with a short queue",
    "stored": "memory and the cost of a receive with 1,000, 100,000 and --long messages of 1 kB",
    "empty": "memory with 100 empty queues",
}
ROWS = [
    ("send", "SendMessage: messages a second", "{:,.0f}"),
    ("batch", "SendMessageBatch of ten: messages a second", "{:,.0f}"),
    ("cycle", "send, receive, delete in tens: messages a second", "{:,.0f}"),
    ("cycle_long", "the same beside LONG waiting", "{:,.0f}"),
    ("cycle_short", "the same on a short queue, in turns with that", "{:,.0f}"),
    ("send_cpu_us", "SendMessage: us of the server's CPU a message", "{:.1f}"),
    ("batch_cpu_us", "SendMessageBatch: the same", "{:.1f}"),
    ("cycle_cpu_us", "send, receive, delete: the same", "{:.1f}"),
    ("cycle_long_cpu_us", "the same beside LONG waiting", "{:.1f}"),
    ("cycle_short_cpu_us", "the same on a short queue, in turns with that", "{:.1f}"),
    ("p50_ms", "p50 of a send at half of the top rate: ms", "{:.2f}"),
    ("p99_ms", "p99 of a send at half of the top rate: ms", "{:.2f}"),
    ("disk_p99_ms", "p99 of a sync of 16 KiB on this disk, just before: ms", "{:.2f}"),
    ("start_ms", "cold start to the first answer: ms", "{:,.0f}"),
    ("restart_ms", "start with LONG messages of 1 kB: ms", "{:,.0f}"),
    ("empty_mib", "memory with 100 empty queues: MiB", "{:.1f}"),
    ("stored_mib", "memory with LONG messages of 1 kB: MiB", "{:.1f}"),
    ("receive_1000_ms", "a receive of ten with 1,000 of 1 kB stored: ms", "{:.3f}"),
    ("receive_100000_ms", "a receive of ten with 100,000 stored: ms", "{:.3f}"),
    ("receive_long_ms", "a receive of ten with LONG stored: ms", "{:.3f}"),
]
Figures = dict[str, dict[str, float]]


@dataclass
class Server:
    """A server that runs."""

    name: str
    address: str
    pid: int
    start_secs: float

    def call(self, action: str, **members: Any) -> None:
        scope = "bench/20261101/us-east-1/sqs/aws4_request"
        request = urllib.request.Request(
            f"http://{self.address}/",
            data=json.dumps(members).encode(),
            headers={
                "X-Amz-Target": f"AmazonSQS.{action}",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def cpu_secs(self) -> float:
        """What it has used so far, in its own code and in the system's."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(name: str, pyqs: list[str], data: Optional[str] = None) -> Iterator[Server]:
    """A fresh server, or one on `data`; the peers cannot say which port they took, so they are given a free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory(dir=HERE.parent / "target") as fresh:
        if name == "moto":
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        elif name == "fauxqs":
            command = ["node", str(HERE / "node_modules" / "fauxqs" / "dist" / "cli.js")]
            environment |= {"FAUXQS_PORT": port, "FAUXQS_HOST": "127.0.0.1", "FAUXQS_LOGGER": "false"}
        else:
            options = OURS[name] if name == "memory" else ["--data", data or fresh, *OURS[name]]
            command = [*pyqs, "local", "--port", port, *options]
        began = time.monotonic()
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        try:
            wait_for_answer(server, int(port), began)
            yield Server(name, f"127.0.0.1:{port}", server.pid, time.monotonic() - began)
        finally:
            server.kill()
            server.wait()


def wait_for_answer(server: subprocess.Popen[bytes], port: int, began: float) -> None:
    """Ask until something answers, whatever it says."""
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if connection.recv(1):
                return
        if server.poll() is not None:
            raise SystemExit(f"{server.args!r} ended with exit code {server.returncode}")
        if time.monotonic() - began > START_SECS_MAX:
            raise SystemExit(f"{server.args!r} does not answer")
        time.sleep(0.001)


class Bench:
    """What is measured how; figures gather by server and name."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pyqs = shlex.split(options.pyqs) if options.pyqs else [sys.executable, "-m", "pyqs"]
        self.generator = load_generator()
        self.found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Server]:
        with running(name, self.pyqs) as server:
            self.note(name, "start_ms", server.start_secs * 1e3)
            yield server

    def note(self, name: str, figure: str, value: float) -> None:
        self.found[name][figure].append(value)
        print(f"{name}: {figure} {value:,.2f}", file=sys.stderr)

    def load(
        self,
        server: Server,
        work: str,
        amount: float,
        *,
        body: int = SHORT_BYTES,
        connections: Optional[int] = None,
        rate: Optional[float] = None,
    ) -> dict[str, float]:
        """Runs the load generator, and sees what the server used meanwhile."""
        connections = connections or self.options.connections
        connections = min(connections, CONNECTIONS_MAX.get(server.name, connections))
        words = [str(self.generator), server.address, "bench", work, str(connections), f"{amount:.10g}", str(body)]
        before = server.cpu_secs()
        done = subprocess.run([*words, *([f"{rate:.1f}"] if rate else [])], check=True, text=True, capture_output=True)
        figures = dict(json.loads(done.stdout))
        figures["cpu_us"] = (server.cpu_secs() - before) / max(figures["messages"], 1) * 1e6
        return figures

    def rate(self, name: str, figure: str, server: Server, work: str) -> float:
        found = self.load(server, work, self.options.secs)
        self.note(name, figure, found["messages_a_sec"])
        self.note(name, f"{figure}_cpu_us", found["cpu_us"])
        return found["messages_a_sec"]

    def round(self, name: str) -> None:
        """The short works, each on a server that has seen nothing else."""
        works = self.options.work
        for work in ("cycle", "batch"):
            if work in works:
                with self.running(name) as server:
                    self.rate(name, work, server, work)
        if "send" in works:
            with self.running(name) as server:
                top = self.rate(name, "send", server, "send")
            if name == "full":
                self.note(name, "disk_p99_ms", share(disk_syncs(), 0.99))
            with self.running(name) as server:
                found = self.load(server, "send", self.options.secs, rate=top / 2)
                self.note(name, "p50_ms", found["p50_ms"])
                self.note(name, "p99_ms", found["p99_ms"])

    def once(self, name: str) -> None:
        """What takes long to prepare, or hardly varies."""
        works = self.options.work
        long = min(self.options.long, LONG_MAX.get(name, self.options.long))
        if "empty" in works:
            with self.running(name) as server:
                for number in range(100):
                    server.call("CreateQueue", QueueName=f"empty-{number}")
                self.note(name, "empty_mib", server.memory_mib())
        if "long" in works:
            # In turns: a machine whose neighbours come and go has faster and slower minutes.
            with self.running(name) as server, self.running(name) as short:
                self.load(server, "fill", long)
                for _ in range(self.options.rounds):
                    self.rate(name, "cycle_short", short, "cycle")
                    self.rate(name, "cycle_long", server, "cycle")
        if "stored" in works:
            with tempfile.TemporaryDirectory(dir=HERE.parent / "target") as data:
                self.stored(name, long, data)

    def stored(self, name: str, long: int, data: str) -> None:
        with running(name, self.pyqs, data) as server:
            stored = 0
            for figure, count in [("1000", 1_000), ("100000", 100_000), ("long", long)]:
                if count < stored:
                    continue
                self.load(server, "fill", count - stored, body=STORED_BYTES)
                stored = count
                if figure == "long":
                    self.note(name, "stored_mib", server.memory_mib())
                found = self.load(server, "receive", RECEIVE_SECS, body=STORED_BYTES, connections=1)
                self.note(name, f"receive_{figure}_ms", found["p50_ms"])
        if name in ("normal", "full"):
            with running(name, self.pyqs, data) as server:
                self.note(name, "restart_ms", server.start_secs * 1e3)

    def figures(self) -> Figures:
        return {
            name: {figure: statistics.median(values) for figure, values in found.items()}
            for name, found in self.found.items()
        }


def targets(figures: Figures) -> Iterator[tuple[str, bool]]:
    """What the endpoint is to reach, as far as it was measured."""

    def compare(
        name: str, figure: str, peer: str, factor: float, peer_figure: Optional[str] = None
    ) -> Iterator[tuple[str, bool]]:
        mine = figures.get(name, {}).get(figure)
        other = figures.get(peer, {}).get(peer_figure or figure)
        if mine and other:
            what = f"{name} {figure}: {mine / other:.2f} times {peer}'s {peer_figure or figure}, at least {factor:g}"
            yield what, mine >= factor * other

    def below(name: str, figure: str, limit: float) -> Iterator[tuple[str, bool]]:
        if (value := figures.get(name, {}).get(figure)) is not None:
            yield f"{name} {figure}: {value:.2f}, below {limit:g}", value < limit

    for figure in ("send", "batch", "cycle", "cycle_long"):
        yield from compare("memory", figure, "fauxqs", 1.5)
        yield from compare("normal", figure, "fauxqs", 1)
        yield from compare("full", figure, "fauxqs", 1)
    for name in OURS:
        # Two runs of the same work differ by a few in a hundred.
        yield from compare(name, "cycle_long", name, 0.95, "cycle_short")
        yield from below(name, "p99_ms", 5)
        yield from below(name, "start_ms", 100)
        yield from below(name, "empty_mib", 30)
        if name != "full":  # there a receive takes as long as the disk, whose syncs vary tenfold
            yield from compare(name, "receive_1000_ms", name, 1 / 1.5, "receive_long_ms")
    for name in ("normal", "full"):
        yield from below(name, "stored_mib", 200)
        yield from below(name, "restart_ms", 10_000)


def disk_syncs() -> list[float]:
    """How long the disk takes for a second of writes over the same 16 KiB, each synced: milliseconds in order."""
    times = []
    with tempfile.TemporaryFile(dir=HERE.parent / "target") as file:
        ends = time.perf_counter() + 1
        while time.perf_counter() < ends or len(times) < 100:
            file.seek(0)
            file.write(b"x" * 16_384)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)


def share(times: list[float], part: float) -> float:
    return times[int(len(times) * part)]


def machine() -> dict[str, float]:
    """What the figures depend on beside the servers."""
    times = disk_syncs()
    return {
        "cores": os.cpu_count() or 1,
        "load_average": os.getloadavg()[0],
        "fdatasync_p50_ms": share(times, 0.5),
        "fdatasync_p99_ms": share(times, 0.99),
    }


def load_generator() -> Path:
    """The load generator, built where it isn't."""
    build = ["cargo", "build", "--release", "--quiet", "-p", "pyqs-local", "--example", "load"]
    subprocess.run(build, cwd=HERE.parent, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    return target / "release" / "examples" / "load"


def ensure_fauxqs() -> None:
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["fauxqs"]
    package = HERE / "node_modules" / "fauxqs" / "package.json"
    if package.exists() and json.loads(package.read_text())["version"] == wanted:
        return
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(install, cwd=HERE, check=True)


def report(chosen: list[str], figures: Figures, long: int) -> None:
    print(f"\n{'':<52}" + "".join(f"{name:>12}" for name in chosen))
    for key, title, form in ROWS:
        values = [figures[name].get(key) for name in chosen]
        if any(value is not None for value in values):
            cells = "".join(f"{'-' if value is None else form.format(value):>12}" for value in values)
            print(f"{title.replace('LONG', f'{long:,}'):<52}{cells}")
    print()
    for what, is_met in targets(figures):
        print(f"{'met   ' if is_met else 'MISSED'} {what}")


def main(argv: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", nargs="*", help=f"{', '.join(SERVERS)} (default: all)")
    works = "; ".join(f"{work}: {what}" for work, what in WORKS.items())
    parser.add_argument("--work", nargs="+", choices=WORKS, default=list(WORKS), help=f"{works} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each work is done (moto: once)")
    parser.add_argument("--secs", type=float, default=4, help="how long each work runs")
    parser.add_argument("--connections", type=int, default=128, help="of the load generator (moto: 4)")
    parser.add_argument("--long", type=int, default=1_000_000, help="messages of a long queue (moto: 1,000)")
    parser.add_argument("--pyqs", help="the command of ours (default: that of this interpreter)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(argv)
    chosen = options.server or SERVERS
    if unknown := set(chosen) - set(SERVERS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}")
    if "fauxqs" in chosen:
        ensure_fauxqs()
    bench = Bench(options)
    conditions = machine()
    print(f"machine: {conditions}", file=sys.stderr)
    for number in range(options.rounds):
        for name in chosen:
            if number < ROUNDS_MAX.get(name, options.rounds):
                bench.round(name)
    for name in chosen:
        bench.once(name)
    figures = bench.figures()
    print("\n" + ", ".join(f"{what} {value:.2f}" for what, value in conditions.items()))
    report(chosen, figures, options.long)
    if options.json:
        met = [{"target": what, "met": is_met} for what, is_met in targets(figures)]
        options.json.write_text(
            json.dumps({"machine": conditions, "figures": figures, "targets": met}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
