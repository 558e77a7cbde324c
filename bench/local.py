"""What the benchmarks share: `pyqs local` as a process with the calls that they make, and the peers' environment."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
import venv
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
PEERS = HERE / ".venv"
OURS = [sys.executable, "-m", "pyqs"]
ORIGINAL = [str(PEERS / "bin" / "pyqs")]
BATCH_MAX = 10
BATCH_BYTES_MAX = 1_000_000


class Endpoint:
    """`pyqs local`, which can be killed and started again on the port that it had."""

    def __init__(self, *options: str) -> None:
        self.options = list(options)
        self.port = 0
        self._connections = threading.local()
        self.start()

    def start(self) -> None:
        command = [*OURS, "local", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"AWS_ENDPOINT_URL=(\S+)", line):
                self.url = found[1]
                self.port = int(urlsplit(self.url).port or 0)
                self._connections = threading.local()
                return
        raise SystemExit("pyqs local ended before it listened")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        self.process.terminate()
        self.process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """A process with these variables reaches it."""
        return {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
        }

    def call(self, action: str, **members: Any) -> dict[str, Any]:
        connection = getattr(self._connections, "open", None)
        if connection is None:
            connection = self._connections.open = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"}
        try:
            connection.request("POST", "/", json.dumps(members), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status != 200:
            raise SystemExit(f"{action}: {body.decode()}")
        return dict(json.loads(body or b"{}"))

    def fresh_queue(self, name: str, **attributes: str) -> str:
        return str(self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])

    def left(self, queue_url: str) -> int:
        """Messages in the queue, visible or hidden."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        attributes = self.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def send(self, queue_url: str, bodies: list[str], **fields: list[str]) -> None:
        """Send these bodies, which are about the same size; a field has a value for each."""
        at = 0
        while at < len(bodies):
            fitting = BATCH_BYTES_MAX // max(len(bodies[at]), 1)
            end = min(at + min(max(fitting, 1), BATCH_MAX), len(bodies))
            entries = [
                {"Id": str(one), "MessageBody": bodies[one], **{name: values[one] for name, values in fields.items()}}
                for one in range(at, end)
            ]
            answer = self.call("SendMessageBatch", QueueUrl=queue_url, Entries=entries)
            if answer.get("Failed"):
                raise SystemExit(f"can't send: {answer['Failed'][0]}")
            at = end

    def requests(self) -> dict[str, int]:
        """Requests answered so far, by action."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        counts = re.findall(r'^pyqs_local_requests_total\{action="(\w+)"\} (\d+)', text, re.MULTILINE)
        return {action: int(count) for action, count in counts}


def call_body(task: str, *args: Any) -> str:
    """A call as PyQS writes it."""
    return json.dumps({"task": task, "args": args, "kwargs": {}})


def children(pid: int) -> list[int]:
    """The children of a process that have not ended."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == pid and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return sorted(found)


def ensure_peers() -> None:
    """Install what is compared with, if it is not there yet."""
    marker = PEERS / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text()
    if marker.exists() and marker.read_text() == wanted:
        return
    venv.create(PEERS, with_pip=True, clear=True)
    pip = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(HERE / "requirements.txt")], check=True)
    marker.write_text(wanted)
