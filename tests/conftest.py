"""Fixtures of all black-box tests; what they are made of is in ``support``.

``endpoint`` runs each test twice: on ours (``pyqs local``) and on moto's server, so that we never agree only with
ourselves. Tests that need nothing of the endpoint but that it is there take ``ours``.
"""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from support.endpoints import Endpoint, local_endpoint, moto_endpoint
from support.processes import Process
from support.projects import Project
from support.queues import Queue, new_name
from support.recorder import Recorder

REPOSITORY = Path(__file__).resolve().parents[1]

# A shell starts what it runs in the background with SIGINT ignored, and what the tests start would inherit that.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    return new_name()


@pytest.fixture
def queue(sqs: Any, queue_name: str) -> Queue:
    """A new queue with SQS's defaults."""
    return Queue(sqs, queue_name)


@pytest.fixture
def project(tmp_path: Path, endpoint: Endpoint) -> Iterator[Project]:
    """A project with a few tasks, whose commands reach the endpoint."""
    project = Project(tmp_path, endpoint)
    yield project
    project.close()


@pytest.fixture
def ours_project(ours: Endpoint, tmp_path: Path) -> Iterator[Project]:
    """A project on our endpoint."""
    project = Project(tmp_path, ours)
    yield project
    project.close()


@pytest.fixture
def ours_queue(ours: Endpoint) -> Queue:
    """A new queue on our endpoint."""
    return Queue(ours.client(), new_name())


@pytest.fixture
def moto_project(moto: Endpoint, tmp_path: Path) -> Iterator[Project]:
    """A project on moto's server."""
    project = Project(tmp_path, moto)
    yield project
    project.close()


@pytest.fixture
def moto_queue(moto: Endpoint) -> Queue:
    """A new queue on moto's server."""
    return Queue(moto.client(), new_name())


@pytest.fixture
def worker(project: Project) -> Callable[..., Process]:
    """Starts ``pyqs ...`` in the project: ``worker("email*", "-c", "2")``."""
    return project.worker


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A stand-in for SQS that writes down what reaches it."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def original() -> list[str]:
    """The interpreter of an environment with the original PyQS 1.0.1, kept under ``target/`` between runs."""
    folder = REPOSITORY / "target" / "pyqs-original"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    folder.parent.mkdir(exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        if not ready.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "pyqs==1.0.1", "boto3"]
            subprocess.run(install, check=True)
            ready.touch()
    return [str(python)]
