"""What is installed, and what importing it does not do; and the README's example."""

from __future__ import annotations

import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

from support.endpoints import Endpoint, clean_environment, local_endpoint, pyqs_command
from support.projects import Project
from support.queues import Queue
from support.recorder import Recorder
from support.waiting import eventually

README = Path(__file__).resolve().parents[2] / "README.md"

WHAT_IMPORT_DOES = """
import os, sys
before = set(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
import pyqs, pyqs.main, pyqs.worker, pyqs.events, pyqs.utils, pyqs.decorator, pyqs.errors
@pyqs.task(queue="email")
def send_email(to):
    pass
after = set(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
print(before == after)
print(sorted(name for name in ("boto3", "botocore", "asyncio", "multiprocessing") if name in sys.modules))
"""


def test_importing_starts_no_thread_and_opens_no_socket(ours_project: Project) -> None:
    assert ours_project.python(WHAT_IMPORT_DOES) == "True\n[]\n"


WHAT_DECLARING_DOES = """
import pyqs, pyqs.main, pyqs.events, pyqs.testing
@pyqs.task(queue="email", retries=3)
def send_email(to):
    pass
pyqs.configure(region="eu-west-1")
print("declared")
send_email.delay("ada")
"""


def test_credentials_and_settings_are_looked_for_at_the_first_message(
    ours_project: Project, recorder: Recorder, tmp_path: Path
) -> None:
    """Whoever opens one of these files waits until somebody writes to it."""
    files = {name: str(tmp_path / name.lower()) for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    for file in files.values():
        os.mkfifo(file)
    places = {
        **files,
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        "AWS_EC2_METADATA_DISABLED": "false",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": recorder.url,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{recorder.url}/credentials",
    }
    program = ours_project.script(WHAT_DECLARING_DOES, **places)
    program.wait_for("declared")
    assert recorder.requests == []

    eventually(lambda: any(_is_being_read(file) for file in files.values()), "the message needs credentials")


def _is_being_read(fifo: str) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_the_namespace_is_pyqss_and_a_little_more(ours_project: Project) -> None:
    printed = ours_project.python("import pyqs; print(pyqs.__title__, pyqs.__version__, *pyqs.__all__)")

    title, version, *names = printed.split()
    assert title == "pyqs"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", version)
    assert set(names) >= {"task", "__title__", "__version__"}


def test_the_distribution_is_pyqs_rs_with_a_command_pyqs() -> None:
    distribution = metadata.distribution("pyqs-rs")

    commands = {entry.name: entry.value for entry in distribution.entry_points if entry.group == "console_scripts"}
    assert commands == {"pyqs": "pyqs.main:main"}
    assert distribution.metadata["Requires-Python"] == ">=3.9"
    needed = [line for line in distribution.requires or () if "extra ==" not in line]
    assert not needed, "without extras it needs nothing beside itself"


def test_the_package_is_typed_and_its_extension_is_private(ours_project: Project) -> None:
    files = ours_project.python(
        "import os, pyqs; print(*sorted(os.listdir(os.path.dirname(pyqs.__file__))), sep='\\n')"
    ).split()

    assert {"py.typed", "_pyqs.pyi"} <= set(files)
    assert any(re.fullmatch(r"_pyqs(\.abi3)?.*\.so", name) for name in files)


def test_the_readmes_example(ours: Endpoint, tmp_path: Path) -> None:
    """Its module as it stands, and its commands on an endpoint with a port of its own."""
    module = re.search(r"```python\n(# tasks\.py\n.*?)```", README.read_text(), re.DOTALL)
    send = re.search(r"\$ python -c '(.*?)'", README.read_text())
    work = re.search(r"\$ pyqs (email\S* .*)", README.read_text())
    assert module
    assert send
    assert work
    project = Project(tmp_path, ours)
    project.write("tasks.py", module.group(1))
    try:
        project.python(send.group(1))
        worker = project.start_pyqs(*work.group(1).split())
        worker.wait_for(r"sending 'hello' to everyone")
        worker.wait_for(r"Processed task tasks\.send_email")
        assert worker.stop() == 0
    finally:
        project.close()


def test_the_readmes_endpoint_keeps_its_data(tmp_path: Path) -> None:
    """``pyqs local`` with a data folder, ended by kill -9: what was sent is there at the next start."""
    data = str(tmp_path / "queues")
    with local_endpoint("--data", data) as endpoint:
        Queue(endpoint.client(), "kept").send("message")
    with local_endpoint("--data", data) as endpoint:
        assert Queue(endpoint.client(), "kept").take()[0]["Body"] == "message"


def test_commands_run_in_any_folder_without_a_terminal(tmp_path: Path) -> None:
    result = subprocess.run(
        [*pyqs_command(), "--version"],
        cwd=tmp_path,
        env={**clean_environment(), "PATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 0, result.stderr
