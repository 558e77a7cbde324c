"""What the tests stand on: an endpoint, a client of it, and workers as real processes.

``endpoint`` runs each test twice: on ours (``pyqs local``) and on moto's server, so that we never agree only with
ourselves. Nothing here sleeps: tests wait for conditions, which have a deadline.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import boto3
import pytest

T = TypeVar("T")

DEADLINE_SECS = 60.0
"""How long a condition may take on a slow machine; what works takes far less."""

REPOSITORY = Path(__file__).resolve().parents[2]


def eventually(condition: Callable[[], T], what: str = "", deadline_secs: float = DEADLINE_SECS) -> T:
    """Wait until a condition holds, and return what it gave."""
    end = time.monotonic() + deadline_secs
    pause = threading.Event()
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_secs} s: {what or condition}")
        pause.wait(0.02)


class Process:
    """A program that runs, with the lines that it prints."""

    def __init__(self, argv: list[str], **options: Any) -> None:
        self.argv = argv
        self.popen = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1, **options
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1, deadline_secs: float = DEADLINE_SECS) -> re.Match[str]:
        """Wait until so many lines match the pattern, and return the last of these matches."""

        def found() -> Optional[re.Match[str]]:
            matches = list(re.finditer(pattern, self.output, re.MULTILINE))
            if len(matches) < count and self.popen.poll() is not None:
                self._reader.join()
                matches = list(re.finditer(pattern, self.output, re.MULTILINE))
                assert len(matches) >= count, f"{self.argv} ended without {pattern!r}:\n{self.output}"
            return matches[count - 1] if len(matches) >= count else None

        try:
            return eventually(found, repr(pattern), deadline_secs)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.argv} printed:\n{self.output}") from None

    def send_signal(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def wait(self, deadline_secs: float = DEADLINE_SECS) -> int:
        """Wait for its end: the exit code."""
        try:
            code = self.popen.wait(deadline_secs)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.argv} does not end; it printed:\n{self.output}") from None
        self._reader.join(DEADLINE_SECS)
        return code

    def stop(self, signum: int = signal.SIGTERM, deadline_secs: float = DEADLINE_SECS) -> int:
        """Ask it to stop and wait for it: the exit code."""
        if self.popen.poll() is None:
            self.send_signal(signum)
        return self.wait(deadline_secs)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()
        self.popen.wait()


class Endpoint:
    """An SQS endpoint that runs on this machine."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """A process with these variables, and no others of AWS's, reaches it."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYQS_"))}
        return {
            **clean,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONUNBUFFERED": "1",
        }

    def client(self) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


def pyqs_command() -> list[str]:
    """The command under test: the one beside this interpreter."""
    script = Path(sys.executable).with_name("pyqs")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pyqs"]


@contextlib.contextmanager
def local_endpoint(*options: str) -> Iterator[Endpoint]:
    """Our own endpoint, on a port that it chooses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYQS_"))}
    process = Process([*pyqs_command(), "local", "--port", "0", *(options or ["--memory"])], env=environment)
    try:
        url = process.wait_for(r"AWS_ENDPOINT_URL=(\S+)").group(1)
        yield Endpoint("pyqs", url)
    finally:
        process.kill()


@contextlib.contextmanager
def moto_endpoint() -> Iterator[Endpoint]:
    """moto's server, on a port that is free."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # It cannot say which port it took, so it is given one that was free a moment ago, and another if that is gone.
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = Process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], env=environment)
        try:
            process.wait_for(r"Running on http", deadline_secs=DEADLINE_SECS)
        except AssertionError:
            process.kill()
            continue
        try:
            yield Endpoint("moto", f"http://127.0.0.1:{port}")
        finally:
            process.kill()
        return
    raise AssertionError(f"moto's server does not start:\n{process.output}")


@pytest.fixture(scope="session")
def ours() -> Iterator[Endpoint]:
    """Our endpoint, one for the session."""
    with local_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def moto() -> Iterator[Endpoint]:
    """moto's server, one for the session."""
    with moto_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(params=["ours", "moto"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """Each of the endpoints in turn. Queues are told apart by their names."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def sqs(endpoint: Endpoint) -> Any:
    """A boto3 client of the endpoint."""
    return endpoint.client()


@pytest.fixture
def queue_name() -> str:
    """The name of a queue that no other test uses."""
    return f"q{uuid.uuid4().hex[:12]}"


class Queue:
    """A queue as boto3 sees it."""

    def __init__(self, client: Any, name: str, **attributes: str) -> None:
        self.client = client
        self.name = name
        self.url: str = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, body: str, **fields: Any) -> str:
        """Send a body; the message's id."""
        message_id: str = self.client.send_message(QueueUrl=self.url, MessageBody=body, **fields)["MessageId"]
        return message_id

    def receive(self, wait_secs: int = 0) -> list[dict[str, Any]]:
        """Receive up to ten messages."""
        answer = self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=wait_secs, AttributeNames=["All"]
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def counts(self) -> tuple[int, int]:
        """How many messages are visible, and how many are hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def wait_until_empty(self, deadline_secs: float = DEADLINE_SECS) -> None:
        """Wait until nothing is left, visible or hidden: all was acknowledged."""
        eventually(lambda: self.counts() == (0, 0), f"{self.name} is empty", deadline_secs)


@pytest.fixture
def queue(sqs: Any, queue_name: str) -> Queue:
    """A new queue with SQS's defaults."""
    return Queue(sqs, queue_name)


class Project:
    """A user's project: a folder with modules, in which commands run."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self._running: list[Process] = []

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, argv: list[str], **environment: str) -> Process:
        """Start a command; it is killed when the test ends."""
        process = Process(argv, cwd=self.folder, env={**self.endpoint.environment, **environment})
        self._running.append(process)
        return process

    def python(self, code: str, **environment: str) -> str:
        """Run Python code to its end: what it printed."""
        process = self.start([sys.executable, "-c", code], **environment)
        assert process.wait() == 0, process.output
        return process.output

    def worker(self, *arguments: str, loglevel: str = "INFO", **environment: str) -> Process:
        """Start a worker and wait until its manager has said that it is up."""
        process = self.start([*pyqs_command(), *arguments, "--loglevel", loglevel], **environment)
        if loglevel in ("INFO", "DEBUG"):
            process.wait_for(r"Running ProcessWorker, pid: \d+")
        return process

    def lines(self, name: str) -> list[str]:
        """The lines of a file that tasks write; none while it is not there."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        """Kill what still runs, and its whole family with it: the manager stops when its supervisor is gone."""
        for process in self._running:
            process.kill()


TASKS = """
import os, signal, sys, time
from pyqs import task

def note(name, line):
    with open(name, "a") as file:
        file.write(f"{line}\\n")

@task()
def default_queue(value):
    note("done", value)
"""
"""The beginning of most projects' ``tasks.py``."""


@pytest.fixture
def project(tmp_path: Path, endpoint: Endpoint) -> Iterator[Project]:
    """An empty project, whose commands reach the endpoint."""
    project = Project(tmp_path, endpoint)
    yield project
    project.close()


@pytest.fixture
def worker(project: Project) -> Callable[..., Process]:
    """Starts ``pyqs ...`` in the project: ``worker("email*", "-c", "2")``."""
    return project.worker


@pytest.fixture(scope="session")
def original() -> list[str]:
    """The interpreter of an environment with the original PyQS 1.0.1, kept under ``target/`` between runs."""
    folder = REPOSITORY / "target" / "pyqs-original"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "pyqs==1.0.1", "boto3"]
        subprocess.run(install, check=True)
        ready.touch()
    return [str(python)]
