"""The built-in endpoint against its peers, by one native load generator on one machine in one run.

    cargo xtask bench endpoint                    # every figure, about fifteen minutes
    cargo xtask bench endpoint memory fauxqs      # these servers alone: memory, normal, full, moto, fauxqs
    cargo xtask bench endpoint --secs 1 --long 20000

Prints a table and, with `--json FILE`, writes the same figures for a script. moto comes from
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
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

HERE = Path(__file__).resolve().parent
OURS = {"memory": ["--memory"], "normal": ["--sync", "normal"], "full": ["--sync", "full"]}
SERVERS = [*OURS, "moto", "fauxqs"]
CONNECTIONS = 32
START_SECS_MAX = 30
# moto needs a day for a million messages and more memory than there is.
LONG_MAX = {"moto": 10_000}
ROWS = [
    ("send", "SendMessage: messages a second", "{:,.0f}"),
    ("batch", "SendMessageBatch of ten: messages a second", "{:,.0f}"),
    ("cycle", "send, receive, delete in tens: messages a second", "{:,.0f}"),
    ("cycle_long", "the same beside --long waiting", "{:,.0f}"),
    ("p99_ms", "p99 of a send at half of the top rate: ms", "{:.2f}"),
    ("start_ms", "cold start to the first answer: ms", "{:,.0f}"),
    ("empty_mib", "memory with 100 empty queues: MiB", "{:.1f}"),
    ("long_mib", "memory with --long messages of 1 kB: MiB", "{:.1f}"),
]


@dataclass
class Server:
    """A server that runs."""

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


@contextlib.contextmanager
def running(name: str, pyqs: list[str]) -> Iterator[Server]:
    """A fresh server; the peers cannot say which port they took, so they are given a free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory(dir=HERE.parent / "target") as data:
        if name == "moto":
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port]
        elif name == "fauxqs":
            command = ["node", str(HERE / "node_modules" / "fauxqs" / "dist" / "cli.js")]
            environment |= {"FAUXQS_PORT": port, "FAUXQS_HOST": "127.0.0.1", "FAUXQS_LOGGER": "false"}
        else:
            options = OURS[name] if name == "memory" else ["--data", data, *OURS[name]]
            command = [*pyqs, "local", "--port", port, *options]
        began = time.monotonic()
        server = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        try:
            wait_for_answer(server, int(port), began)
            yield Server(f"127.0.0.1:{port}", server.pid, time.monotonic() - began)
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
            raise SystemExit(f"{server.args} ended with exit code {server.returncode}")
        if time.monotonic() - began > START_SECS_MAX:
            raise SystemExit(f"{server.args} does not answer")
        time.sleep(0.001)


def load(server: Server, generator: Path, work: str, amount: float, rate: Optional[float] = None) -> dict[str, float]:
    """Runs the load generator."""
    words = [str(generator), server.address, "bench", work, str(CONNECTIONS), f"{amount:g}"]
    if work == "fill":
        words[-1] = str(int(amount))
    done = subprocess.run([*words, *([f"{rate:.1f}"] if rate else [])], check=True, text=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def measure(name: str, generator: Path, options: argparse.Namespace) -> dict[str, float]:
    """All figures of a server, each work on a queue that holds nothing else."""
    pyqs = shlex.split(options.pyqs) if options.pyqs else [sys.executable, "-m", "pyqs"]
    figures: dict[str, float] = {}
    with running(name, pyqs) as server:
        figures["start_ms"] = server.start_secs * 1e3
        for number in range(100):
            server.call("CreateQueue", QueueName=f"empty-{number}")
        figures["empty_mib"] = server.memory_mib()
    for work in ("cycle", "batch", "send"):
        with running(name, pyqs) as server:
            found = load(server, generator, work, options.secs)
            figures[work] = found["messages_a_sec"]
    with running(name, pyqs) as server:
        figures["p99_ms"] = load(server, generator, "send", options.secs, figures["send"] / 2)["p99_ms"]
    with running(name, pyqs) as server:
        figures["long"] = min(options.long, LONG_MAX.get(name, options.long))
        load(server, generator, "fill", figures["long"])
        figures["long_mib"] = server.memory_mib()
        figures["cycle_long"] = load(server, generator, "cycle", options.secs)["messages_a_sec"]
    return figures


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


def main(argv: Optional[list[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", nargs="*", help=f"{', '.join(SERVERS)} (default: all)")
    parser.add_argument("--secs", type=float, default=10, help="how long each work runs")
    parser.add_argument("--long", type=int, default=1_000_000, help="messages of 1 kB in the long queue (moto: 10,000)")
    parser.add_argument("--pyqs", help="the command of ours (default: that of this interpreter)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(argv)
    chosen = options.server or SERVERS
    if unknown := set(chosen) - set(SERVERS):
        parser.error(f"no such server: {', '.join(sorted(unknown))}; there are {', '.join(SERVERS)}")
    if "fauxqs" in chosen:
        ensure_fauxqs()
    generator = load_generator()
    figures: dict[str, dict[str, float]] = {}
    for name in chosen:
        figures[name] = measure(name, generator, options)
        print(f"{name}: {figures[name]}", file=sys.stderr)
    print(f"\n{'':<52}" + "".join(f"{name:>12}" for name in chosen))
    for key, title, form in ROWS:
        cells = "".join(f"{form.format(figures[name][key]):>12}" for name in chosen)
        print(f"{title.replace('--long', f'{options.long:,}'):<52}{cells}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
