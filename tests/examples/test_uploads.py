"""examples/uploads: handlers for what other services send."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from support.endpoints import Endpoint
from support.projects import Project
from support.queues import Queue

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "uploads"


def test_objects_and_clicks_are_written(ours_project: Project, ours: Endpoint) -> None:
    ours_project.write("handlers.py", (EXAMPLE / "handlers.py").read_text())
    client = ours.client()
    uploads, clicks = Queue(client, "uploads"), Queue(client, "clicks")
    s3 = {"bucket": {"name": "photos"}, "object": {"key": "my+cat.jpg", "size": 7}}
    uploads.send(json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}))
    uploads.send(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}))
    sent = [clicks.send(json.dumps({"page": f"/{number}"})) for number in range(20)]
    for body in ("no json", "[]"):
        clicks.send(body)
    ours_project.start_pyqs("uploads,clicks", "--import", "handlers")
    for queue in (uploads, clicks):
        queue.wait_until_empty()

    def rows(query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(ours_project.folder / "shop.db") as connection:
            return connection.execute(query).fetchall()

    assert rows("SELECT * FROM photos") == [("photos", "my cat.jpg", 7)]
    assert {row[0] for row in rows("SELECT id FROM clicks")} == set(sent)
    assert rows("SELECT max(batch) FROM clicks")[0][0] > 1, "several at a time"
