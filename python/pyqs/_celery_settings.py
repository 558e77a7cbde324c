"""``python -m pyqs._celery_settings MODULE:APP``: what ``pyqs doctor`` asks of a Celery application, as a line of JSON.

It is a process of its own, which ends: what the application's modules do when they are imported ends with it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from . import _celery_app
from .errors import PyqsError

VALUE_LENGTH_MAX = 80

SECRET = re.compile(r"password|secret|key|token|credential", re.IGNORECASE)
USER_INFO = re.compile(r"//[^/@\s]*@")

TASK_OPTIONS = ("rate_limit", "acks_late", "acks_on_failure_or_timeout", "track_started", "queue", "priority")


def tell(path: str) -> dict[str, Any]:
    """What the application says."""
    app = _celery_app.load(path)
    import celery

    own = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    return {
        "celery": celery.__version__,
        "queues": list(_celery_app.describe(app).queues.values()),
        "settings": changed(app),
        "tasks": len(own),
        "task_options": task_options(app, own),
    }


def changed(app: Any) -> dict[str, str]:
    """The settings that differ from Celery's defaults."""
    from celery.app.defaults import DEFAULTS

    found = {}
    for name, default in DEFAULTS.items():
        value = app.conf.get(name)
        if value != default and not name.isupper():
            found[name] = shown(name, value)
    return found


def task_options(app: Any, tasks: dict[str, Any]) -> dict[str, list[str]]:
    """Options of tasks that say something else than the application's settings do."""
    found: dict[str, list[str]] = {}
    for name, task in sorted(tasks.items()):
        for option in TASK_OPTIONS:
            value = getattr(task, option, None)
            if value is not None and value != app.conf.get(f"task_{option}", app.conf.get(f"task_default_{option}")):
                found.setdefault(option, []).append(name)
    return found


def shown(name: str, value: Any) -> str:
    """A value for a person's eyes: short, and without passwords."""
    if SECRET.search(name):
        return "..."
    text = USER_INFO.sub("//...@", " ".join(repr(value).split()))
    return text if len(text) <= VALUE_LENGTH_MAX else text[:VALUE_LENGTH_MAX] + "..."


def main() -> int:
    """Tell of the application that is named; 1 if it can't be loaded."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        told = tell(sys.argv[1])
    except PyqsError as error:
        print(str(error).replace("\n", " "), file=sys.stderr)
        return 1
    sys.stdout.flush()
    print("\n" + json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
