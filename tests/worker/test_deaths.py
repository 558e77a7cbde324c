"""Kill -9 of the manager and of the supervisor: nothing is lost, and nothing is left running."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from typing import Any

from support.endpoints import Endpoint
from support.processes import is_alive, open_files, resident_kib
from support.projects import Project, manager_pid
from support.queues import Queue, with_dead_letters
from support.waiting import eventually


def test_a_killed_manager_is_replaced_and_nothing_is_lost(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="3")
    worker = project.worker(queue.name, "--concurrency", "2")
    queue.send_tasks("tasks.last", [[0.02, number] for number in range(200)])
    project.wait_for_notes("ended", 20)
    manager = manager_pid(worker)

    os.kill(manager, signal.SIGKILL)

    line = worker.wait_for(rf"^\[ERROR\]: .*manager.*{manager}.*$").group(0)
    assert "SIGKILL" in line
    project.wait_for_notes("ended", 200)
    queue.wait_until_empty()
    assert set(project.values("ended")) == set(range(200))
    assert manager_pid(worker) != manager


def test_task_processes_of_a_killed_manager_finish_their_task_and_leave(
    project: Project, sqs: Any, queue_name: str
) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    queue.send_task("tasks.wait", "go", 1)
    worker = project.worker(queue.name)
    pid = project.wait_for_notes("began")[0]["pid"]

    os.kill(manager_pid(worker), signal.SIGKILL)
    worker.wait_for(r"Running ProcessWorker, pid: \d+", 2)
    assert is_alive(pid), "its task still runs"
    project.open_gate("go")

    project.wait_for_notes("ended")
    eventually(lambda: not is_alive(pid), "the old process has left")
    queue.send_task("tasks.work", 2)
    assert project.wait_for_notes("work")[0]["pid"] != pid


def test_what_had_succeeded_when_the_manager_was_killed_does_not_run_again(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    """At full load some tenths of a hundred successes are not deleted yet at any instant."""
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="5")
    queue.send_tasks("tasks.work", [[number] for number in range(2000)])
    worker = ours_project.worker(queue.name, "--concurrency", "2", loglevel="ERROR")
    for kills in (1, 2):
        ours_project.wait_for_notes("work", 400 * kills)
        os.kill(manager_pid(worker), signal.SIGKILL)
        worker.wait_for(r"^.ERROR.: The manager .* was killed by SIGKILL", kills)

    queue.wait_until_empty()
    assert sorted(ours_project.values("work")) == list(range(2000)), "each ran once"


def test_a_manager_that_keeps_dying_is_not_started_in_a_hurry(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name)
    for count in (1, 2, 3, 4):
        os.kill(manager_pid(worker), signal.SIGKILL)
        worker.wait_for(r"^\[ERROR\]: .*manager.*SIGKILL.*$", count)
        worker.wait_for(r"Running ProcessWorker, pid: \d+", count + 1)

    delays = [match.group(1) for match in worker.matches(r"starting another (.*)")]
    assert delays == ["at once", "in 0.5 seconds", "in 1.0 seconds", "in 2.0 seconds"]


def test_everything_ends_when_the_supervisor_is_killed(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="60")
    queue.send_task("tasks.last", 1, "running")
    worker = project.worker(queue.name, "--concurrency", "2")
    project.wait_for_notes("began")
    family = worker.children()
    assert len(family) == 3

    os.kill(worker.pid, signal.SIGKILL)

    # Ours closes the open poll at once; SQS and moto keep it for up to 20 s.
    deadline_secs = 8 if project.endpoint.kind == "pyqs" else 30
    eventually(lambda: not any(map(is_alive, family)), f"all of {family} have ended", deadline_secs)
    assert project.values("ended") == ["running"], "what ran has finished"


def test_after_the_supervisor_is_killed_another_worker_takes_over(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="3")
    queue.send_tasks("tasks.last", [[0.05, number] for number in range(60)])
    worker = project.worker(queue.name)
    project.wait_for_notes("ended", 5)
    worker.kill()

    project.worker(queue.name, "--concurrency", "2")

    queue.wait_until_empty()
    assert set(project.values("ended")) == set(range(60))


def test_an_idle_worker_ends_when_its_supervisor_is_killed(ours_project: Project, ours_queue: Queue) -> None:
    worker = ours_project.worker(ours_queue.name)
    family = worker.children()

    os.kill(worker.pid, signal.SIGKILL)

    eventually(lambda: not any(map(is_alive, family)), f"all of {family} have ended", 8)


def test_a_manager_that_slept_names_a_few_of_the_messages_that_it_lost(
    ours_project: Project, ours_queue: Queue
) -> None:
    queue = Queue(ours_queue.client, ours_queue.name + "-short", VisibilityTimeout="5")
    queue.send_tasks("tasks.last", [[0.02, number] for number in range(100)])
    worker = ours_project.worker(queue.name)
    ours_project.wait_for_notes("ended", 20)
    manager = manager_pid(worker)

    os.kill(manager, signal.SIGSTOP)
    eventually(lambda: queue.counts()[1] == 0, "its leases have run out", 15)
    os.kill(manager, signal.SIGCONT)

    queue.wait_until_empty()
    assert sorted(ours_project.values("ended")) == list(range(100)), "each ran once"
    assert 1 <= len(worker.matches("^.WARNING.: Discarding")) <= 10


def test_task_processes_that_are_killed_at_random_charge_one_task_each_at_most(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    queue = Queue(ours.client(), queue_name, VisibilityTimeout="2")
    queue.send_tasks("tasks.last", [[0.002, number] for number in range(1500)])
    worker = ours_project.worker(queue.name, "--concurrency", "3")
    manager = manager_pid(worker)
    for kills in range(1, 9):
        ours_project.wait_for_notes("ended", kills * 100)
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice([pid for pid in worker.children() if pid != manager]), signal.SIGKILL)

    queue.wait_until_empty()
    charged = len(worker.matches("died by SIGKILL while running task"))
    began, ended = ours_project.values("began"), ours_project.values("ended")
    assert set(ended) == set(range(1500)), "none is lost"
    # One may be killed before its first line, or after its last one.
    assert len(ended) - 1500 <= len(began) - 1500 <= charged <= 8


def test_a_task_that_finds_no_memory_has_failed(ours_project: Project, ours: Endpoint, queue_name: str) -> None:
    ours_project.write(
        "hungry.py",
        """
import resource
from journal import note

def eat():
    note("ate")
    resource.setrlimit(resource.RLIMIT_AS, (512 << 20, resource.RLIM_INFINITY))
    hoard = [bytearray(1 << 20) for _ in range(4096)]
""",
    )
    queue, dead = with_dead_letters(ours.client(), queue_name, 2, VisibilityTimeout="1")
    queue.send_task("hungry.eat")
    queue.send_tasks("tasks.work", [[number] for number in range(50)])
    worker = ours_project.worker(queue.name)

    worker.wait_for("Task hungry.eat raised error .* MemoryError")
    queue.wait_until_empty()
    assert dead.counts() == (1, 0)
    assert sorted(ours_project.values("work")) == list(range(50))


def test_a_task_process_that_the_kernel_kills_costs_one_run(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    """As it does for want of memory, of which a test can't take as much: here for want of processor time."""
    ours_project.write(
        "spinning.py",
        """
import resource
from journal import note

def spin(value):
    note("spun", value=value)
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    while True:
        pass
""",
    )
    queue, dead = with_dead_letters(ours.client(), queue_name, 2, VisibilityTimeout="1")
    queue.send_task("spinning.spin", 1)
    queue.send_tasks("tasks.work", [[number] for number in range(50)])
    worker = ours_project.worker(queue.name)

    worker.wait_for(r"died by SIGKILL while running task spinning\.spin .*; it will be delivered again", 2)
    queue.wait_until_empty()
    assert dead.counts() == (1, 0)
    assert sorted(ours_project.values("work")) == list(range(50)), "its neighbours ran once"
    assert ours_project.values("spun") == [1, 1]


def test_a_file_that_a_task_opens_in_place_of_our_socket_is_left_alone(
    ours_project: Project, ours_queue: Queue
) -> None:
    ours_project.write(
        "closes.py",
        """
import os
from journal import note

def take_over(value):
    os.closerange(3, 4096)
    global mine
    mine = [open("mine", "r+b") for _ in range(20)]
    note("took over", value=value)
""",
    )
    ours_project.write("mine", "untouched")
    ours_queue.send_task("closes.take_over", 1)
    worker = ours_project.worker(ours_queue.name)
    worker.wait_for("has lost its socket, which a task may have closed")
    ours_queue.send_task("tasks.work", 1)

    ours_project.wait_for_notes("work")
    ours_queue.wait_until_empty()
    assert ours_project.lines("mine") == ["untouched"]
    assert ours_project.values("took over") == [1]


def test_memory_and_open_files_stay_flat_over_thousands_of_tasks_with_failures(
    ours_project: Project, ours: Endpoint, queue_name: str
) -> None:
    """What the manager remembers of messages is bounded, and full after 20,000; a leak of a message each would show."""
    queue, dead = with_dead_letters(ours.client(), queue_name, 2, VisibilityTimeout="1")
    worker = ours_project.worker(queue.name, "--concurrency", "2", loglevel="CRITICAL")
    manager = manager_pid(worker)
    sizes = []
    for _ in range(3):
        queue.send_tasks("tasks.work", [["x" * 2000]] * 1800)
        queue.send_tasks("tasks.fail", [["x" * 2000]] * 200)
        queue.wait_until_empty()
        sizes.append((resident_kib(manager), open_files(manager), open_files(worker.pid)))

    assert dead.counts() == (600, 0)
    assert manager_pid(worker) == manager
    assert sizes[-1][0] - sizes[0][0] < 6 * 1024, f"4000 messages of 2 KiB are 8 MiB: {sizes}"
    assert all(files < 100 for _, *open_files in sizes for files in open_files), f"connections come and go: {sizes}"
