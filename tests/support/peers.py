"""Other programs that the tests use: each in an environment of its own, kept under ``target/`` between runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def python_peer(name: str, requirements: Path) -> Path:
    """The ``bin`` folder of an environment with what a requirements file lists."""
    folder = REPOSITORY / "target" / f"peer-{name}"
    with making(folder, requirements.read_text()) as is_to_make:
        if is_to_make:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            subprocess.run([*pip, "-r", str(requirements)], check=True)
    return folder / "bin"


def node_peer(name: str, package: Path) -> Path:
    """A folder with what a ``package.json`` lists, and Node itself where the machine has none."""
    ensure_node()
    folder = REPOSITORY / "target" / f"peer-{name}"
    with making(folder, package.read_text()) as is_to_make:
        if is_to_make:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(package, folder)
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder


def ensure_node() -> None:
    """Node and npm, from Debian where they are missing; who may not install them is told so."""
    if shutil.which("node") and shutil.which("npm"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise AssertionError("node and npm are missing; on Debian and Ubuntu: apt-get install nodejs npm")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "nodejs", "npm"]):
        subprocess.run(["apt-get", *words], check=True, env=environment)


@contextlib.contextmanager
def making(folder: Path, wanted: str) -> Iterator[bool]:
    """Whether a folder is to be made anew: it lacks, or was made of something else. Done when nothing was raised."""
    folder.parent.mkdir(exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        made_of = folder / "made-of"
        is_to_make = not made_of.exists() or made_of.read_text() != wanted
        yield is_to_make
        if is_to_make:
            made_of.write_text(wanted)
