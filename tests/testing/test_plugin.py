"""The pytest plugin: fixtures that are there by themselves, and cost nothing where nobody takes them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from support.user_tests import run_pytest

TASKS = """
import os, pyqs

@pyqs.task(queue="email")
def send_email(to): return to
"""


def write(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))


def test_its_fixtures_are_there(tmp_path: Path) -> None:
    test = """
    import os
    import tasks

    def test_eager(pyqs_eager):
        assert pyqs_eager.run_of(tasks.send_email.delay("ada")).result == "ada"

    def test_endpoint(pyqs_endpoint):
        tasks.send_email.delay("ada")
        assert os.environ["AWS_ENDPOINT_URL_SQS"] == pyqs_endpoint.url
        assert len(pyqs_endpoint.sent("email")) == 1

    def test_each_test_has_its_own(pyqs_endpoint):
        assert pyqs_endpoint.sent("email") == []

    def test_session(pyqs_session_endpoint):
        tasks.send_email.delay("ada")

    def test_session_stays(pyqs_session_endpoint):
        assert len(pyqs_session_endpoint.sent("email")) == 1

    def test_both(pyqs_session_endpoint, pyqs_endpoint):
        assert pyqs_session_endpoint.url != pyqs_endpoint.url
        tasks.send_email.delay("ada")
        assert len(pyqs_session_endpoint.sent("email")) == 1
        assert len(pyqs_endpoint.sent("email")) == 1
    """
    write(tmp_path, tasks=TASKS, test_it=test)
    result = run_pytest(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "6 passed" in result.stdout


def test_it_works_with_xdist(tmp_path: Path) -> None:
    test = """
    import pytest, tasks

    @pytest.mark.parametrize("number", range(12))
    def test_it(pyqs_endpoint, number):
        tasks.send_email.delay(number)
        assert [sent.args for sent in pyqs_endpoint.sent()] == [[number]]
    """
    write(tmp_path, tasks=TASKS, test_it=test)
    result = run_pytest(tmp_path, "-n", "3")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "12 passed" in result.stdout


def test_it_imports_nothing_before_a_test_needs_it(tmp_path: Path) -> None:
    test = """
    import sys

    def test_it():
        assert "pytest_pyqs" in sys.modules
        assert "pyqs" not in sys.modules
    """
    write(tmp_path, test_it=test)
    result = run_pytest(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_its_fixtures_say_what_they_are(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, "--fixtures")
    for name in ("pyqs_eager", "pyqs_endpoint", "pyqs_session_endpoint"):
        assert name in result.stdout


def test_importing_pyqs_imports_neither_pytest_nor_its_testing() -> None:
    code = (
        "import sys, pyqs; print([name for name in ('pytest', 'pyqs.testing') if name in sys.modules])\n"
        "import pyqs.testing; print('pytest' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\nFalse\n"
