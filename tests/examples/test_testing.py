"""examples/testing: a user's tests, run as they are."""

from __future__ import annotations

from support.user_tests import REPOSITORY, run_pytest


def test_its_tests_pass() -> None:
    result = run_pytest(REPOSITORY / "examples" / "testing")
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout
    assert "skipped" not in result.stdout
