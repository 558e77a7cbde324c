"""Trouble while sending: what is tried again, for how long, and how the caller gets out."""

from __future__ import annotations

import signal
import socket
import time
from typing import Optional

import pytest
from support.projects import Project
from support.recorder import Answer, Recorder, Request, error

SEND = """
import pyqs, tasks, time
try:
    print("sent", pyqs.task(queue="email")(tasks.work).delay(1))
except pyqs.errors.PyqsError as error:
    print(type(error).__name__, "|", error)
"""


def is_send(request: Request) -> bool:
    return request.action.startswith("SendMessage")


def failing(times: int, answer: Answer) -> object:
    """Answers so to the first sends."""
    left = [answer] * times

    def reply(request: Request) -> Optional[Answer]:
        return left.pop() if left and is_send(request) else None

    return reply


@pytest.mark.parametrize(
    "answer", [error(500, "InternalFailure"), error(503, "ServiceUnavailable"), error(400, "RequestThrottled")]
)
def test_passing_trouble_is_tried_again(ours_project: Project, recorder: Recorder, answer: Answer) -> None:
    recorder.answer = failing(2, answer)  # type: ignore[assignment]
    printed = ours_project.python(SEND, AWS_ENDPOINT_URL=recorder.url)

    assert printed.startswith("sent ")
    assert len(list(filter(is_send, recorder.requests))) == 3


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [(error(500, "InternalFailure"), "ServiceError"), (error(400, "RequestThrottled"), "Throttled")],
)
@pytest.mark.parametrize("attempts", [1, 3])
def test_aws_max_attempts_says_how_often(
    ours_project: Project, recorder: Recorder, answer: Answer, error_class: str, attempts: int
) -> None:
    recorder.answer = failing(99, answer)  # type: ignore[assignment]
    printed = ours_project.python(SEND, AWS_ENDPOINT_URL=recorder.url, AWS_MAX_ATTEMPTS=str(attempts))

    assert printed.startswith(f"{error_class} | ")
    assert len(list(filter(is_send, recorder.requests))) == attempts


def test_five_attempts_is_the_default(ours_project: Project, recorder: Recorder) -> None:
    recorder.answer = failing(99, error(500, "InternalFailure"))  # type: ignore[assignment]
    began = time.monotonic()
    printed = ours_project.python(SEND, AWS_ENDPOINT_URL=recorder.url)

    assert printed.startswith("ServiceError | ")
    assert len(list(filter(is_send, recorder.requests))) == 5
    assert time.monotonic() - began < 30


def test_ctrl_c_interrupts_a_waiting_delay(ours_project: Project) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        program = ours_project.script(
            """
import tasks
print("sending", flush=True)
try:
    tasks.work.delay(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
""",
            AWS_ENDPOINT_URL=url,
        )
        connection, _ = silent.accept()
        program.wait_for("sending")
        began = time.monotonic()
        program.send_signal(signal.SIGINT)

        assert program.wait(10) == 0, program.output
        connection.close()
    assert time.monotonic() - began < 3
    assert program.output == "sending\ninterrupted\n"


def test_other_threads_run_while_one_waits(ours_project: Project) -> None:
    """The interpreter lock is let go of while SQS is waited for."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        program = ours_project.script(
            """
import os, threading, tasks
threading.Thread(target=tasks.work.delay, args=(1,), daemon=True).start()
print("counting", sum(range(1000)), flush=True)
os._exit(0)
""",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
        )
        assert program.wait(10) == 0
    assert program.output == "counting 499500\n"


def test_one_queue_in_trouble_does_not_hold_up_another(ours_project: Project, recorder: Recorder) -> None:
    def answer(request: Request) -> Optional[Answer]:
        if is_send(request) and request.json()["QueueUrl"].endswith("/bad"):
            return error(500, "InternalFailure")
        return None

    recorder.answer = answer
    printed = ours_project.python(
        """
import threading, time, pyqs, tasks
bad, good = pyqs.task(queue="bad")(tasks.fail).delay, pyqs.task(queue="good")(tasks.work).delay
def try_bad():
    try:
        bad(1)
    except pyqs.errors.ServiceError:
        print("bad gave up")
thread = threading.Thread(target=try_bad)
thread.start()
for number in range(20):
    good(number)
print("good is done")
thread.join()
""",
        AWS_ENDPOINT_URL=recorder.url,
    )

    assert printed == "good is done\nbad gave up\n"
