"""Wrong use of the command: one line that says what is wrong and what to do, and an exit code."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest
from support.processes import one_line
from support.projects import Project
from support.queues import Queue
from support.recorder import Recorder, error

NO_KEYS = dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--colour", "email"], ["--colour"]),
        (["email", "--concurency", "3"], ["--concurency", "--concurrency"]),
        ([], ["queue"]),
        (["--concurrency", "2"], ["queue"]),
        (["email", "--loglevel", "LOUD"], ["LOUD", "DEBUG", "INFO", "WARN"]),
        (["email", "--concurrency", "many"], ["--concurrency", "many"]),
        (["email", "--concurrency", "0"], ["--concurrency"]),
        (["email", "--concurrency", "-1"], ["--concurrency"]),
        (["email", "--interval", "soon"], ["--interval", "soon"]),
        (["email", "--interval", "-1"], ["--interval"]),
        (["email", "--max-tasks-per-child", "-5"], ["--max-tasks-per-child"]),
        (["email", "--batchsize", "ten"], ["--batchsize", "ten"]),
        (["email", "--access-key-id", "only-half"], ["--secret-access-key"]),
        (["email", "--region"], ["--region"]),
        (["local", "--port", "99999"], ["--port", "99999"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(ours_project: Project, arguments: list[str], said: list[str]) -> None:
    result = ours_project.pyqs(*arguments)

    line = one_line(result.stderr)
    assert all(word in line for word in said), line
    assert result.returncode == 2
    assert result.stdout == ""


def test_an_endpoint_for_everybody_must_be_meant(ours_project: Project) -> None:
    result = ours_project.pyqs("local", "--port", "0", "--host", "0.0.0.0")

    line = one_line(result.stderr)
    assert all(word in line for word in ["0.0.0.0", "--access-key-id", "--insecure"]), line
    assert result.returncode == 1
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["worker", "--help"], ["local", "--help"]])
def test_help_is_on_stdout(ours_project: Project, arguments: list[str]) -> None:
    result = ours_project.pyqs(*arguments)

    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage:" in result.stdout


def test_the_version_is_the_packages(ours_project: Project) -> None:
    result = ours_project.pyqs("--version")

    version = ours_project.python("import pyqs; print(pyqs.__version__)").strip()
    assert result.returncode == 0
    assert version in result.stdout


@pytest.mark.parametrize(
    ("code", "status"),
    [("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403), ("UnrecognizedClientException", 400)],
)
def test_wrong_credentials_end_the_worker(ours_project: Project, recorder: Recorder, code: str, status: int) -> None:
    recorder.answer = lambda _request: error(status, code, "The security token included in the request is invalid.")
    result = ours_project.pyqs("email", AWS_ENDPOINT_URL=recorder.url)

    line = one_line(result.stderr)
    assert "credentials" in line
    assert "AWS_ACCESS_KEY_ID" in line or "--access-key-id" in line
    assert result.returncode == 1
    assert len(recorder.requests) < 5, "wrong credentials do not get right by asking again"


def test_a_lack_of_permission_ends_the_worker(ours_project: Project, recorder: Recorder) -> None:
    recorder.answer = lambda _request: error(403, "AccessDenied", "User is not authorized to perform: sqs:GetQueueUrl")
    result = ours_project.pyqs("email", AWS_ENDPOINT_URL=recorder.url)

    line = one_line(result.stderr)
    assert "sqs:GetQueueUrl" in line
    assert result.returncode == 1


def test_no_credentials_end_the_worker(ours_project: Project, tmp_path: Path) -> None:
    result = ours_project.pyqs("email", HOME=str(tmp_path), **NO_KEYS)

    line = one_line(result.stderr)
    assert "credentials" in line
    assert result.returncode == 1


def test_a_profile_that_is_not_there_ends_the_worker(ours_project: Project, tmp_path: Path) -> None:
    config = ours_project.write("config", "[profile other]\nregion = eu-west-1\n")
    result = ours_project.pyqs("email", AWS_PROFILE="missing", AWS_CONFIG_FILE=str(config), **NO_KEYS)

    line = one_line(result.stderr)
    assert "missing" in line
    assert result.returncode == 1


def test_an_endpoint_that_does_not_answer_ends_the_worker_within_16_seconds(ours_project: Project) -> None:
    """One port refuses, the other takes connections and never says a word."""
    with socket.socket() as refusing, socket.socket() as silent:
        refusing.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen(50)
        began = time.monotonic()
        urls = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in (refusing, silent)]
        workers = [ours_project.start_pyqs("email", "--endpoint-url", url) for url in urls]
        codes = [worker.wait(30) for worker in workers]
        took = time.monotonic() - began

    assert codes == [1, 1]
    assert took < 20, took
    for worker, url in zip(workers, urls):
        assert url in one_line(worker.output)


@pytest.mark.parametrize("url", ["localhost:9324", "ftp://127.0.0.1", "http://", "not a url"])
def test_an_endpoint_url_that_is_none_is_one_line(ours_project: Project, url: str) -> None:
    result = ours_project.pyqs("email", "--endpoint-url", url)

    one_line(result.stderr)
    assert result.returncode in (1, 2)


def test_trouble_after_the_start_ends_nothing(ours_project: Project, recorder: Recorder) -> None:
    """Once it has run, a worker waits for its endpoint to come back, says so once, and does not ask in a hot loop."""
    worker = ours_project.worker("email", AWS_ENDPOINT_URL=recorder.url, loglevel="INFO")
    recorder.first("ReceiveMessage")
    recorder.answer = lambda _request: error(500, "InternalFailure")
    worker.wait_for(r"^\[WARNING\]: .*email")
    asked = recorder.actions().count("ReceiveMessage")
    recorder.answer = lambda _request: None
    worker.wait_for(r"works again")

    assert worker.popen.poll() is None
    assert recorder.actions().count("ReceiveMessage") - asked < 20
    assert len(worker.matches(r"^\[WARNING\]: receiving")) <= 2, worker.output


def test_credentials_that_get_wrong_later_end_nothing(ours_project: Project, recorder: Recorder) -> None:
    worker = ours_project.worker("email", AWS_ENDPOINT_URL=recorder.url)
    recorder.first("ReceiveMessage")
    recorder.answer = lambda _request: error(403, "ExpiredToken")
    worker.wait_for(r"^\[WARNING\]: .*email")

    assert worker.popen.poll() is None


def test_a_port_that_is_taken_is_one_line(ours_project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = ours_project.pyqs("local", "--memory", "--port", port)

    assert port in one_line(result.stderr)
    assert result.returncode == 1


def test_a_data_folder_that_can_not_be_written_is_one_line(ours_project: Project) -> None:
    file = ours_project.write("a-file", "")
    result = ours_project.pyqs("local", "--port", "0", "--data", str(file / "data"))

    assert "a-file" in one_line(result.stderr)
    assert result.returncode == 1


def test_wrong_arguments_of_main_are_one_line(ours_project: Project, ours_queue: Queue) -> None:
    program = "from pyqs.main import _main\n_main(['email'], logging_level='LOUD')"
    result = ours_project.run([sys.executable, "-c", program])

    assert result.returncode != 0
    assert "LOUD" in result.stderr.splitlines()[-1]


def test_no_terminal_and_no_home_are_no_trouble(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("tasks.work", 1)
    ours_project.start_pyqs(ours_queue.name, HOME=None, TERM=None, LANG="C", USER=None)

    ours_project.wait_for_notes("work")


def test_the_old_and_the_new_distribution_over_each_other_are_told_of(ours_project: Project) -> None:
    """A stand-in for the original's metadata, which says that it has the same files."""
    import pyqs

    site = Path(pyqs.__file__).parents[1]
    metadata = "Metadata-Version: 2.1\nName: pyqs\nVersion: 1.0.1\n"
    folder = ours_project.folder / "site"
    ours_project.write("site/pyqs-1.0.1.dist-info/METADATA", metadata)
    os.symlink(site / "pyqs", folder / "pyqs")
    result = ours_project.run([sys.executable, "-m", "pyqs", "email"], PYTHONPATH=str(folder))

    line = one_line(result.stderr)
    assert "pip uninstall" in line
    assert result.returncode == 1
