"""Messages that cannot be run stop nothing, are told of once, and end in the dead-letter queue."""

from __future__ import annotations

import base64
import json
import os
import pickle
from typing import Any

import pytest
from support.processes import Process
from support.projects import Project
from support.queues import Queue, with_dead_letters
from support.waiting import eventually


def call(task: str, *args: Any, **kwargs: Any) -> str:
    """A call as PyQS writes it."""
    return json.dumps({"task": task, "args": args, "kwargs": kwargs})


class Exploding:
    """Pickled, it runs a command where Python's loader reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch pickle-was-loaded",)


def pickled_by_celery() -> str:
    """A Celery message of protocol 2 whose payload is a pickle."""
    payload = base64.b64encode(pickle.dumps(([Exploding()], {}, {})))
    envelope = {
        "body": payload.decode(),
        "content-encoding": "binary",
        "content-type": "application/x-python-serialize",
        "headers": {"task": "tasks.work", "id": "8a4d7a92-6d56-4f3a-a1f5-c7e1d0a9c6a4"},
        "properties": {"body_encoding": "base64", "delivery_info": {}},
    }
    return base64.b64encode(json.dumps(envelope).encode()).decode()


UNREADABLE = {
    "broken base64": "eyJ0YXNrIjogInRhc2tzLndvcmsiLCAiYXJncyI*IFtdfQ==",
    "broken JSON": '{"task": "tasks.work", "args": [',
    "no JSON at all": "hello, is this the mail queue?",
    "JSON without a task": '{"Records": [{"eventSource": "aws:s3"}]}',
    "a bare null": "null",
    "task is a number": '{"task": 5, "args": [], "kwargs": {}}',
    "very deep JSON": '{"task": "tasks.work", "args": ' + "[" * 5000 + "]" * 5000 + ', "kwargs": {}}',
    "a pickle of Celery's": pickled_by_celery(),
}

UNRUNNABLE = {
    "unknown task": call("tasks.send_fax", 1),
    "unknown module": call("nowhere.at_all", 1),
    "no path": call("work", 1),
    "a path that is none": call("tasks.work; import os", 1),
    "not a function": call("tasks.TABLE", 1),
    "a module that can't be imported": call("broken.work", 1),
    "a module that exits": call("exits.work", 1),
    "os.system": call("os.system", "touch system-was-run"),
    "subprocess.run": call("subprocess.run", ["touch", "subprocess-was-run"]),
    "a function of the standard library in a module of the user's": call("tasks.system", "touch alias-was-run"),
    "a builtin": call("builtins.exec", "open('builtin-was-run', 'w')"),
    "an installed package": call("boto3.client", "sqs"),
    "args is no list": '{"task": "tasks.work", "args": {"a": 1}, "kwargs": {}}',
}


@pytest.fixture
def poisoned(project: Project) -> Project:
    """A project whose modules hold what poison reaches for."""
    tasks = (project.folder / "tasks.py").read_text()
    project.write("tasks.py", f"{tasks}\nfrom os import system\nTABLE = {{}}\n")
    project.write("broken.py", "import no_such_package\n")
    project.write("exits.py", "import sys\nsys.exit(9)\n")
    return project


@pytest.mark.parametrize("bodies", [UNREADABLE, UNRUNNABLE], ids=["unreadable", "unrunnable"])
def test_poison_is_told_of_once_and_ends_in_the_dead_letter_queue(
    poisoned: Project, sqs: Any, queue_name: str, bodies: dict[str, str]
) -> None:
    queue, dead = with_dead_letters(sqs, queue_name, 1, VisibilityTimeout="1")
    ids = {}
    for kind, body in bodies.items():
        ids[queue.send(body)] = kind
    worker = poisoned.worker(queue.name, loglevel="WARN")
    queue.send_task("tasks.work", "healthy")

    taken = dead.take(len(bodies))

    assert sorted(ids[message["MessageId"]] for message in taken) == sorted(bodies)
    poisoned.wait_for_notes("work")
    queue.wait_until_empty()
    assert poisoned.values("work") == ["healthy"]
    assert list(poisoned.folder.glob("*-was-*")) == [], "nothing in a message is executed"
    assert_told_of_once(worker, ids)
    assert worker.popen.poll() is None
    assert "Traceback" not in worker.output, worker.output


def assert_told_of_once(worker: Process, ids: dict[str, str]) -> None:
    """Each message has one line, until the limit on such lines."""
    told = {kind: worker.output.count(message_id) for message_id, kind in ids.items()}
    assert max(told.values()) == 1, f"{told}\n{worker.output}"
    assert sum(told.values()) >= min(len(ids), 8), f"{told}\n{worker.output}"


def test_wrong_arguments_are_a_failure_of_the_task(project: Project, sqs: Any, queue_name: str) -> None:
    queue, dead = with_dead_letters(sqs, queue_name, 1, VisibilityTimeout="1")
    sent = queue.send(call("tasks.work", 1, 2, 3, colour="red"))
    worker = project.worker(queue.name)

    assert [message["MessageId"] for message in dead.take()] == [sent]
    worker.wait_for(r"^\[ERROR\]: .*tasks\.work.*$")
    worker.wait_for(r"TypeError")


def test_many_poison_messages_do_not_fill_the_log(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, VisibilityTimeout="600")
    for start in range(0, 60, 10):
        entries = [{"Id": str(i), "MessageBody": f"junk {start + i}"} for i in range(10)]
        sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    worker = project.worker(queue.name, loglevel="WARN")
    eventually(lambda: queue.counts() == (0, 60), "all have been seen")
    queue.send_task("tasks.work", 1)
    project.wait_for_notes("work")

    assert 1 <= len(worker.lines) <= 20, worker.output


def test_poison_comes_back_later_each_time(project: Project, sqs: Any, queue_name: str) -> None:
    """A newer worker may know the task, so it is not hidden for long at first, and longer each time."""
    queue, dead = with_dead_letters(sqs, queue_name, 2, VisibilityTimeout="1")
    queue.send(call("tasks.not_yet_written", 1))
    project.worker(queue.name)

    taken = dead.take()
    assert json.loads(taken[0]["Body"])["task"] == "tasks.not_yet_written"


def test_allow_admits_what_is_named(project: Project, queue: Queue) -> None:
    project.worker(queue.name, "--allow", "posix.mkdir", "--allow", "os.mkdir")
    queue.send(call("os.mkdir", str(project.folder / "allowed")))

    eventually(lambda: (project.folder / "allowed").is_dir(), "the function that is allowed has run")
    queue.wait_until_empty()


def test_the_refusal_names_the_option_that_would_admit_it(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name)
    queue.send(call("shutil.rmtree", "precious"))

    assert "--allow" in worker.wait_for(r"^\[ERROR\]: .*shutil\.rmtree.*$").group(0)


def test_registered_only_runs_tasks_of_imported_modules(project: Project, queue: Queue) -> None:
    project.write("plain.py", "from journal import note\ndef work(value):\n    note('plain', value=value)\n")
    worker = project.worker(queue.name, "--registered-only", "--import", "tasks")
    queue.send(call("plain.work", 1))
    queue.send(call("tasks.work", 2))

    assert project.wait_for_notes("work")[0]["value"] == 2
    worker.wait_for(r"^\[ERROR\]: .*plain\.work")
    assert project.notes("plain") == []


def test_a_failing_import_of_named_modules_is_told_of(project: Project, queue: Queue) -> None:
    result = project.pyqs(queue.name, "--preload", "no_such_module")

    assert result.returncode == 1
    assert "no_such_module" in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_an_import_of_a_module_that_is_not_there_is_one_line(ours_project: Project, ours_queue: Queue) -> None:
    result = ours_project.pyqs(ours_queue.name, "--import", "tasks", "--import", "no_such_package.tasks")

    assert result.returncode == 1
    assert "no_such_package.tasks, which --import names" in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_an_import_of_a_module_that_fails_says_which(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("broken.py", "1 / 0")
    worker = ours_project.start_pyqs(ours_queue.name, "--import", "broken")

    worker.wait_for(r"^\[ERROR\]: Can't import broken, which --import names")
    worker.wait_for(r"^ZeroDivisionError")
    assert "end_child" not in worker.output, worker.output
