"""examples/async_client: async tasks at once, with what a lifespan hook opens."""

from __future__ import annotations

from pathlib import Path

from support.projects import Project
from support.queues import Queue
from support.recorder import Recorder
from support.waiting import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "async_client"


def test_pages_are_fetched_over_one_client(ours_project: Project, ours_queue: Queue, recorder: Recorder) -> None:
    recorder.answer = lambda request: (200, {"text": "x" * int(request.target.rpartition("/")[2])})
    ours_project.write("tasks.py", (EXAMPLE / "tasks.py").read_text())
    ours_queue.send_tasks("tasks.fetch", [[f"/page/{number}"] for number in range(30)])
    worker = ours_project.worker(ours_queue.name, "--import", "tasks", "--threads", "100", SERVER=recorder.url)
    lines = eventually(lambda: lines if len(lines := ours_project.lines("lengths.txt")) >= 30 else [], "thirty pages")
    ours_queue.wait_until_empty()

    assert sorted(lines) == sorted(f"/page/{number} {number}" for number in range(30))
    assert worker.stop() == 0
    assert "Traceback" not in worker.output
