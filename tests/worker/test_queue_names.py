"""Which queues a worker takes: names, patterns, commas, dots, and queues that come later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.endpoints import Endpoint, local_endpoint
from support.projects import Project
from support.queues import Queue, new_name


def test_commas_and_spaces_set_names_apart(project: Project, sqs: Any, queue_name: str) -> None:
    queues = [Queue(sqs, f"{queue_name}-{letter}") for letter in "abc"]
    project.worker(f"{queues[0].name},{queues[1].name}", queues[2].name)
    for number, queue in enumerate(queues):
        queue.send_task("tasks.work", number)

    project.wait_for_notes("work", 3)
    assert sorted(project.values("work")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("{}*", ["-a", "-b", ""], []),
        ("{}-?", ["-a", "-b"], ["-ab", ""]),
        ("{}-[ab]", ["-a", "-b"], ["-c"]),
        ("{}-[!ab]", ["-c"], ["-a", "-b"]),
        ("{}-a*,{}-c", ["-a", "-abc", "-c"], ["-b"]),
    ],
)
def test_patterns_are_those_of_fnmatch(
    project: Project, sqs: Any, queue_name: str, pattern: str, taken: list[str], left: list[str]
) -> None:
    queues = {ending: Queue(sqs, queue_name + ending) for ending in [*taken, *left]}
    for ending, queue in queues.items():
        queue.send_task("tasks.work", ending)

    worker = project.worker(pattern.replace("{}", queue_name))

    project.wait_for_notes("work", len(taken))
    for ending in taken:
        queues[ending].wait_until_empty()
    assert sorted(project.values("work")) == sorted(taken)
    found = worker.wait_for(r"Found matching SQS Queues: (.*)").group(1)
    assert all(f"{queue_name}{ending}'" in found for ending in taken), found


def test_a_dotted_name_means_the_dashed_queue_where_dots_are_refused(
    project: Project, sqs: Any, queue_name: str
) -> None:
    project.write(
        "mail.py",
        f"""
from journal import note
from pyqs import task

@task(queue="{queue_name}.high.priority")
def send(value):
    note("sent", value=value)
""",
    )
    project.python("from mail import send; send.delay(1)")
    assert sqs.get_queue_url(QueueName=f"{queue_name}-high-priority")

    worker = project.worker(f"{queue_name}.high.priority")

    assert project.wait_for_notes("sent")[0]["value"] == 1
    worker.wait_for(rf"\[INFO\]: .*{queue_name}-high-priority")


def test_a_dotted_pattern_matches_the_dashed_spelling(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, f"{queue_name}-reports")
    project.worker(f"{queue_name}.*")
    queue.send_task("tasks.work", 1)

    project.wait_for_notes("work")


def test_exact_patterns_match_only_what_they_say(project: Project, sqs: Any, queue_name: str) -> None:
    dashed = Queue(sqs, f"{queue_name}-reports")
    other = Queue(sqs, f"{queue_name}x")
    dashed.send_task("tasks.work", "dashed")
    other.send_task("tasks.work", "other")

    project.worker(f"{queue_name}.*", f"{queue_name}x", "--exact-patterns")

    project.wait_for_notes("work")
    other.wait_until_empty()
    assert project.values("work") == ["other"]


@pytest.fixture(scope="module")
def lenient() -> Iterator[Endpoint]:
    """An endpoint that takes dots in queue names, as some stand-ins for SQS do."""
    with local_endpoint("--memory", "--lenient-names") as endpoint:
        yield endpoint


def test_a_dotted_name_is_used_as_it_is_where_the_endpoint_has_it(lenient: Endpoint, tmp_path: Path) -> None:
    project = Project(tmp_path, lenient)
    try:
        name = f"{new_name()}.send"
        dotted = Queue(lenient.client(), name)
        dotted.send_task("tasks.work", "dotted")
        project.worker(name)
        project.wait_for_notes("work")
        project.python(f"from pyqs import task\nimport tasks\ntask(queue='{name}')(tasks.last).delay(0, 'sent')")
        project.wait_for_notes("ended")
        dotted.wait_until_empty()
        names = [url.rsplit("/", 1)[1] for url in lenient.client().list_queues().get("QueueUrls", [])]
        assert name.replace(".", "-") not in names
    finally:
        project.close()


def test_a_name_too_long_for_sqs_is_an_error_that_says_so(project: Project) -> None:
    result = project.pyqs("a" * 81)

    assert result.returncode != 0
    assert "80" in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_a_name_that_sqs_can_not_have_is_an_error_that_says_so(project: Project) -> None:
    result = project.pyqs("no/slashes")

    assert result.returncode != 0
    assert "no/slashes" in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr


@pytest.mark.parametrize("argument", ["{}-later", "{}*"])
def test_a_missing_queue_is_one_warning_and_no_error(project: Project, queue_name: str, argument: str) -> None:
    worker = project.worker(argument.format(queue_name), loglevel="WARN")
    worker.wait_for(queue_name)
    assert worker.popen.poll() is None

    assert worker.stop() == 0
    assert len(worker.lines) == 1, worker.output
    assert worker.lines[0].startswith("[WARNING]: ")


def test_a_missing_queue_does_not_keep_the_others_waiting(project: Project, queue: Queue) -> None:
    queue.send_task("tasks.work", 1)
    worker = project.worker(f"{queue.name}-missing", queue.name)

    project.wait_for_notes("work")
    worker.wait_for(rf"^\[WARNING\]: .*{queue.name}-missing")


@pytest.mark.parametrize("argument", ["{}-later", "{}*"])
def test_require_queues_makes_a_missing_queue_fatal(project: Project, queue_name: str, argument: str) -> None:
    result = project.pyqs(argument.format(queue_name), "--require-queues")

    assert result.returncode == 1
    assert queue_name in result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr


def test_queues_created_later_are_found(ours_project: Project, ours: Endpoint, queue_name: str) -> None:
    """By name and by pattern; the worker looks every 30 s."""
    project, sqs = ours_project, ours.client()
    worker = project.worker(f"{queue_name}-name", f"{queue_name}-p*")
    worker.wait_for(r"\[WARNING\]", 2)
    queues = [Queue(sqs, f"{queue_name}-name"), Queue(sqs, f"{queue_name}-pattern")]
    for number, queue in enumerate(queues):
        queue.send_task("tasks.work", number)

    project.wait_for_notes("work", 2, deadline_secs=45)

    assert sorted(project.values("work")) == [0, 1]
    for queue in queues:
        queue.wait_until_empty()
    worker.wait_for(rf"^\[INFO\]: Found new queue\t\S+/{queue_name}-pattern$")


def test_a_queue_without_redrive_policy_is_named_at_info(project: Project, queue: Queue) -> None:
    worker = project.worker(queue.name)

    line = worker.wait_for(rf"^\[INFO\]: .*{queue.name}.*(redrive|dead).*$").group(0)
    assert "set-queue-attributes" in line or "pyqs " in line, f"no command that adds one in: {line}"


def test_a_queue_named_like_a_command_needs_the_long_form(project: Project, sqs: Any) -> None:
    queue = Queue(sqs, "queues")
    queue.send_task("tasks.work", "taken")

    worker = project.start_pyqs("worker", "queues")

    project.wait_for_notes("work")
    assert worker.popen.poll() is None
