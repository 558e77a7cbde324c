"""``pyqs.testing`` in a Django ``TestCase``: what is sent on commit, and the test's own transaction."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUN = """
import sys

import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
)
django.setup()

from django.test.runner import DiscoverRunner

sys.exit(bool(DiscoverRunner(pattern="groups.py").run_tests([])))
"""

TESTS = """
from django.contrib.auth.models import Group
from django.test import TestCase
from pyqs import task, testing


@task(queue="groups")
def rename(pk, name):
    Group.objects.filter(pk=pk).update(name=name)


class RenameTest(TestCase):
    def setUp(self):
        self.group = Group.objects.create(name="old")

    def check(self):
        self.group.refresh_from_db()
        self.assertEqual(self.group.name, "new")

    def test_on_commit(self):
        with testing.eager() as tasks:
            with self.captureOnCommitCallbacks(execute=True):
                rename.delay_on_commit(self.group.pk, "new")
                self.assertEqual(tasks.runs, [])
            self.check()

    def test_without_a_commit_nothing_is_sent(self):
        with testing.eager() as tasks:
            rename.delay_on_commit(self.group.pk, "new")
        self.assertEqual(tasks.sent(), [])

    def test_at_once(self):
        with testing.eager():
            rename.delay(self.group.pk, "new")
        self.check()

    def test_by_way_of_the_queue(self):
        with testing.endpoint():
            rename.delay(self.group.pk, "new")
            testing.run_until_empty("groups")
        self.check()
"""


def test_its_cases_pass(tmp_path: Path) -> None:
    (tmp_path / "groups.py").write_text(TESTS)
    (tmp_path / "run.py").write_text(RUN)
    result = subprocess.run([sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Ran 4 tests" in result.stderr
