"""examples/alerts: events, log fields and ``pyqs.current()`` in a user's program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "alerts"


def test_failures_and_crashes_are_told_and_lines_name_their_message(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("tasks.py", (EXAMPLE / "tasks.py").read_text())
    orders = [(1, 500), (2, -5), (3, 0)]
    paid, refused, fatal = (ours_queue.send_task("tasks.charge", *order) for order in orders)
    worker = ours_project.start_pyqs(ours_queue.name, "--preload", "tasks", "--loglevel", "DEBUG")
    worker.wait_for("order 1 is paid")
    lines = eventually(
        lambda: lines if len(lines := ours_project.lines("alerts.jsonl")) >= 3 else [], "an alert, and two of a crash"
    )
    alerts: dict[str, list[dict[str, Any]]] = {}
    for alert in map(json.loads, lines):
        alerts.setdefault(alert["message"], []).append(alert)

    assert set(alerts) == {refused, fatal}
    assert [alert["why"] for alert in alerts[refused]] == ["ValueError('order 2 is about -5 cents')"]
    assert alerts[refused][0]["receives"] == 2, "after its retry"
    assert ["exit code 3" in alert["why"] for alert in alerts[fatal]] == [True, True]
    (line,) = [json.loads(line) for line in worker.lines if "order 1 is paid" in line]
    assert line["message"].endswith(f"key {paid}")
    assert (line["pyqs_task"], line["pyqs_message_id"]) == ("tasks.charge", paid)
