"""The scenarios of bench/chaos.py: one function each, in the order of the table."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from chaos_run import CONCURRENCY, QUEUE, VISIBILITY_SECS, Result, Run, run, wait_until
from local import HERE, OURS, call_body

TINY = 20_000
"""No-ops in the scenarios whose speed is compared with the quiet run's."""
SHORT = 6_000
"""Tasks of SHORT_SECS where processes are killed: enough to last through it."""
SHORT_SECS = 0.005


@dataclass
class Options:
    """What scenarios go by."""

    command: list[str]
    deadline_secs: float
    seed: int
    backlog: int
    long_secs: float
    scale: float
    """How many of the tasks: less for a slow worker."""

    def tasks(self, count: int) -> int:
        return max(10, int(count * self.scale))

    @property
    def is_ours(self) -> bool:
        return self.command == OURS


@dataclass
class Scenario:
    """A scenario and what must hold in it; nothing is lost in any."""

    what: str
    play: Callable[[Options], Result]
    duplicates_allowed: bool = False
    """Where a process is killed or a reply is lost."""
    ratio_least: Optional[float] = None
    """Of the quiet run's speed."""
    original: bool = True
    """Whether the original PyQS can run it."""


def with_faults(*faults: str, count: int = TINY) -> Callable[[Options], Result]:
    """Tiny tasks, while requests fail."""

    def play(options: Options) -> Result:
        with run(options.command, options.deadline_secs) as under_way:
            under_way.fill(under_way.queue(), options.tasks(count))
            under_way.inject(*faults)
            under_way.start()
            under_way.wait_until_left()
            under_way.inject()
            under_way.wait_until_left()
            under_way.workers[0].stop()
            return under_way.result()

    return play


def with_trouble(disturb: Callable[[Run, random.Random], None], **choices: bool) -> Callable[[Options], Result]:
    """Short tasks, while something is done to the endpoint or to processes."""

    def play(options: Options) -> Result:
        with run(options.command, options.deadline_secs, **choices) as under_way:
            count = options.tasks(SHORT)
            under_way.fill(under_way.queue(), count, SHORT_SECS)
            under_way.start().wait_until_ready()
            under_way.wait_until_ended(count // 20)
            disturb(under_way, random.Random(options.seed))
            under_way.wait_until_left()
            for worker in under_way.workers:
                worker.stop()
            return under_way.result()

    return play


def pause_endpoint(under_way: Run, _: random.Random) -> None:
    under_way.at.process.send_signal(signal.SIGSTOP)
    time.sleep(10)
    under_way.at.process.send_signal(signal.SIGCONT)
    under_way.heal()


def restart_endpoint(under_way: Run, _: random.Random) -> None:
    under_way.at.kill()
    time.sleep(5)
    under_way.at.start()
    under_way.heal()


def kill_task_processes(under_way: Run, chance: random.Random) -> None:
    for _ in range(10):
        processes = under_way.workers[0].task_processes()
        if processes:
            os.kill(chance.choice(processes), signal.SIGKILL)
            under_way.heal()
        time.sleep(chance.uniform(0.1, 0.5))


def kill_manager(under_way: Run, chance: random.Random) -> None:
    worker = under_way.workers[0]
    for _ in range(3):
        manager = wait_until(worker.manager, 30, "a manager")
        os.kill(manager, signal.SIGKILL)
        under_way.heal()
        while worker.manager() in (None, manager):
            time.sleep(0.02)
        time.sleep(chance.uniform(0.2, 0.8))


def kill_supervisor(under_way: Run, _: random.Random) -> None:
    under_way.workers[0].process.kill()
    under_way.workers[0].process.wait()
    under_way.start().wait_until_ready()
    under_way.heal()


def pause_worker(under_way: Run, _: random.Random) -> None:
    under_way.workers[0].signal_all(signal.SIGSTOP)
    time.sleep(VISIBILITY_SECS * 2)
    under_way.workers[0].signal_all(signal.SIGCONT)
    under_way.heal()


def rolling_restart(options: Options) -> Result:
    with run(options.command, options.deadline_secs) as under_way:
        count = options.tasks(SHORT * 2)
        under_way.fill(under_way.queue(), count, SHORT_SECS)
        first = [under_way.start() for _ in range(3)]
        for worker in first:
            worker.wait_until_ready()
        for worker in first:
            worker.stop()
            under_way.start().wait_until_ready()
            under_way.heal()
        under_way.wait_until_left()
        for worker in under_way.workers:
            worker.stop()
        return under_way.result()


def poison(options: Options) -> Result:
    with run(options.command, options.deadline_secs) as under_way:
        url = under_way.queue(VisibilityTimeout="30")
        parts = 10
        bad = 0
        for part in range(parts):
            under_way.fill(url, options.tasks(TINY) * 9 // 10 // parts, prefix=f"{part}-")
            bodies = ["not a task", "{", call_body("nowhere.task", 1), call_body("chaos_tasks.work")]
            bodies = [bodies[number % len(bodies)] for number in range(options.tasks(TINY) // 10 // parts)]
            under_way.at.send(url, bodies)
            bad += len(bodies)
        under_way.start()
        under_way.wait_until_ended(len(under_way.sent))
        under_way.wait_until_left(bad)
        under_way.workers[0].stop()
        result = under_way.result(left_expected=bad)
        result.notes.append(f"{bad} poison")
        return result


def long_task(options: Options) -> Result:
    with run(options.command, options.long_secs + options.deadline_secs) as under_way:
        url = under_way.queue()
        under_way.at.send(url, [call_body("chaos_tasks.hold_the_interpreter", "long", options.long_secs)])
        under_way.sent.add("long")
        under_way.start(options=["--concurrency", "1"])
        wait_until(lambda: any(value == "long" for _, _, value in under_way.notes()), 30, "the long task begins")
        under_way.fill(url, options.tasks(500))
        under_way.wait_until_left()
        under_way.workers[0].stop()
        result = under_way.result()
        begun = sum(1 for what, _, value in under_way.notes() if (what, value) == ("begin", "long"))
        result.tasks_a_sec = None
        result.notes.append(f"{options.long_secs:.0f} s on a queue of {VISIBILITY_SECS} s: begun {begun} time(s)")
        if begun != 1:
            result.failures.append("the long task did not run once")
        return result


def fifo(options: Options) -> Result:
    groups, length = 50, options.tasks(40)
    with run(options.command, options.deadline_secs) as under_way:
        url = under_way.queue(f"{QUEUE}.fifo", FifoQueue="true", VisibilityTimeout="2")
        under_way.start(f"{QUEUE}.fifo")
        for step in range(length):
            values = [f"{group}-{step}" for group in range(groups)]
            tasks = ["crash_first" if (step * groups + group) % 97 == 50 else "work" for group in range(groups)]
            bodies = [call_body(f"chaos_tasks.{task}", value) for task, value in zip(tasks, values)]
            ids = [f"g{group}" for group in range(groups)]
            under_way.at.send(url, bodies, MessageGroupId=ids, MessageDeduplicationId=values)
            under_way.sent.update(values)
        under_way.wait_until_left()
        under_way.workers[0].stop()
        result = under_way.result()
        result.tasks_a_sec = None
        wrong = out_of_order(under_way)
        result.notes.append(f"{groups} groups, {result.cut_short} crashes, {wrong} out of order")
        if wrong:
            result.failures.append("out of order")
        return result


def out_of_order(under_way: Run) -> int:
    """Tasks that began before the one before them in their group had ended."""
    done: dict[str, int] = defaultdict(lambda: -1)
    wrong = 0
    for what, _, value in under_way.notes():
        group, _, step = value.partition("-")
        if what == "begin":
            wrong += int(step) > done[group] + 1
        else:
            done[group] = max(done[group], int(step))
    return wrong


def hundred_queues(options: Options) -> Result:
    with run(options.command, options.deadline_secs) as under_way:
        for number in range(100):
            under_way.fill(under_way.queue(f"{QUEUE}-{number}"), options.tasks(100), prefix=f"{number}-")
        under_way.start(f"{QUEUE}-*")
        under_way.wait_until_left()
        under_way.workers[0].stop()
        return under_way.result()


def backlog(options: Options) -> Result:
    """So many waiting, a hundredth of which always fails; memory and file descriptors are looked at on the way."""
    with run(options.command, options.deadline_secs + options.backlog / 500) as under_way:
        url = under_way.queue(VisibilityTimeout="60")
        failing = options.backlog // 100
        bodies = [call_body("chaos_tasks.fail", f"bad-{number}") for number in range(failing)]
        good = options.backlog - failing
        for part in range(10):
            under_way.at.send(url, bodies[part::10])
            under_way.fill(url, good // 10, prefix=f"{part}-")
        worker = under_way.start(options=["--loglevel", "CRITICAL"])
        used: list[tuple[int, int, int]] = []
        end = time.monotonic() + under_way.deadline_secs
        left = options.backlog
        while left > failing and time.monotonic() < end:
            left = under_way.left()
            family = [worker.process.pid, *descendants(worker.process.pid)]
            if len(family) > CONCURRENCY:
                used.append((left, sum(map(resident_kib, family)), sum(map(descriptors, family))))
            time.sleep(0.1)
        worker.stop()
        result = under_way.result(left_expected=failing)
        began = [row for row in used if row[0] < options.backlog * 9 // 10] or used
        if began:
            (_, first_kib, first_open), most_kib = began[0], max(kib for _, kib, _ in began)
            most_open = max(count for _, _, count in began)
            result.notes.append(
                f"{options.backlog:,} of which {failing:,} fail: the worker's processes together "
                f"{first_kib >> 10} MiB, at most {most_kib >> 10}; {first_open} descriptors, at most {most_open}"
            )
        return result


def fairness(options: Options) -> Result:
    """`slow` has 200 tasks of 200 ms; 2,000 no-ops arrive on `fast` meanwhile, each with the time of its sending."""
    slow_count, fast_count = options.tasks(200), options.tasks(2_000)
    with run(options.command, options.deadline_secs) as under_way:
        slow, fast = under_way.queue("slow"), under_way.queue("fast")
        under_way.fill(slow, slow_count, 0.2, prefix="slow-")
        under_way.start("slow", "fast")
        wait_until(lambda: under_way.ended() > 0, 30, "the first slow task")
        ideal_secs = slow_count * 0.2 / (CONCURRENCY - 1)
        began = time.monotonic()
        for number in range(fast_count):
            while time.monotonic() < began + number * ideal_secs * 0.9 / fast_count:
                time.sleep(0.001)
            value = f"fast-{number}-{time.monotonic():.6f}"
            under_way.at.call("SendMessage", QueueUrl=fast, MessageBody=call_body("chaos_tasks.work", value))
            under_way.sent.add(value)
        under_way.wait_until_left()
        under_way.workers[0].stop()
        result = under_way.result()
        begins = {value: at for what, at, value in reversed(list(under_way.notes())) if what == "begin"}
        waits = sorted(at - float(value.split("-")[2]) for value, at in begins.items() if value.startswith("fast-"))
        slow_times = [at for _, at, value in under_way.notes() if value.startswith("slow-")]
        result.tasks_a_sec = None
        if waits and slow_times:
            p99_ms = waits[int(len(waits) * 0.99)] * 1000
            took = max(slow_times) - min(slow_times)
            result.notes.append(f"fast: p99 wait {p99_ms:.0f} ms; slow: {took:.1f} s (ideal {ideal_secs:.1f})")
            if p99_ms >= 50:
                result.failures.append("fast tasks wait 50 ms or more")
            if took > ideal_secs * 1.1:
                result.failures.append("slow queue takes over 10 % longer")
        return result


def lost_send_replies(options: Options) -> Result:
    """A program sends with `.delay` while replies to its sends are lost; then a worker runs what came."""
    count = options.tasks(1_000)
    with run(options.command, options.deadline_secs) as under_way:
        under_way.queue()
        under_way.inject(*(f"{action}:drop-after:0.05" for action in ("SendMessage", "SendMessageBatch")))
        code = (
            "from pyqs import task\n"
            "import chaos_tasks\n"
            f"work = task(queue={QUEUE!r}, custom_function_path='chaos_tasks.work')(chaos_tasks.work)\n"
            f"for number in range({count}): work.delay(str(number))\n"
        )
        python = sys.executable if options.is_ours else str(Path(options.command[0]).with_name("python"))
        subprocess.run([python, "-c", code], cwd=HERE, env=under_way.at.environment, check=True)
        under_way.sent.update(map(str, range(count)))
        under_way.inject()
        under_way.start()
        under_way.wait_until_left()
        under_way.workers[0].stop()
        return under_way.result()


def descendants(pid: int) -> list[int]:
    found = []
    for child in [int(name) for name in _children_file(pid)]:
        found += [child, *descendants(child)]
    return found


def _children_file(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


def resident_kib(pid: int) -> int:
    """Memory of its own and its part of what it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def descriptors(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


SCENARIOS = {
    "quiet": Scenario("nothing goes wrong", with_faults()),
    "errors": Scenario("5 % of requests: 500", with_faults("error:0.05"), ratio_least=0.7),
    "throttled": Scenario("5 % of requests: throttled", with_faults("throttle:0.05"), ratio_least=0.7),
    "drop-before": Scenario("5 % of connections drop, not done", with_faults("drop-before:0.05"), ratio_least=0.7),
    "drop-deletes": Scenario(
        "5 % of deletes: done, reply lost",
        with_faults("DeleteMessageBatch:drop-after:0.05", "DeleteMessage:drop-after:0.05"),
        duplicates_allowed=True,
        ratio_least=0.7,
    ),
    "drop-receives": Scenario(
        "5 % of receives: done, reply lost",
        with_faults("ReceiveMessage:drop-after:0.05"),
        duplicates_allowed=True,
        ratio_least=0.7,
    ),
    "drop-sends": Scenario("5 % of sends: done, reply lost", lost_send_replies, duplicates_allowed=True),
    "latency": Scenario("replies 200 ms to 2 s late", with_faults("delay-after=200-2000", count=4_000)),
    "endpoint-paused": Scenario("endpoint stops for 10 s", with_trouble(pause_endpoint)),
    "endpoint-killed": Scenario(
        "endpoint killed, back after 5 s", with_trouble(restart_endpoint, is_durable=True), duplicates_allowed=True
    ),
    "tasks-killed": Scenario("10 task processes killed", with_trouble(kill_task_processes), duplicates_allowed=True),
    "manager-killed": Scenario(
        "manager killed 3 times", with_trouble(kill_manager), duplicates_allowed=True, original=False
    ),
    "supervisor-killed": Scenario(
        "supervisor killed, worker restarted", with_trouble(kill_supervisor), duplicates_allowed=True
    ),
    "worker-paused": Scenario("worker stopped longer than leases", with_trouble(pause_worker)),
    "rolling-restart": Scenario("three workers restarted in turn", rolling_restart),
    "poison": Scenario("10 % poison", poison, ratio_least=0.9),
    "long-task": Scenario("a task longer than its lease", long_task),
    "fifo": Scenario("FIFO with crashes", fifo, duplicates_allowed=True, original=False),
    "queues": Scenario("100 queues on one worker", hundred_queues),
    "backlog": Scenario("a long queue, 1 % fails", backlog, original=False),
    "fairness": Scenario("slow and fast queues", fairness),
}
