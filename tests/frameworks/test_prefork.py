"""``.delay`` in servers that fork: gunicorn, and those that fork as uWSGI and Celery do."""

from __future__ import annotations

import json

import pytest
from support.examples import Example, gunicorn
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

APPLICATION = """
import asyncio, os
from pyqs import task

@task(queue="shop-orders")
def work(sender, pid):
    ...

if os.environ.get("AT_IMPORT"):
    work.delay("import", os.getpid())

def application(environ, start_response):
    if environ["PATH_INFO"] == "/async":
        message = asyncio.run(work.adelay("async", os.getpid()))
    else:
        message = work.delay("request", os.getpid())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [b'"%s"' % message.encode()]
"""


@pytest.mark.parametrize("options", [[], ["--preload"], ["--preload", "--threads", "4"]])
def test_under_gunicorn(example: Example, options: list[str]) -> None:
    """With ``--preload`` the master has sent before it forks: at import, which is done there once."""
    example.write("web.py", APPLICATION)
    queue = example.queue("shop-orders")
    # A worker that has answered a few requests is replaced by a new one, which the master forks.
    few = ["--workers", "3", "--max-requests", "5"]
    site = gunicorn(example, "web", *few, *options, AT_IMPORT="1")
    ids = [site.get(path) for path in ["/", "/async"] * 15]

    assert len(set(ids)) == 30
    sent = [json.loads(message["Body"])["args"] for message in queue.take(31)]
    answering = {pid for sender, pid in sent if sender != "import"}
    at_import = {pid for sender, pid in sent if sender == "import"}
    assert len([sender for sender, _ in sent if sender != "import"]) == 30
    assert len(answering) > 1, "several workers have sent"
    if options:
        assert at_import == {site.process.pid}, "the master has sent"


def test_as_uwsgi_forks(ours_project: Project, ours_queue: Queue) -> None:
    """The master's application has threads that send, and a loop, when it forks; so have its workers, one of which is
    replaced."""
    ours_project.python(
        f"""
import asyncio, os, signal, threading
import pyqs, tasks
work = pyqs.task(queue="{ours_queue.name}")(tasks.work)
stop = threading.Event()

def keep_sending(value):
    while not stop.is_set():
        work.delay(value)

def serve(number):
    threads = [threading.Thread(target=work.delay, args=(f"thread of {{number}}",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    async def some():
        await asyncio.gather(*(work.adelay(f"loop of {{number}}") for _ in range(3)))
    asyncio.run(some())
    assert len(work.delay_many([(f"many of {{number}}",)] * 20)) == 20

def fork(number):
    pid = os.fork()
    if pid == 0:
        try:
            serve(number)
            os._exit(0)
        finally:
            os._exit(1)
    return pid

asyncio.run(work.adelay("master"))
background = [threading.Thread(target=keep_sending, args=("background",)) for _ in range(2)]
for thread in background:
    thread.start()
workers = [fork(number) for number in range(3)]
os.kill(workers.pop(), signal.SIGKILL)
workers.append(fork(3))
for pid in workers:
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in background:
    thread.join()
work.delay("master")
"""
    )
    counts: dict[str, int] = {}

    def all_there() -> bool:
        for message in ours_queue.receive():
            value = json.loads(message["Body"])["args"][0]
            counts[value] = counts.get(value, 0) + 1
        expected = {"master": 2}
        for number in (0, 1, 3):
            expected.update({f"thread of {number}": 3, f"loop of {number}": 3, f"many of {number}": 20})
        return all(counts.get(value) == count for value, count in expected.items())

    eventually(all_there, "what master and workers have sent")


POOLS = {
    "multiprocessing": "import multiprocessing\npool = multiprocessing.get_context('fork').Pool(3, maxtasksperchild=4)",
    "billiard": "import billiard\npool = billiard.get_context('fork').Pool(3, maxtasksperchild=4)",
    "executor": """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
pool = ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("fork"))
""",
}


@pytest.mark.parametrize("pool", POOLS)
def test_in_pools_as_celerys(ours_project: Project, ours_queue: Queue, pool: str) -> None:
    """Their processes are daemons, may start none, and are replaced after some tasks."""
    ours_project.write(
        "one.py",
        f"import pyqs, tasks\nwork = pyqs.task(queue='{ours_queue.name}')(tasks.work)\n"
        "def send(value):\n    return work.delay(value)\n",
    )
    program = ours_project.script(
        f"""
import one

if __name__ == "__main__":
    before = one.send("before")
    {POOLS[pool].strip().replace(chr(10), chr(10) + "    ")}
    ids = list(pool.map(one.send, range(20)))
    assert len({{before, *ids, one.send("after")}}) == 22
    getattr(pool, "terminate", getattr(pool, "shutdown", None))()
"""
    )
    assert program.wait() == 0, program.output
    values = [json.loads(message["Body"])["args"][0] for message in ours_queue.take(22)]
    assert sorted(map(str, values)) == sorted(["before", "after", *map(str, range(20))])
