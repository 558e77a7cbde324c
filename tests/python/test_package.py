"""The package as a whole: its stub, its types, what importing it does, and what PyQS had that it can't have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pyqs
import pytest
from pyqs import _conflict, main, worker
from pyqs.errors import DistributionConflict, NotCarriedOver, PyqsError, SettingsInvalid


def test_the_stub_is_what_the_extension_has() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "pyqs._pyqs", "--ignore-disjoint-bases"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


OUTPUT: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
PACKAGES = str(Path(pyqs.__file__).parent.parent)


def test_importing_starts_nothing() -> None:
    code = """
import os, sys, threading
before = len(os.listdir("/proc/self/fd"))
import pyqs, pyqs.main, pyqs.worker
assert threading.active_count() == 1
assert len(os.listdir("/proc/self/task")) == 1, "native threads"
assert len(os.listdir("/proc/self/fd")) == before, "open files"
assert "boto3" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_takes_long_to_import_is_imported_by_the_first_message() -> None:
    code = """
import sys
before = set(sys.modules)
import pyqs
print(*sorted(sys.modules.keys() - before))
@pyqs.task(queue="email", retries=3, backoff=[1, 5], time_limit=60)
def send_email(to: str): ...
print(*sorted(sys.modules.keys() - before))
"""
    result = subprocess.run([sys.executable, "-S", "-c", code], **OUTPUT, env={"PYTHONPATH": PACKAGES})
    of_package, of_task = map(str.split, result.stdout.splitlines())

    assert of_package == ["pyqs", "pyqs._pyqs"], result.stderr
    too_long = {"asyncio", "dataclasses", "datetime", "decimal", "hashlib", "importlib", "inspect", "json", "logging"}
    too_long |= {"random", "signal", "socket", "threading", "uuid"}
    assert not too_long & set(of_task)


def test_importing_the_package_is_enough_for_what_it_had() -> None:
    code = """
import pyqs
assert callable(pyqs.task) and callable(pyqs.decorator.task)
assert pyqs.errors.PyqsError and pyqs.utils.decode_message
assert not hasattr(pyqs, "nothing_of_ours")
from pyqs import *
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("argv", [["-m", "pyqs"], ["-c", "from pyqs.main import main; main()"]])
def test_it_runs_as_a_module_and_as_a_function(argv: list[str]) -> None:
    result = subprocess.run([sys.executable, *argv, "--version"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.split()) == (0, ["pyqs", pyqs.__version__])


def test_no_argument_is_a_usage_error() -> None:
    result = subprocess.run([sys.executable, "-m", "pyqs"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "use",
    [
        worker.get_conn,
        worker.BaseWorker,
        lambda: worker.ReadWorker("url", None, 10),
        lambda: worker.ProcessWorker(None, 1, parent_id=1),
        lambda: worker.SimpleProcessWorker("url", 1, 1),
        lambda: type("Mine", (worker.ProcessWorker,), {}),
        lambda: type("Mine", (worker.ManagerWorker,), {"WORKER_CHILDREN_CLASS": object}),
    ],
)
def test_what_cannot_carry_over_says_so_at_once(use: Callable[[], Any]) -> None:
    with pytest.raises(NotCarriedOver, match=r"pyqs\.|boto3"):
        use()


def test_a_manager_may_be_extended() -> None:
    class Mine(worker.ManagerWorker):
        pass

    assert Mine(["a", "b"], 2, 0.5, 10, prefetch_multiplier=3, region="eu-west-1")
    assert worker.SimpleManagerWorker(["a"], 2, 0.5, 0)
    assert (worker.MESSAGE_DOWNLOAD_BATCH_SIZE, worker.LONG_POLLING_INTERVAL) == (10, 20)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"queues": []}, "no queue is given"),
        ({"queues": ["q"], "concurrency": -1}, "concurrency is -1; give a whole number"),
        ({"queues": ["q"], "concurrency": 0}, "concurrency is 0; give at least 1"),
        ({"queues": ["q"], "concurrency": "two"}, "concurrency is two"),
        ({"queues": ["q"], "interval": -0.5}, "interval is -0.5; give seconds"),
        ({"queues": ["q"], "shutdown_timeout": float("nan")}, "shutdown_timeout is nan"),
        ({"queues": ["q"], "log_level": "LOUD"}, "LOUD.*no log level"),
        ({"queues": 5}, "queues: "),
        ({"queues": ["q"], "http": "9100"}, "http is 9100; give an address and a port"),
        ({"queues": ["q"], "http": "0.0.0.0:9100"}, "give a token too"),
    ],
)
def test_a_bad_setting_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=words) as caught:
        pyqs._pyqs.WorkerSettings(**fields)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PyqsError)


def test_an_unknown_setting_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"no setting .colour"):
        pyqs._pyqs.WorkerSettings(queues=["q"], colour="red")  # type: ignore[call-arg]


def test_settings_are_readable() -> None:
    settings = pyqs._pyqs.WorkerSettings(
        queues=["a,b"],
        concurrency=3,
        log_level="info",
        region="r",
        endpoint_url="http://x",
        shutdown_timeout=1.5,
        imports=["i"],
        preload=["p"],
        allow=["x.*"],
        registered_only=True,
    )
    assert (settings.queues, settings.concurrency, settings.log_level) == (["a,b"], 3, "INFO")
    assert (settings.region, settings.endpoint_url, settings.access_key_id) == ("r", "http://x", None)
    assert (settings.shutdown_timeout, settings.imports, settings.preload) == (1.5, ["i"], ["p"])
    assert (settings.allow, settings.registered_only) == (["x.*"], True)


def test_set_batchsize() -> None:
    class Args:
        def __init__(self, batchsize: Any, simple_worker: bool) -> None:
            self.batchsize = batchsize
            self.simple_worker = simple_worker

    assert main._set_batchsize(Args(None, False)) == 10
    assert main._set_batchsize(Args(None, True)) == 1
    assert main._set_batchsize(Args(3, True)) == 3


def test_the_current_directory_is_importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["elsewhere"])
    main._add_cwd_to_path()
    main._add_cwd_to_path()
    assert sys.path == [str(tmp_path), "elsewhere"]


@pytest.mark.parametrize("is_over_ours", [True, False])
def test_the_original_distribution_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_over_ours: bool
) -> None:
    """A distribution ``pyqs`` whose package lies where ours lies, or elsewhere."""
    package = Path(_conflict.__file__).parent
    site = tmp_path / "site"
    metadata = site / "pyqs-1.0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pyqs\nVersion: 1.0.1\n")
    if is_over_ours:
        (site / "pyqs").symlink_to(package)
    monkeypatch.syspath_prepend(str(site))
    if is_over_ours:
        with pytest.raises(DistributionConflict, match=r"pyqs 1\.0\.1 .*pip uninstall -y pyqs"):
            _conflict.check()
    else:
        _conflict.check()
