"""Trouble with the endpoint, credentials and the network: the worker lives, says so once, and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from support.endpoints import Endpoint
from support.faults import FaultyEndpoint
from support.processes import Process
from support.projects import Project, manager_pid
from support.queues import Queue, new_name
from support.system import System
from support.waiting import eventually

BEGINS = r"^\[WARNING\]: receiving from .* fails, trying again until it works: .*$"
ENDS = r"^\[WARNING\]: receiving from .* works again$"
TASKS = 300

DATED = """
import time
from journal import note, wait_for_gate

def work():
    note("dated", date=time.time())

def wait(gate):
    work()
    wait_for_gate(gate)
"""

MakeProject = Callable[[Endpoint], Project]


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyEndpoint]:
    with FaultyEndpoint(tmp_path) as endpoint:
        yield endpoint


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[FaultyEndpoint]:
    with FaultyEndpoint(tmp_path, is_durable=True) as endpoint:
        yield endpoint


@pytest.fixture
def project_on(tmp_path: Path) -> Iterator[MakeProject]:
    """Makes the project, on the endpoint that the test chooses."""
    folder = tmp_path / "project"
    folder.mkdir()
    projects: list[Project] = []

    def make(endpoint: Endpoint) -> Project:
        projects.append(Project(folder, endpoint))
        return projects[-1]

    yield make
    for project in projects:
        project.close()


def check_all_ran_once(project: Project, queue: Queue, worker: Process, count: int = TASKS) -> None:
    """All of these tasks have run, none of them twice, nothing is left, and the worker is well."""
    project.wait_for_notes("work", count)
    queue.wait_until_empty()
    assert sorted(project.values("work")) == list(range(count))
    assert worker.popen.poll() is None
    assert worker.stop() == 0, worker.output


def check_told_once(worker: Process, reason: str) -> None:
    """One line told of the trouble, and one of its end."""
    begins = worker.matches(BEGINS)
    assert len(begins) == 1, worker.output
    assert reason in begins[0].group()
    assert len(worker.matches(ENDS)) == 1, worker.output


@pytest.mark.parametrize(
    "fault",
    [
        "*:error:0.05",
        "*:throttle:0.05",
        "*:drop-before:0.05",
        "*:expired:0.05",
        "*:partial:0.05",
        "DeleteMessageBatch:drop-after:0.3",
        "ReceiveMessage:drop-after:0.05",
    ],
)
def test_requests_that_fail_now_and_then_double_and_lose_nothing(
    faulty: FaultyEndpoint, project_on: MakeProject, fault: str
) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name(), VisibilityTimeout="10")
    queue.send_tasks("tasks.work", [[number] for number in range(TASKS)])
    faulty.inject(fault)

    worker = project.worker(queue.name, "--concurrency", "2")
    project.wait_for_notes("work", TASKS)
    faulty.inject()

    check_all_ran_once(project, queue, worker)
    if "expired" not in fault:
        assert not worker.matches(BEGINS), "one that fails now and then is no line"


def test_late_replies_start_nothing_on_a_lapsed_lease(faulty: FaultyEndpoint, project_on: MakeProject) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name(), VisibilityTimeout="5")
    queue.send_tasks("tasks.work", [[number] for number in range(20)])
    faulty.inject("*:delay-after=2000")

    worker = project.worker(queue.name, "--concurrency", "2")

    check_all_ran_once(project, queue, worker, 20)


def test_an_endpoint_that_hangs_and_goes_on(faulty: FaultyEndpoint, project_on: MakeProject) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name())
    queue.send_tasks("tasks.work", [[number] for number in range(TASKS)])
    queue.send_task("tasks.wait", "go")
    worker = project.worker(queue.name, "--concurrency", "2")
    project.wait_for_notes("work", 10)

    faulty.pause()
    # How long it hangs is a part of the trouble; a receive is given up after its wait and 5 s.
    time.sleep(3)
    faulty.go_on()

    project.open_gate("go")
    check_all_ran_once(project, queue, worker)


def test_a_stop_does_not_wait_for_an_endpoint_that_hangs_and_strands_nothing(
    faulty: FaultyEndpoint, project_on: MakeProject
) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name(), VisibilityTimeout="600")
    worker = project.worker(queue.name)
    eventually(lambda: faulty.requests("ReceiveMessage") > 0, "it polls")

    faulty.pause()
    # Its receive would wait for 20 s, and be given up 5 s later.
    assert worker.stop(deadline_secs=15) == 0, worker.output
    faulty.go_on()

    queue.send_task("tasks.work", 1)
    eventually(lambda: queue.counts() == (1, 0), "the closed receive has taken nothing along")


def test_an_endpoint_that_dies_and_comes_back(lasting: FaultyEndpoint, project_on: MakeProject) -> None:
    project = project_on(lasting)
    queue = Queue(lasting.client(), new_name(), VisibilityTimeout="10")
    queue.send_tasks("tasks.last", [[0.01, number] for number in range(TASKS)])
    worker = project.worker(queue.name, "--concurrency", "2")
    project.wait_for_notes("ended", 20)

    lasting.kill()
    worker.wait_for(BEGINS)
    lasting.start()

    worker.wait_for(ENDS)
    project.wait_for_notes("ended", TASKS)
    queue.wait_until_empty()
    assert sorted(project.values("ended")) == list(range(TASKS))
    check_told_once(worker, "can't reach SQS")
    assert worker.stop() == 0, worker.output


def test_a_manager_that_dies_while_the_endpoint_is_away_is_replaced(
    lasting: FaultyEndpoint, project_on: MakeProject
) -> None:
    project = project_on(lasting)
    queue = Queue(lasting.client(), new_name())
    worker = project.worker(queue.name)
    worker.wait_for("Found matching SQS Queues")
    lasting.kill()
    worker.wait_for(BEGINS)

    os.kill(manager_pid(worker), signal.SIGKILL)
    worker.wait_for(r"^\[WARNING\]: looking for queues fails, trying again until it works: ")
    lasting.start()
    queue.send_task("tasks.work", 0)

    check_all_ran_once(project, queue, worker, 1)
    assert len(worker.matches("looking for queues works again")) == 1, worker.output


def test_an_endpoint_that_comes_back_empty(faulty: FaultyEndpoint, project_on: MakeProject) -> None:
    project = project_on(faulty)
    name = new_name()
    queue = Queue(faulty.client(), name)
    queue.send_task("tasks.wait", "go", "of the old one")
    queue.send_tasks("tasks.work", [[number] for number in range(10)])
    worker = project.worker(name, "--concurrency", "2")
    project.wait_for_notes("began")
    eventually(lambda: queue.counts() == (0, 1), "all others are deleted")

    faulty.kill()
    worker.wait_for(BEGINS)
    faulty.start()
    gone = worker.wait_for(BEGINS, 2)
    assert "no such queue" in gone.group()
    project.open_gate("go")
    project.wait_for_notes("ended")
    eventually(lambda: faulty.requests("DeleteMessageBatch"), "it was to be deleted")

    queue = Queue(faulty.client(), name)
    queue.send_task("tasks.work", "of the new one")
    assert project.wait_for_notes("work", 11)[-1]["value"] == "of the new one"
    queue.wait_until_empty()
    assert len(worker.matches(ENDS)) == 1, worker.output
    assert "[ERROR]" not in worker.output
    assert worker.stop() == 0, worker.output


def test_credentials_that_expire_are_asked_for_again(
    faulty: FaultyEndpoint, tmp_path: Path, project_on: MakeProject
) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name())
    asked = tmp_path / "asked"
    giver = tmp_path / "giver"
    giver.write_text(
        f"#!{sys.executable}\n"
        f"open({str(asked)!r}, 'a').write('x')\n"
        """print('{"Version": 1, "AccessKeyId": "AKIAX", "SecretAccessKey": "s", "SessionToken": "t", """
        """"Expiration": "2999-01-01T00:00:00Z"}')\n"""
    )
    giver.chmod(giver.stat().st_mode | stat.S_IXUSR)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {giver}\n")
    worker = project.worker(queue.name, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_CONFIG_FILE=str(config))
    queue.send_task("tasks.work", 0)
    project.wait_for_notes("work")
    before = asked.stat().st_size

    faulty.inject("*:expired")
    worker.wait_for(BEGINS)
    eventually(lambda: asked.stat().st_size > before, "the credentials are asked for again")
    faulty.inject()
    queue.send_task("tasks.work", 1)

    worker.wait_for(ENDS)
    check_all_ran_once(project, queue, worker, 2)
    check_told_once(worker, "ExpiredToken")


def test_deletes_that_are_refused_are_told_of_once(faulty: FaultyEndpoint, project_on: MakeProject) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name())
    worker = project.worker(queue.name)
    faulty.inject("DeleteMessageBatch:expired")
    queue.send_task("tasks.work", 0)

    told = worker.wait_for(r"^\[WARNING\]: deleting from .* fails, trying again until it works: .*$")
    assert "sqs:DeleteMessage" in told.group()
    before = faulty.requests("DeleteMessageBatch")
    eventually(lambda: faulty.requests("DeleteMessageBatch") > before + 2, "it is tried again")
    faulty.inject()

    worker.wait_for(r"^\[WARNING\]: deleting from .* works again$")
    check_all_ran_once(project, queue, worker, 1)
    assert len(worker.matches("deleting from")) == 2, worker.output


def test_credentials_that_cannot_be_had_for_a_while(
    faulty: FaultyEndpoint, tmp_path: Path, project_on: MakeProject
) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name())
    gone = tmp_path / "gone"
    giver = tmp_path / "giver"
    giver.write_text(
        f"#!{sys.executable}\nimport os, sys\n"
        f"if os.path.exists({str(gone)!r}): sys.exit('no token')\n"
        """print('{"Version": 1, "AccessKeyId": "AKIAX", "SecretAccessKey": "s"}')\n"""
    )
    giver.chmod(giver.stat().st_mode | stat.S_IXUSR)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {giver}\n")
    worker = project.worker(queue.name, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_CONFIG_FILE=str(config))
    queue.send_task("tasks.work", 0)
    project.wait_for_notes("work")

    gone.touch()
    faulty.inject("*:expired")
    worker.wait_for(BEGINS)
    faulty.inject()
    gone.unlink()
    queue.send_task("tasks.work", 1)

    check_all_ran_once(project, queue, worker, 2)
    assert len(worker.matches(ENDS)) == 1, worker.output


def test_a_host_name_that_does_not_resolve_for_a_while(
    lasting: FaultyEndpoint, tmp_path: Path, project_on: MakeProject
) -> None:
    project, system = project_on(lasting), System(tmp_path)
    queue = Queue(lasting.client(), new_name())
    queue.send_task("tasks.work", 0)
    url = f"http://sqs.pyqs.test:{lasting.port}"
    worker = project.start_pyqs(queue.name, "--loglevel", "INFO", AWS_ENDPOINT_URL=url, **system.environment)
    eventually(lambda: system.has_refused, "it has asked for the name in vain")
    system.set_hosts("sqs.pyqs.test")
    project.wait_for_notes("work")

    system.set_hosts()
    lasting.kill()  # or the open connections would go on
    worker.wait_for(BEGINS)
    lasting.start()
    eventually(lambda: system.has_refused, "it has asked again")
    queue.send_task("tasks.work", 1)
    system.set_hosts("sqs.pyqs.test")

    check_all_ran_once(project, queue, worker, 2)
    check_told_once(worker, "can't reach SQS")


def test_a_calendar_that_jumps_costs_no_lease(faulty: FaultyEndpoint, tmp_path: Path, project_on: MakeProject) -> None:
    project, system = project_on(faulty), System(tmp_path)
    project.write("dated.py", DATED)
    queue = Queue(faulty.client(), new_name(), VisibilityTimeout="10")
    queue.send_task("dated.wait", "go")
    queue.send_tasks("tasks.last", [[0.01, number] for number in range(TASKS)])
    worker = project.worker(queue.name, "--concurrency", "2", **system.environment)
    project.wait_for_notes("dated")

    days = (300, -300)
    for count, ahead in enumerate(days, 1):
        system.set_clock(ahead * 24 * 3600)
        queue.send_task("dated.work")
        dated = project.wait_for_notes("dated", 1 + count)[-1]
        assert dated["date"] - time.time() == pytest.approx(ahead * 24 * 3600, abs=60)
        beats = faulty.requests("ChangeMessageVisibilityBatch")
        eventually(lambda: faulty.requests("ChangeMessageVisibilityBatch") > beats, "a heartbeat")  # noqa: B023
    project.open_gate("go")

    project.wait_for_notes("ended", TASKS)
    queue.wait_until_empty()
    assert sorted(project.values("ended")) == list(range(TASKS)), "each ran once"
    assert len(project.notes("dated")) == 1 + len(days)
    assert worker.stop() == 0, worker.output
    for line in ("[WARNING]", "[ERROR]", "delivered again after"):
        assert line not in worker.output.partition("Stopped.")[0]


def test_a_worker_stopped_for_longer_than_its_leases_starts_nothing_on_them(
    faulty: FaultyEndpoint, project_on: MakeProject
) -> None:
    project = project_on(faulty)
    queue = Queue(faulty.client(), new_name(), VisibilityTimeout="5")
    queue.send_tasks("tasks.last", [[0.02, number] for number in range(TASKS)])
    worker = project.worker(queue.name, "--concurrency", "2")
    project.wait_for_notes("ended", 100)
    eventually(lambda: queue.counts()[1] > 2, "some wait in the worker")

    os.killpg(worker.pid, signal.SIGSTOP)
    eventually(lambda: queue.counts()[1] == 0, "their leases have lapsed")
    # What had been recorded as finished may still be deleted; all else that another takes must not start here.
    before = set(project.values("began"))
    taken = {received["MessageId"]: received for received in queue.receive(visibility_secs=600)}
    os.killpg(worker.pid, signal.SIGCONT)

    project.wait_for_notes("ended", TASKS - len(taken))
    began = project.values("began")
    assert len(began) == len(set(began)), "none ran twice"
    others = {_value(received) for received in taken.values()}
    assert not (others - before) & set(began), "what another holds was not started"
    assert worker.popen.poll() is None
    assert worker.stop() == 0, worker.output


def _value(received: dict[str, str]) -> int:
    return int(json.loads(received["Body"])["args"][1])
