"""Tests that users write, run as they run them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from support.endpoints import clean_environment

REPOSITORY = Path(__file__).resolve().parents[2]


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with PyQS's plugin in a folder, to its end."""
    options = ["-q", "-p", "pytest_pyqs", "-p", "no:cacheprovider", "--rootdir", ".", "-o", "testpaths="]
    with tempfile.TemporaryDirectory() as links:
        environment = {**clean_environment(), "PYTHONDONTWRITEBYTECODE": "1"}
        if importlib.util.find_spec("pytest_pyqs") is None:  # PyQS is linked, not installed
            Path(links, "pytest_pyqs").symlink_to(REPOSITORY / "python" / "pytest_pyqs")
            environment["PYTHONPATH"] = links
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
