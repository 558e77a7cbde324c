"""``--http``: metrics and health, from beside."""

from __future__ import annotations

import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Optional

import pytest
from support.faults import FaultyEndpoint
from support.processes import Process, one_line
from support.projects import Project, manager_pid
from support.queues import Queue, new_name
from support.waiting import eventually


def address_of(worker: Process, count: int = 1) -> str:
    return worker.wait_for(r"Metrics are at (http://\S+)/metrics", count).group(1)


def get(url: str, token: Optional[str] = None) -> tuple[int, str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def value(metrics: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.M)
    assert found, metrics
    return float(found.group(1))


def test_what_happened_is_counted(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write(
        "rules.py", "from pyqs import task\n@task(queue='q', retries=0)\ndef fail():\n    raise ValueError\n"
    )
    ours_queue.send_tasks("tasks.work", [[number] for number in range(5)])
    ours_queue.send_task("rules.fail")
    url = address_of(ours_project.worker(ours_queue.name, "--concurrency", "2", "--http", "127.0.0.1:0"))
    ours_project.wait_for_notes("work", 5)

    eventually(lambda: "pyqs_messages_deleted_total 5\n" in get(f"{url}/metrics")[1], "the deletes are counted")
    metrics = get(f"{url}/metrics")[1]
    assert value(metrics, "pyqs_tasks_succeeded_total") == 5
    assert value(metrics, "pyqs_tasks_exhausted_total") == 1
    assert value(metrics, "pyqs_slots") == 2
    assert value(metrics, f'pyqs_queue_running{{queue="{ours_queue.name}"}}') == 0
    assert value(metrics, f'pyqs_queue_poll_age_seconds{{queue="{ours_queue.name}"}}') < 30


def test_a_message_that_another_worker_had_is_counted(ours_project: Project, ours_queue: Queue) -> None:
    ours_queue.send_task("tasks.work", 1)
    (message,) = ours_queue.receive()
    ours_queue.client.change_message_visibility(
        QueueUrl=ours_queue.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    url = address_of(ours_project.worker(ours_queue.name, "--http", "127.0.0.1:0"))
    ours_project.wait_for_notes("work")

    eventually(lambda: "pyqs_messages_unexplained_total 1\n" in get(f"{url}/metrics")[1], "it is counted")


def test_ready_is_a_worker_that_sqs_answers(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with FaultyEndpoint(tmp_path) as faulty:
        project = Project(folder, faulty)
        queue = Queue(faulty.client(), new_name())
        worker = project.worker(queue.name, "--http", "127.0.0.1:0")
        url = address_of(worker)
        eventually(lambda: get(f"{url}/readyz") == (200, "ok\n"), "it is ready")

        faulty.kill()
        failing = (503, f"receiving from {queue.name} fails\n")
        eventually(lambda: get(f"{url}/readyz") == failing, "SQS is gone")
        assert get(f"{url}/healthz") == (200, "ok\n"), "which is not the worker's fault"
        assert get(f"{url}/elsewhere")[0] == 404
        project.close()


def test_the_next_manager_answers_at_the_same_address(ours_project: Project, ours_queue: Queue) -> None:
    worker = ours_project.worker(ours_queue.name, "--http", "127.0.0.1:0")
    port = address_of(worker).rpartition(":")[2]
    worker.stop()
    worker = ours_project.worker(ours_queue.name, "--http", f"127.0.0.1:{port}")
    url = address_of(worker)
    eventually(lambda: get(f"{url}/readyz")[0] == 200, "it is ready")

    os.kill(manager_pid(worker), signal.SIGKILL)

    assert address_of(worker, 2) == url
    eventually(lambda: get(f"{url}/readyz")[0] == 200, "the next one is ready")


def test_an_address_that_is_taken_is_an_error(ours_project: Project, ours_queue: Queue) -> None:
    url = address_of(ours_project.worker(ours_queue.name, "--http", "127.0.0.1:0"))
    address = url.removeprefix("http://")

    done = ours_project.pyqs(ours_queue.name, "--http", address)

    assert done.returncode == 1
    assert f"can't listen on {address}, which --http names" in one_line(done.stderr)


def test_other_machines_need_a_token(ours_project: Project, ours_queue: Queue) -> None:
    done = ours_project.pyqs(ours_queue.name, "--http", "0.0.0.0:0")
    assert done.returncode == 2
    assert "give a token too (PYQS_HTTP_TOKEN)" in one_line(done.stderr)

    worker = ours_project.worker(ours_queue.name, "--http", "0.0.0.0:0", PYQS_HTTP_TOKEN="open sesame")
    url = address_of(worker).replace("0.0.0.0", "127.0.0.1")
    eventually(lambda: get(f"{url}/readyz")[0] == 200, "health needs none")
    assert get(f"{url}/metrics")[0] == 401
    assert get(f"{url}/metrics", "open barley")[0] == 401
    assert get(f"{url}/metrics", "open sesame")[0] == 200
    assert "sesame" not in worker.output


@pytest.mark.parametrize("address", ["9100", "localhost:9100", "127.0.0.1", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(ours_project: Project, address: str) -> None:
    done = ours_project.pyqs("some-queue", "--http", address)
    assert done.returncode == 2
    assert "--http <ADDRESS>" in one_line(done.stderr)
