"""``apply_async``, ``delay_many``, ``adelay`` and ``delay_on_commit``."""

from __future__ import annotations

import json
import time

import pytest
from support.projects import Project
from support.queues import Queue, new_name
from support.recorder import Recorder
from support.waiting import eventually

SEND = """
import asyncio, datetime, itertools, sys, pyqs, tasks
from pyqs import task
work = task(queue="{queue}"{declared})(tasks.work)
try:
    print({call})
except Exception as error:
    print(*(base.__name__ for base in type(error).__mro__), "|", error)
"""


def send(project: Project, queue: str, call: str, declared: str = "") -> str:
    return project.python(SEND.format(queue=queue, call=call, declared=declared))


def test_many_are_sent_and_each_has_its_result(ours_project: Project, ours_queue: Queue) -> None:
    items = "itertools.chain(((n,) for n in range(6000)), [{'value': 'named'}, (object(),), 7, {1: 2}])"
    ids = "len({result for result in sent if isinstance(result, str)})"
    tell = f"(lambda sent: (len(sent), {ids}, *map(str, sent[-3:])))"
    printed = send(ours_project, ours_queue.name, f"{tell}(work.delay_many({items}))")

    assert "(6004, 6001, " in printed
    assert "argument 1 of tasks.work is a object" in printed
    assert "an item for tasks.work is a int; give a tuple" in printed
    assert "3 of 6004 messages of task tasks.work were not sent" in printed
    eventually(lambda: ours_queue.counts() == (6001, 0), "6001 messages")


def test_what_a_generator_raises_comes_after_what_it_gave(ours_project: Project, ours_queue: Queue) -> None:
    printed = send(ours_project, ours_queue.name, "work.delay_many((1 // (2 - n), ) for n in range(5))")

    assert printed.startswith("ZeroDivisionError")
    assert ours_queue.counts() == (2, 0)


def test_adelay_lets_the_loop_run(ours_project: Project, ours_queue: Queue) -> None:
    printed = ours_project.python(
        f"""
import asyncio, pyqs, tasks
work = pyqs.task(queue="{ours_queue.name}")(tasks.work)
async def main():
    sent = await asyncio.gather(*(work.adelay(value=n) for n in range(100)))
    print(len(set(sent)), sent[0] == sent[0].id)
asyncio.run(main())
"""
    )

    assert printed == "100 True\n"
    assert ours_queue.counts() == (100, 0)


def test_delay_on_commit_needs_django(ours_project: Project, ours_queue: Queue) -> None:
    ours_project.write("django.py", "raise ImportError")  # the tests' own environment has it
    assert "delay_on_commit needs Django" in send(ours_project, ours_queue.name, "work.delay_on_commit(1)")


def test_an_expired_message_is_deleted_without_running(ours_project: Project, ours_queue: Queue) -> None:
    send(ours_project, ours_queue.name, "work.apply_async(['over'], expires=0.001)")
    send(ours_project, ours_queue.name, "work.apply_async(['in time'], expires=600)")
    send(ours_project, ours_queue.name, "work.delay('declared')", ", expires=0.001")
    worker = ours_project.worker(ours_queue.name)

    ours_project.wait_for_notes("work")
    ours_queue.wait_until_empty()
    assert ours_project.values("work") == ["in time"]
    worker.wait_for("has expired; deleted without running it", count=2)


def test_countdown_queue_and_headers(ours_project: Project, ours_queue: Queue) -> None:
    before = time.time()
    headers = "{'a': 'b', 'n': 7, 'c': b'd'}"
    call = f"work.apply_async([1], countdown=0.5, queue='{ours_queue.name}', headers={headers})"
    send(ours_project, "elsewhere", call)
    (message,) = eventually(
        lambda: ours_queue.client.receive_message(
            QueueUrl=ours_queue.url, MessageAttributeNames=["All"], WaitTimeSeconds=1
        ).get("Messages"),
        "the message",
    )

    assert time.time() - before >= 1
    assert json.loads(message["Body"])["args"] == [1]
    assert message["MessageAttributes"] == {
        "a": {"DataType": "String", "StringValue": "b"},
        "n": {"DataType": "Number", "StringValue": "7"},
        "c": {"DataType": "Binary", "BinaryValue": b"d"},
    }


def test_groups_and_deduplication_by_key_functions(ours_project: Project) -> None:
    queue = Queue(ours_project.endpoint.client(), new_name() + ".fifo", FifoQueue="true")
    declared = ", group=lambda value: f'g{value}', dedup_id=lambda value: f'd{value}'"
    send(
        ours_project,
        queue.name,
        "[work.delay(1), work.delay(1), work.apply_async([1], group='g', dedup_id='x')]",
        declared,
    )
    keys = [
        (message["Attributes"]["MessageGroupId"], message["Attributes"]["MessageDeduplicationId"])
        for message in queue.take(2)
    ]

    assert sorted(keys) == [("g", "x"), ("g1", "d1")]
    assert "give a message group" in send(ours_project, queue.name, "work.delay(1)")
    assert "ContentBasedDeduplication" in send(ours_project, queue.name, "work.delay(1)", ", group='g'")
    soon = "datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)"
    for options in ("countdown=5", "countdown=5000", f"eta={soon}"):
        printed = send(ours_project, queue.name, f"work.apply_async([1], group='g', dedup_id='x', {options})")
        assert "takes no delay for a single message; set DelaySeconds on the queue" in printed


def test_nothing_reaches_sqs_of_what_fifo_can_not_take(ours_project: Project, recorder: Recorder) -> None:
    printed = ours_project.python(
        """
import pyqs, tasks
def attempt(queue, **options):
    try:
        pyqs.task(queue=queue)(tasks.work).apply_async([1], **options)
    except pyqs.errors.RequestRejected as error:
        print(error)
attempt("a.fifo")
attempt("a.fifo", group="g", countdown=1)
attempt("a", dedup_id="x")
attempt("a", headers={str(number): "x" for number in range(11)})
attempt("a", expires=60, headers={str(number): "x" for number in range(10)})
""",
        AWS_ENDPOINT_URL=recorder.url,
    )

    assert printed.splitlines() == [
        'queue "a.fifo" is FIFO: give a message group, within which order is kept',
        'queue "a.fifo" is FIFO and takes no delay for a single message; set DelaySeconds on the queue, or send '
        "without delay",
        'queue "a" is no FIFO queue, and takes no deduplication id; leave it out, or send to a queue whose name ends '
        "in .fifo",
        *['the message for queue "a" has 11 message attributes, and SQS takes 10; send fewer headers'] * 2,
    ]
    assert recorder.actions() == []


def test_a_group_on_a_standard_queue_is_the_tenant(ours_project: Project, ours_queue: Queue) -> None:
    send(
        ours_project, ours_queue.name, "[work.delay(1), work.apply_async([2], group='b')]", ", group=lambda value: 'a'"
    )
    groups = {message["Attributes"]["MessageGroupId"] for message in ours_queue.take(2)}

    assert groups == {"a", "b"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("work.apply_async([1], priority=3)", "TypeError"),
        ("work.apply_async('text')", "TypeError"),
        ("work.apply_async([1], [2])", "TypeError"),
        ("work.apply_async([1], {2: 3})", "TypeError"),
        ("work.apply_async([1], countdown=-1)", "SettingsInvalid"),
        ("work.apply_async([1], countdown='soon')", "SettingsInvalid"),
        ("work.apply_async([1], countdown=1, eta=datetime.datetime.now(datetime.timezone.utc))", "SettingsInvalid"),
        ("work.apply_async([1], eta=datetime.datetime.now())", "no time zone"),
        ("work.apply_async([1], eta=datetime.datetime(2999, 1, 1, tzinfo=datetime.timezone.utc))", "366 days ahead"),
        ("work.apply_async([1], expires='never')", "SettingsInvalid"),
        ("work.apply_async([1], countdown=60, expires=30)", "would never run"),
        ("work.apply_async([1], queue=7)", "SettingsInvalid"),
        ("work.apply_async([1], group=7)", "SettingsInvalid"),
        ("work.apply_async([1], group='two words')", "SettingsInvalid"),
        ("work.apply_async([1], group='g' * 129)", "128 letters"),
        ("work.apply_async([1], dedup_id='é')", "SettingsInvalid"),
        ("work.delay(1, countdown=3)", "argument countdown of tasks.work is unknown"),
        ("work.apply_async([1], headers={'pyqs.due': 1})", "reserved"),
        ("work.apply_async([1], headers={'a': [1]})", "TypeError"),
        ("work.apply_async([1], headers={'a': ''})", "SettingsInvalid"),
    ],
)
def test_options_that_make_no_sense_are_errors(ours_project: Project, ours_queue: Queue, call: str, said: str) -> None:
    assert said in send(ours_project, ours_queue.name, call)
    assert ours_queue.counts() == (0, 0)
