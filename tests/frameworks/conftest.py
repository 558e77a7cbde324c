"""Programs with web frameworks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.endpoints import clean_environment, local_endpoint
from support.examples import EXAMPLES, Example


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """A folder for an example, with an endpoint of its own, since the queues of examples have names."""
    with local_endpoint() as endpoint:
        example = Example(tmp_path, endpoint)
        (tmp_path / "tasks.py").unlink()
        yield example
        example.close()


IMPORTED = """
try:
    from django.tasks import task
except ImportError:  # before Django 6: pip install django-tasks
    from django_tasks import task
"""
STAND_IN = """
def task(queue_name):
    def mark(function):
        marked = pyqs.task(queue=f"shop-{queue_name}", retries=3, backoff=[0, 10, 60])(function)
        marked.enqueue = marked.delay_on_commit
        return marked
    return mark
"""
"""For Python 3.9, whose newest Django is 4.2, and for which there is no django-tasks that this backend works with."""


def adapted(folder: Path) -> Path:
    """The Django project in this folder, as this Python can run it."""
    if sys.version_info < (3, 10):
        tasks = folder / "orders" / "tasks.py"
        text = tasks.read_text()
        assert IMPORTED in text
        tasks.write_text(text.replace(IMPORTED, STAND_IN))
    return folder


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Django project's database, as its migrations make it."""
    folder = tmp_path_factory.mktemp("django")
    shutil.copytree(EXAMPLES / "django", folder, dirs_exist_ok=True)
    command = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(command, cwd=adapted(folder), env=clean_environment(), check=True)
    return folder / "db.sqlite3"


@pytest.fixture
def shop(example: Example, database: Path) -> Example:
    """The Django project."""
    example.take("django")
    adapted(example.folder)
    shutil.copy(database, example.folder)
    return example
