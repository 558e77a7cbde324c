"""examples/once: large statements that are sent again, and booked once."""

from __future__ import annotations

import sys
from pathlib import Path

from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "once"


def test_each_statement_is_booked_once(ours_project: Project, ours_queue: Queue) -> None:
    text = (EXAMPLE / "tasks.py").read_text()
    ours_project.write("tasks.py", text.replace('queue="books"', f'queue="{ours_queue.name}"'))
    ours_project.write("send.py", (EXAMPLE / "send.py").read_text())
    stores = {
        "PYQS_PAYLOAD_STORE": f"file://{ours_project.folder}/payloads",
        "PYQS_IDEMPOTENCY_STORE": f"sqlite://{ours_project.folder}/keys.db",
    }
    sent = ours_project.run([sys.executable, "send.py"], **stores)
    assert sent.returncode == 0, sent.stderr
    assert ours_queue.counts() == (4, 0)

    ours_project.worker(ours_queue.name, "--import", "tasks", "-c", "2", **stores)

    eventually(lambda: ours_queue.counts() == (0, 0), "all is done")
    booked = [f"{account} 100000 lines, 4999950000 cents" for account in ("acme", "bolt")]
    assert sorted(ours_project.lines("booked.txt")) == booked
    eventually(lambda: not list((ours_project.folder / "payloads").iterdir()), "the payloads are deleted")
