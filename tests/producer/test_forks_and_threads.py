"""``.delay`` from threads, after forks, in pools and in event loops."""

from __future__ import annotations

import json

import pytest
from support.projects import Project
from support.queues import Queue


@pytest.fixture
def sending(project: Project, queue: Queue) -> Project:
    """A project whose ``sender.send(value)`` sends to ``queue``."""
    project.write("sender.py", f"import pyqs, tasks\nsend = pyqs.task(queue='{queue.name}')(tasks.work).delay\n")
    return project


def sent(queue: Queue, count: int) -> list[object]:
    """The values of so many messages."""
    return sorted((json.loads(message["Body"])["args"][0] for message in queue.take(count)), key=str)


def test_after_a_fork_child_and_parent_both_send(sending: Project, queue: Queue) -> None:
    sending.python(
        """
import os
from sender import send
send("before")
pid = os.fork()
if pid == 0:
    send("child")
    os._exit(0)
send("parent")
assert os.waitpid(pid, 0)[1] == 0
send("after")
"""
    )

    assert sent(queue, 4) == ["after", "before", "child", "parent"]


def test_a_fork_in_the_midst_of_other_threads_sends(sending: Project, queue: Queue) -> None:
    sending.python(
        """
import os, threading
from sender import send
send(0)
stop = threading.Event()
count = [0] * 4
def keep_sending(place):
    while not stop.is_set():
        send(0)
        count[place] += 1
threads = [threading.Thread(target=keep_sending, args=(place,)) for place in range(4)]
for thread in threads:
    thread.start()
children = []
for number in range(1, 11):
    pid = os.fork()
    if pid == 0:
        send(number)
        os._exit(0)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
"""
    )

    seen = set()
    while not seen >= set(range(1, 11)):
        seen |= {json.loads(message["Body"])["args"][0] for message in queue.receive(wait_secs=5)}


def test_a_child_of_a_child_sends(sending: Project, queue: Queue) -> None:
    sending.python(
        """
import os
from sender import send
def descend(depth):
    send(depth)
    if depth < 3:
        pid = os.fork()
        if pid == 0:
            descend(depth + 1)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
descend(0)
"""
    )

    assert sent(queue, 4) == [0, 1, 2, 3]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_a_multiprocessing_pool(sending: Project, queue: Queue, method: str) -> None:
    program = sending.script(
        f"""
import multiprocessing
from sender import send

def one(number):
    return str(send(number))

if __name__ == "__main__":
    send("before")
    with multiprocessing.get_context("{method}").Pool(3) as pool:
        assert len(set(pool.map(one, range(30), chunksize=1))) == 30
"""
    )
    assert program.wait() == 0, program.output

    assert len(sent(queue, 31)) == 31


def test_in_an_event_loop(sending: Project, queue: Queue) -> None:
    sending.python(
        """
import asyncio
from sender import send

async def main():
    send("in the loop")
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, send, number) for number in range(20)))

asyncio.run(main())
asyncio.run(main())
"""
    )

    assert len(sent(queue, 42)) == 42


def test_in_threads_and_after_they_ended(sending: Project, queue: Queue) -> None:
    sending.python(
        """
import threading
from sender import send
for round in range(3):
    threads = [threading.Thread(target=send, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
    )

    assert len(sent(queue, 30)) == 30


def test_at_the_programs_end(sending: Project, queue: Queue) -> None:
    """An exit handler may still send."""
    sending.python(
        """
import atexit
from sender import send
atexit.register(send, "at exit")
send("before")
"""
    )

    assert sent(queue, 2) == ["at exit", "before"]


def test_a_program_that_has_sent_may_become_a_worker(sending: Project, queue: Queue) -> None:
    """Its producer's threads are ended before the first fork, and tasks send by their own."""
    sending.write("chain.py", "from sender import send\ndef again(value):\n    send(value + 1)\n")
    program = sending.script(
        f"""
import pyqs, chain
from pyqs.main import _main
from sender import send
for number in range(10):
    send(number)
pyqs.task(queue="{queue.name}")(chain.again).delay(100)
_main(["{queue.name}"], 2, interval=0)
"""
    )
    sending.wait_for_notes("work", 11)
    queue.wait_until_empty()

    assert sorted(sending.values("work")) == [*range(10), 101]
    assert program.popen.poll() is None


def test_a_hook_may_send(sending: Project, queue: Queue) -> None:
    sending.write(
        "hooks.py",
        """
from pyqs.events import register_event
from sender import send

def follow(context):
    if context["args"] == ["first"]:
        send("second")
register_event("post_process", follow)
""",
    )
    sending.worker(queue.name, "--import", "hooks")
    queue.send_task("tasks.work", "first")
    sending.wait_for_notes("work", 2)

    assert sending.values("work") == ["first", "second"]


def test_threads_that_a_task_starts_may_send(sending: Project, queue: Queue) -> None:
    sending.write(
        "threaded.py",
        """
import threading
from sender import send
def spread(value):
    threads = [threading.Thread(target=send, args=(number,)) for number in range(value)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
""",
    )
    queue.send_task("threaded.spread", 12)
    sending.worker(queue.name)
    sending.wait_for_notes("work", 12)
    queue.wait_until_empty()

    assert sorted(sending.values("work")) == list(range(12))
