"""Programs of web frameworks: copies of ``examples/``, and the servers that run them."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Optional

from support.processes import Process
from support.projects import Project
from support.queues import Queue

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Example(Project):
    """A copy of an example in a folder of its own."""

    def take(self, name: str) -> Example:
        """Bring the example here."""
        shutil.copytree(EXAMPLES / name, self.folder, dirs_exist_ok=True)
        return self

    def manage(self, *arguments: str, **environment: Optional[str]) -> str:
        """Run ``manage.py ...`` to its end: what it printed."""
        process = self.start_manage(*arguments, **environment)
        assert process.wait() == 0, process.output
        return process.output

    def start_manage(self, *arguments: str, **environment: Optional[str]) -> Process:
        """Start ``manage.py ...``."""
        return self.start([sys.executable, "manage.py", *arguments], **environment)

    def module(self, *arguments: str, **environment: Optional[str]) -> Process:
        """Start ``python -m ...``."""
        return self.start([sys.executable, "-m", *arguments], **environment)

    def queue(self, name: str) -> Queue:
        """A queue of the example's."""
        return Queue(self.endpoint.client(), name)


def settings(shop: Example, lines: str) -> dict[str, str]:
    """The Django project's settings with these lines after them: what an environment must have for it."""
    shop.write("changed.py", f"from config.settings import *\n{lines}\n")
    return {"DJANGO_SETTINGS_MODULE": "changed"}


def script(shop: Example, lines: str, **environment: str) -> str:
    """Run lines in the Django project, set up as in ``manage.py shell``: what they print."""
    environment.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    return shop.python(f"import django\ndjango.setup()\n{lines}", **environment)


class Site:
    """A web server of the user's that listens."""

    def __init__(self, process: Process, listening: str) -> None:
        self.process = process
        self.url: str = process.wait_for(listening).group(1)

    def get(self, path: str) -> Any:
        """What is there, as JSON."""
        for _ in range(5):
            # gunicorn 23, the last for Python 3.9, reads nothing more of a thread's connections at --max-requests.
            with contextlib.suppress(ConnectionResetError):
                return self._answer(self.url + path)[1]
        return self._answer(self.url + path)[1]

    def post_form(self, path: str, **fields: str) -> tuple[int, Any]:
        """Send a form: the answer's status and JSON."""
        return self._answer(self.url + path, urllib.parse.urlencode(fields).encode())

    def post_json(self, path: str, value: Any) -> tuple[int, Any]:
        """Send JSON: the answer's status and JSON."""
        headers = {"Content-Type": "application/json"}
        return self._answer(urllib.request.Request(self.url + path, json.dumps(value).encode(), headers))

    def _answer(self, *request: Any) -> tuple[int, Any]:
        # Not by a proxy of the environment's.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(*request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def gunicorn(example: Example, application: str, *options: str, **environment: Optional[str]) -> Site:
    """The application under gunicorn."""
    process = example.module("gunicorn", application, "--bind", "127.0.0.1:0", *options, **environment)
    return Site(process, r"Listening at: (http://\S+)")


def uvicorn(example: Example, application: str) -> Site:
    """The application under uvicorn."""
    return Site(example.module("uvicorn", application, "--port", "0"), r"Uvicorn running on (http://\S+)")
