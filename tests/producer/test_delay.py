"""``.delay``: what is sent, where to, and what comes back."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from support.projects import Project
from support.queues import Queue
from support.recorder import Recorder
from support.waiting import eventually

MODULE = """
from pyqs import task

@task(queue="{queue}")
def send_email(subject, to="everyone"):
    return f"{{subject}} to {{to}}"

@task(queue="{queue}")
def anything(*args, **kwargs):
    pass

@task(queue="{queue}", custom_function_path="shop.mail.send")
def renamed(value):
    pass

@task(queue="{queue}", delay_seconds=2)
def later(value):
    pass

@task
def bare(value):
    return value
"""


@pytest.fixture
def mail(project: Project, queue: Queue) -> Project:
    """A project with tasks on ``queue``."""
    project.write("mail.py", MODULE.format(queue=queue.name))
    return project


def test_the_body_is_pyqss(mail: Project, queue: Queue) -> None:
    mail.python("from mail import anything; anything.delay('Grüße', to=['a', ('b', 1.5)], x={'y': None})")

    assert queue.take()[0]["Body"] == (
        '{"task": "mail.anything", "args": ["Gr\\u00fc\\u00dfe"], '
        '"kwargs": {"to": ["a", ["b", 1.5]], "x": {"y": null}}}'
    )


def test_delay_returns_the_messages_id(mail: Project, queue: Queue) -> None:
    printed = mail.python(
        "from mail import send_email\n"
        "sent = send_email.delay(1)\n"
        "assert isinstance(sent, str) and sent.id == sent, repr(sent)\n"
        "print(sent)"
    )

    assert queue.take()[0]["MessageId"] == printed.strip()


def test_the_function_stays_what_it_was(mail: Project, queue: Queue) -> None:
    printed = mail.python(
        "import inspect, pickle, mail\n"
        "print(mail.send_email('a', to='b'), mail.send_email.__name__, inspect.signature(mail.send_email))\n"
        "assert inspect.isfunction(mail.send_email)\n"
        "assert pickle.loads(pickle.dumps(mail.send_email)) is mail.send_email"
    )

    assert printed == "a to b send_email (subject, to='everyone')\n"
    assert queue.counts() == (0, 0), "a call is no message"


def test_a_custom_function_path_is_the_tasks_name(mail: Project, queue: Queue) -> None:
    mail.python("from mail import renamed; renamed.delay(1)")

    assert json.loads(queue.take()[0]["Body"])["task"] == "shop.mail.send"


def test_a_worker_finds_a_task_by_its_custom_path(project: Project, queue: Queue) -> None:
    project.write(
        "odd.py",
        f"""
from journal import note
from pyqs import task

@task(queue="{queue.name}", custom_function_path="no.such.module.name")
def found(value):
    note("found", value=value)
""",
    )
    project.python("from odd import found; found.delay(9)")
    project.worker(queue.name, "--import", "odd")

    assert project.wait_for_notes("found")[0]["value"] == 9


@pytest.mark.parametrize(
    ("call", "delay_secs"),
    [
        ("later.delay(1)", 2),
        ("later.delay(1, _delay_seconds=0)", 0),
        ("send_email.delay(1, _delay_seconds=2)", 2),
        ("send_email.delay(1)", 0),
    ],
)
def test_delays(mail: Project, queue: Queue, call: str, delay_secs: int) -> None:
    mail.python(f"from mail import *\n{call}")
    sent_at = time.monotonic()
    first = queue.receive()

    assert bool(first) == (delay_secs == 0)
    messages = first or eventually(queue.receive, "the delayed message")
    assert time.monotonic() - sent_at >= delay_secs - 1.5
    assert "_delay_seconds" not in messages[0]["Body"]


@pytest.mark.parametrize("call", ["long.delay(1)", "send_email.delay(1, _delay_seconds=86400)"])
def test_a_delay_above_sqss_is_sent_as_the_time_at_which_it_is_due(
    ours_project: Project, recorder: Recorder, call: str
) -> None:
    long = '\n@task(queue="email", delay_seconds=86400)\ndef long(value):\n    pass\n'
    ours_project.write("mail.py", MODULE.format(queue="email") + long)
    before = time.time()
    ours_project.python(f"from mail import *\n{call}", AWS_ENDPOINT_URL=recorder.url)
    after = time.time()
    sent = recorder.first("SendMessage").json()

    assert sent["DelaySeconds"] == 900
    assert list(json.loads(sent["MessageBody"])) == ["task", "args", "kwargs"]
    assert list(sent["MessageAttributes"]) == ["pyqs.due"]
    due = sent["MessageAttributes"]["pyqs.due"]
    assert due["DataType"] == "Number"
    assert int(before * 1000) <= int(due["StringValue"]) - 86_400_000 <= after * 1000


def test_a_missing_queue_is_created(project: Project, sqs: Any, queue_name: str) -> None:
    project.python(f"import tasks; from pyqs import task; task(queue='{queue_name}')(tasks.work).delay(1)")

    assert len(Queue(sqs, queue_name).take()) == 1


def test_a_missing_queue_is_not_created_when_that_is_forbidden(project: Project, sqs: Any, queue_name: str) -> None:
    printed = project.python(
        f"""
import tasks, pyqs
try:
    pyqs.task(queue="{queue_name}")(tasks.work).delay(1)
except pyqs.errors.QueueMissing as error:
    assert isinstance(error, LookupError)
    print(error)
""",
        PYQS_CREATE_QUEUES="0",
    )

    assert queue_name in printed
    assert sqs.list_queues(QueueNamePrefix=queue_name).get("QueueUrls") is None


def test_a_queue_that_was_deleted_meanwhile_is_looked_up_again(project: Project, sqs: Any, queue_name: str) -> None:
    Queue(sqs, queue_name)
    project.python(
        f"""
import boto3, tasks, pyqs
sqs = boto3.client("sqs")
send = pyqs.task(queue="{queue_name}")(tasks.work).delay
send("before")
sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="{queue_name}")["QueueUrl"])
send("after")
"""
    )

    bodies = [json.loads(message["Body"]) for message in Queue(sqs, queue_name).take()]
    assert [body["args"] for body in bodies] == [["after"]]


def test_the_default_queue_is_the_functions_path(project: Project, sqs: Any, queue_name: str) -> None:
    project.write(f"{queue_name}.py", "from pyqs import task\n@task\ndef bare(value): pass\n")
    project.python(f"from {queue_name} import bare; bare.delay(1)")

    queue = Queue(sqs, f"{queue_name}-bare")
    assert json.loads(queue.take()[0]["Body"])["task"] == f"{queue_name}.bare"


def test_delaying_is_told_of_at_info(mail: Project) -> None:
    printed = mail.python(
        "import logging; logging.basicConfig(level='INFO', format='%(name)s %(message)s')\n"
        "from mail import send_email; send_email.delay('a', to='b')"
    )

    assert "pyqs Delaying task mail.send_email: ('a',), {'to': 'b'}\n" in printed


def test_configure_says_where_to_send(mail: Project, queue: Queue) -> None:
    unset = dict.fromkeys(["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
    mail.python(
        f"""
import pyqs
pyqs.configure(endpoint_url="{mail.endpoint.url}", region="us-east-1", access_key_id="a", secret_access_key="b")
from mail import send_email
send_email.delay(1)
""",
        **unset,
    )

    assert len(queue.take()) == 1


def test_old_helpers_still_work(project: Project, sqs: Any, queue_name: str) -> None:
    printed = project.python(
        f"""
from pyqs.decorator import get_or_create_queue, task_delayer
from pyqs.utils import function_to_import_path, get_aws_region_name, decode_message
import tasks
get_or_create_queue("{queue_name}").send_message(MessageBody="by hand")
task_delayer(tasks.work, "{queue_name}")(1)
print(get_or_create_queue("{queue_name}").url)
print(function_to_import_path(tasks.work), function_to_import_path("as.it.is", override=True), get_aws_region_name())
print(decode_message({{"Body": '{{"task": "a.b", "args": [1], "kwargs": {{}}}}'}}))
"""
    )

    queue = Queue(sqs, queue_name)
    lines = printed.splitlines()
    assert lines[0] == queue.url
    assert lines[1] == "tasks.work as.it.is us-east-1"
    assert lines[2] == "{'task': 'a.b', 'args': [1], 'kwargs': {}}"
    assert sorted(message["Body"][:7] for message in queue.take(2)) == ["by hand", '{"task"']


def test_many_from_eight_threads_all_arrive(mail: Project, queue: Queue) -> None:
    count = 1000 if mail.endpoint.kind == "pyqs" else 100  # moto's server takes 50 ms a request and more
    printed = mail.python(
        f"""
from concurrent.futures import ThreadPoolExecutor
from mail import send_email
with ThreadPoolExecutor(8) as pool:
    ids = list(pool.map(send_email.delay, range({count})))
print(len(set(ids)))
"""
    )

    assert printed.strip() == str(count)
    eventually(lambda: queue.counts() == (count, 0), f"{count} messages")


def test_a_message_of_exactly_the_limit_goes_and_one_more_does_not(project: Project, sqs: Any, queue_name: str) -> None:
    queue = Queue(sqs, queue_name, MaximumMessageSize="1024")
    printed = project.python(
        f"""
import json, pyqs, tasks
send = pyqs.task(queue="{queue_name}")(tasks.work).delay
empty = len(json.dumps({{"task": "tasks.work", "args": [""], "kwargs": {{}}}}))
send("x" * (1024 - empty))
try:
    send("x" * (1025 - empty))
except pyqs.errors.MessageTooLarge as error:
    assert isinstance(error, ValueError) and isinstance(error, pyqs.errors.PyqsError)
    print(error)
"""
    )

    assert "1025" in printed
    assert "1024" in printed
    assert queue_name in printed
    assert queue.counts() == (1, 0), "nothing of the larger one was sent"
