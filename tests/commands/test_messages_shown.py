"""``pyqs peek`` and ``pyqs decode``: messages shown, and left as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue, new_name, with_dead_letters

CORPUS = Path(__file__).resolve().parents[2] / "crates" / "pyqs-formats" / "tests" / "data" / "corpus.jsonl"
NATIVE = json.dumps({"task": "shop.pay", "args": [7], "kwargs": {"to": "\x1b[2J"}})


def sample(stratum: str, word: str = "") -> dict[str, Any]:
    """A message of Celery's."""
    samples = map(json.loads, CORPUS.read_text().splitlines())
    return next(found for found in samples if found["stratum"] == stratum and word in found["body"] + found["variant"])


def test_a_look_leaves_the_queue_as_it_was(project: Project, queue: Queue) -> None:
    queue.send(NATIVE)
    done = project.pyqs("peek", queue.name)

    assert done.returncode == 0, done.stderr
    assert "received once" in done.stdout
    assert "task          shop.pay" in done.stdout
    assert r"kwargs        {'to': '\x1b[2J'}" in done.stdout
    assert done.stderr == "1 message was looked at and given back; the look counts as a receive\n"
    # At once: nobody waits for the end of a visibility timeout.
    (message,) = queue.receive()
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_more_messages_than_fit_in_one_receive(project: Project, queue: Queue) -> None:
    queue.send_tasks("shop.pay", [[i] for i in range(12)])
    done = project.pyqs("peek", queue.name, "-n", "12", "--json")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sorted(found, key=lambda look: int(look["message"]["args"][1:-1]))[11]["message"]["args"] == "[11]"
    assert len({look["message_id"] for look in found}) == 12
    assert queue.counts() == (12, 0)


def test_an_empty_and_a_missing_queue(project: Project, queue: Queue) -> None:
    done = project.pyqs("peek", queue.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no message is visible\n")
    done = project.pyqs("peek", new_name())
    assert done.returncode == 1
    assert done.stdout == ""


def test_a_look_does_not_send_a_message_to_the_dead_letters(ours_project: Project, ours_queue: Queue) -> None:
    name = new_name()
    queue, dead = with_dead_letters(ours_queue.client, name, 1)
    queue.send(NATIVE)
    done = ours_project.pyqs("peek", name)

    assert done.returncode == 1
    assert "--force looks anyway" in done.stderr
    (message,) = queue.receive()
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert dead.counts() == (0, 0)


def test_what_a_look_costs_is_said(ours_project: Project, ours_queue: Queue) -> None:
    name = new_name()
    queue, _dead = with_dead_letters(ours_queue.client, name, 2)
    queue.send(NATIVE)
    done = ours_project.pyqs("peek", name)
    assert "the look counts as a receive, of 2 that the redrive policy allows" in done.stderr
    done = ours_project.pyqs("peek", name)
    assert "of 2 allowed none is left to a message that was received 2 times" in done.stderr


@pytest.mark.parametrize(
    ("stratum", "word", "lines"),
    [
        (
            "compression",
            "gzip",
            ["message body  base64 of JSON", "compression   application/x-gzip, ", "that expand to"],
        ),
        ("v1-json", "", ["headers       no task here", "payload       JSON, ", "format        Celery, protocol 1"]),
        ("v2-pickle", "", ["headers       the task's fields are here", "payload       pickle, "]),
    ],
)
def test_a_saved_body(ours_project: Project, stratum: str, word: str, lines: list[str]) -> None:
    saved = sample(stratum, word)
    ours_project.write("body", saved["body"] + "\n")
    done = ours_project.pyqs("decode", "body")
    assert done.returncode == 0, done.stderr
    for line in [*lines, saved["expect"]["task"], saved["expect"]["id"]]:
        assert line in done.stdout, done.stdout


def test_what_receive_message_has_answered(ours_project: Project) -> None:
    answer = {"Messages": [{"MessageId": "1", "Body": NATIVE}, {"MessageId": "2", "Body": "no task"}]}
    ours_project.write("answer.json", json.dumps(answer))
    done = ours_project.pyqs("decode", "answer.json", "--json")
    assert done.returncode == 1
    first, second = json.loads(done.stdout)
    assert first["message"]["task"] == "shop.pay"
    assert second["error"]["layer"] == "message body"
    assert done.stderr == "pyqs: 1 of 2 can't be read as a task\n"


POINTER = json.dumps(
    ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "shop-payloads", "s3Key": "a/5b3e"}]
)
SIZE = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "5000000"}}


def test_a_pointer_is_shown_as_what_it_is(project: Project, queue: Queue) -> None:
    queue.send(POINTER, MessageAttributes=SIZE)
    done = project.pyqs("peek", queue.name)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["  stored body  s3://shop-payloads/a/5b3e, 5000000 bytes"]
    (found,) = json.loads(project.pyqs("peek", queue.name, "--json").stdout)
    assert found["stored"] == {"store": "s3://shop-payloads", "key": "a/5b3e", "bytes": 5000000}
    assert found["body"] == POINTER


def test_a_saved_pointer_is_no_message_that_can_t_be_read(ours_project: Project) -> None:
    folder = json.dumps(["pyqs.PayloadPointer", {"store": "file:///payloads", "key": "\x1b[2J.payload"}])
    answer = {"Messages": [{"Body": POINTER, "MessageAttributes": SIZE}, {"Body": folder}]}
    ours_project.write("answer.json", json.dumps(answer))
    done = ours_project.pyqs("decode", "answer.json")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "stored body  s3://shop-payloads/a/5b3e, 5000000 bytes\n\nstored body  file:///payloads/\\x1b[2J.payload\n"
    )
    ours_project.write("body", POINTER + "\n")
    assert ours_project.pyqs("decode", "body").stdout == "stored body  s3://shop-payloads/a/5b3e\n"


def test_nothing_in_a_saved_body_is_run(ours_project: Project) -> None:
    hostile = CORPUS.with_name("hostile.jsonl").read_text().splitlines()
    before = sorted(path.name for path in ours_project.folder.iterdir())
    messages = [{"Body": found["body"]} for found in map(json.loads, hostile)]
    ours_project.write("answer.json", json.dumps(messages))
    done = ours_project.pyqs("decode", "answer.json")
    assert done.returncode == 1
    assert sorted(path.name for path in ours_project.folder.iterdir()) == sorted([*before, "answer.json"])
