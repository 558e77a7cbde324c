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


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Django project's database, as its migrations make it."""
    folder = tmp_path_factory.mktemp("django")
    shutil.copytree(EXAMPLES / "django", folder, dirs_exist_ok=True)
    command = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(command, cwd=folder, env=clean_environment(), check=True)
    return folder / "db.sqlite3"


@pytest.fixture
def shop(example: Example, database: Path) -> Example:
    """The Django project."""
    example.take("django")
    shutil.copy(database, example.folder)
    return example
