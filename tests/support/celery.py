"""The real Celery, from the package index, beside our worker in a project."""

from __future__ import annotations

from pathlib import Path

from support.peers import python_peer

REQUIREMENTS = Path(__file__).resolve().parents[1] / "endpoint" / "peers" / "celery.txt"


def site_packages() -> str:
    """The folder in which Celery is installed, to be put on ``PYTHONPATH``. It is known there as installed."""
    (found,) = (python_peer("celery", REQUIREMENTS).parent / "lib").glob("python*/site-packages")
    return str(found)


def python() -> Path:
    """Its interpreter."""
    return python_peer("celery", REQUIREMENTS) / "python"
