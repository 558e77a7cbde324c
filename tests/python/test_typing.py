"""What mypy says of users' code: ``tests/typing``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

USES = Path(__file__).resolve().parents[1] / "typing"


def errors_in(name: str) -> dict[int, str]:
    """The errors of a file, by their lines."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--hide-error-context", name]
    result = subprocess.run(command, cwd=USES, capture_output=True, text=True, check=False)
    found: dict[int, str] = {}
    for line in result.stdout.splitlines():
        if match := re.match(rf"{name}:(\d+): error: (.*)", line):
            number = int(match[1])
            found[number] = f"{found.get(number, '')} {match[2]}".strip()
    assert result.returncode in (0, 1), result.stdout + result.stderr
    assert bool(found) == bool(result.returncode), result.stdout + result.stderr
    return found


def test_good_uses_pass() -> None:
    assert errors_in("good.py") == {}


def test_each_bad_use_is_an_error_and_nothing_else_is() -> None:
    lines = (USES / "bad.py").read_text().splitlines()
    expected = {number: line.partition("# E: ")[2] for number, line in enumerate(lines, start=1) if "  # E: " in line}
    found = errors_in("bad.py")
    assert found.keys() == expected.keys(), found
    for number, text in expected.items():
        # Versions of mypy name some errors differently.
        assert any(words in found[number] for words in text.split(" | ")), (number, lines[number - 1], found[number])
