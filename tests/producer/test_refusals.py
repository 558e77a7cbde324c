"""What ``.delay`` refuses, and with which exception."""

from __future__ import annotations

import pytest
from support.projects import Project
from support.queues import Queue
from support.recorder import Answer, Recorder, Request, error

ATTEMPT = """
import datetime, pyqs, tasks
{function}
try:
    sent = pyqs.task(queue="{queue}"{options})(work).delay({arguments})
    print("sent", sent)
except Exception as error:
    print(*(base.__name__ for base in type(error).__mro__), "|", error)
"""


def attempt(
    project: Project,
    queue: str,
    arguments: str = "1",
    options: str = "",
    function: str = "work = tasks.work",
    **environment: str,
) -> str:
    """Send; a line with the exception's classes and its message."""
    code = ATTEMPT.format(queue=queue, arguments=arguments, options=options, function=function)
    printed = project.python(code, **environment)
    lines = printed.splitlines()
    assert len(lines) == 1, printed
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "error_class", "named"),
    [
        ("1, datetime.date(2026, 1, 2)", "TypeError", "argument 2"),
        ("when=datetime.datetime.now()", "TypeError", "argument when"),
        ("b'bytes'", "TypeError", "argument 1"),
        ("{1, 2}", "TypeError", "argument 1"),
        ("value=object()", "TypeError", "argument value"),
        ("{(1, 2): 3}", "TypeError", "argument 1"),
    ],
)
def test_what_json_can_not_carry_is_a_type_error_that_names_the_argument(
    ours_project: Project, ours_queue: Queue, arguments: str, error_class: str, named: str
) -> None:
    line = attempt(ours_project, ours_queue.name, arguments, function="def work(*args, **kwargs): pass")

    assert error_class in line
    assert named in line
    assert "__main__.work" in line
    assert ours_queue.counts() == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("1, 2", "argument 2 of tasks.work is one too many; by position it takes value"),
        ("1, value=2", "argument value of tasks.work is given twice"),
        ("valeu=2", "argument valeu of tasks.work is unknown; by name it takes value"),
    ],
)
def test_what_the_function_can_never_take_is_a_type_error(
    ours_project: Project, ours_queue: Queue, arguments: str, said: str
) -> None:
    line = attempt(ours_project, ours_queue.name, arguments)

    assert line.startswith("TypeError")
    assert said in line
    assert ours_queue.counts() == (0, 0)


def test_an_argument_that_is_missing_is_warned_of_once_and_sent(ours_project: Project, ours_queue: Queue) -> None:
    printed = ours_project.python(
        f"""
import pyqs, tasks
last = pyqs.task(queue="{ours_queue.name}")(tasks.last)
last.delay()
last.apply_async(kwargs={{"value": 1}})
"""
    )

    assert printed.splitlines() == [
        "Task tasks.last is sent without seconds, which it needs: it will fail where it runs. Give it, or give the "
        "function a default; this is said once"
    ]
    assert ours_queue.counts() == (2, 0)


def test_an_argument_that_holds_itself_is_named(ours_project: Project, ours_queue: Queue) -> None:
    printed = ours_project.python(
        f"""
import pyqs, tasks
loop = []
loop.append(loop)
try:
    pyqs.task(queue="{ours_queue.name}")(tasks.last).delay(1, value=loop)
except ValueError as error:
    print(error)
"""
    )

    assert "argument value" in printed


def test_the_largest_message_of_sqs_goes_and_a_larger_one_does_not(project: Project, queue: Queue) -> None:
    mebibyte = 1024 * 1024
    line = attempt(project, queue.name, f"'x' * {mebibyte}")
    assert line.startswith("MessageTooLarge ")
    assert str(mebibyte) in line
    assert queue.counts() == (0, 0)

    assert attempt(project, queue.name, f"'x' * ({mebibyte} - 100)").startswith("sent ")


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (", delay_seconds=366 * 86400 + 1", "1"),
        (", delay_seconds=-1", "1, _delay_seconds=1"),
        ("", "1, _delay_seconds=366 * 86400 + 1"),
        ("", "1, _delay_seconds=1800000000"),
        ("", "1, _delay_seconds=-1"),
        ("", "1, _delay_seconds=1.5"),
        ("", "1, _delay_seconds='soon'"),
    ],
)
def test_a_delay_that_makes_no_sense_is_refused(
    ours_project: Project, ours_queue: Queue, options: str, arguments: str
) -> None:
    line = attempt(ours_project, ours_queue.name, arguments, options)

    assert line.startswith("SettingsInvalid PyqsError ValueError")
    assert "tasks.work" in line
    assert "31622400, which is 366 days" in line
    assert ours_queue.counts() == (0, 0)


def test_a_task_with_such_a_delay_can_not_be_declared(ours_project: Project) -> None:
    printed = ours_project.python(
        """
import pyqs, tasks
try:
    pyqs.task(queue="email", delay_seconds=366 * 86400 + 1)(tasks.work)
except ValueError as error:
    print(error)
"""
    )

    assert "the delay of tasks.work is 31622401" in printed


@pytest.mark.parametrize("seconds", ["1", "901"])
def test_fifo_queues_take_no_delay(ours_project: Project, seconds: str) -> None:
    line = attempt(ours_project, "orders.fifo", f"1, _delay_seconds={seconds}")

    assert line.startswith("RequestRejected PyqsError")
    assert "takes no delay" in line


@pytest.mark.parametrize("seconds", [-1, 901])
def test_a_queues_own_send_message_takes_what_sqs_takes(ours_project: Project, ours_queue: Queue, seconds: int) -> None:
    printed = ours_project.python(
        f"""
from pyqs.decorator import get_or_create_queue
try:
    get_or_create_queue("{ours_queue.name}").send_message(MessageBody="x", DelaySeconds={seconds})
except ValueError as error:
    print(error)
"""
    )

    assert f"DelaySeconds is {seconds}; SQS takes 0 to 900" in printed
    assert ours_queue.counts() == (0, 0)


@pytest.mark.parametrize("name", ["a" * 81, "no/slashes", "no spaces", "naïve"])
def test_a_queue_name_that_sqs_can_not_have_is_refused(ours_project: Project, name: str) -> None:
    line = attempt(ours_project, name)

    assert line.startswith("QueueNameInvalid PyqsError ValueError")


def test_no_credentials(ours_project: Project) -> None:
    keys = dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    line = attempt(ours_project, "email", HOME=str(ours_project.folder), **keys)  # type: ignore[arg-type]

    assert line.startswith("CredentialsError PyqsError")
    assert "AWS_ACCESS_KEY_ID" in line


@pytest.mark.parametrize(
    ("answer", "classes", "said"),
    [
        (error(403, "InvalidClientTokenId"), "CredentialsError PyqsError", "AWS_ACCESS_KEY_ID"),
        (error(403, "AccessDenied"), "AccessDenied CredentialsError PyqsError", "sqs:"),
        (error(400, "InvalidMessageContents"), "RequestRejected PyqsError", "InvalidMessageContents"),
    ],
)
def test_what_sqs_refuses_is_raised_at_once(
    ours_project: Project, recorder: Recorder, answer: Answer, classes: str, said: str
) -> None:
    def refuse_sends(request: Request) -> object:
        return answer if request.action.startswith("SendMessage") else None

    recorder.answer = refuse_sends  # type: ignore[assignment]
    line = attempt(ours_project, "email", AWS_ENDPOINT_URL=recorder.url)

    assert line.startswith(classes)
    assert said in line
    assert len([action for action in recorder.actions() if action.startswith("SendMessage")]) == 1


def test_an_endpoint_that_refuses_connections(ours_project: Project) -> None:
    line = attempt(ours_project, "email", AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="2")

    assert line.startswith("EndpointUnreachable PyqsError ConnectionError")
    assert "http://127.0.0.1:1" in line


def test_pickled_celery_messages_are_not_loaded(ours_project: Project) -> None:
    printed = ours_project.python(
        """
import base64, pickle, pyqs, pyqs.utils, pyqs.errors
class Exploding:
    def __reduce__(self):
        return exec, ("open('was-run', 'w')",)
body = base64.b64encode(pickle.dumps({"task": "a.b", "args": [Exploding()], "kwargs": {}})).decode()
try:
    pyqs.utils.decode_celery_message(body)
except pyqs.errors.UndecodableMessage as error:
    print("refused")
"""
    )

    assert printed == "refused\n"
    assert not (ours_project.folder / "was-run").exists()


def test_what_the_engine_can_not_have_names_what_to_use(ours_project: Project) -> None:
    printed = ours_project.python(
        """
from pyqs import worker
from pyqs.errors import NotCarriedOver
for use in (
    lambda: worker.get_conn(),
    lambda: worker.ReadWorker("url", None, 10),
    lambda: type("Mine", (worker.ProcessWorker,), {}),
    lambda: type("Mine", (worker.ManagerWorker,), {"WORKER_CHILDREN_CLASS": object}),
):
    try:
        use()
    except NotCarriedOver as error:
        print(error)
"""
    )

    assert len(printed.splitlines()) == 4
    assert "boto3" in printed
    assert "pyqs.events" in printed
