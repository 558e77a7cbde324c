"""The supervisor, with a manager and task processes that follow a script: real forks, signals and sockets."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from support.processes import Process, is_alive
from support.waiting import eventually

Start = Callable[[str], Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a Python program that has all of ``scripted`` at hand."""
    running: list[Process] = []

    def start(code: str) -> Process:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            "PYTHONUNBUFFERED": "1",
        }
        process = Process([sys.executable, "-c", f"from scripted import *\n{code}"], env=environment)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()


ECHO = """
def manager(control):
    pid, sock = control.fork(7)
    sock.sendall(b"hello")
    say("task process", pid, "says", sock.recv(100).decode())
    say("told", control.receive())
    sock.close()
    say("told", control.receive())
    return 0

def task(sock):
    sock.sendall(sock.recv(100).upper())
    wait_for_end(sock)
"""


def test_the_manager_gets_task_processes_and_stops(start: Start) -> None:
    process = start(ECHO + "run(manager, task)")
    pid = int(process.wait_for(r"task process (\d+) says HELLO").group(1))
    process.wait_for(f"Running ProcessWorker, pid: {pid}")
    process.send_signal(signal.SIGTERM)
    process.wait_for(r"told \{'stop': \{'signal': 'SIGTERM', 'now': False\}\}")
    process.wait_for(r"told \{'died': \{'process': 7, 'signal': None, 'code': 0\}\}")
    assert process.wait() == 0
    assert "[INFO]: Received shutdown signal 15" in process.output
    assert "Graceful shutdown." in process.output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_each_signal_stops(start: Start, signum: signal.Signals) -> None:
    process = start(ECHO + "run(manager, task)")
    process.wait_for("says HELLO")
    process.send_signal(signum)
    process.wait_for(rf"told \{{'stop': \{{'signal': '{signum.name}', 'now': False\}}\}}")
    assert process.wait() == 0


def test_a_signal_to_the_whole_group_counts_once(start: Start) -> None:
    process = start(ECHO + "run(manager, task)")
    process.wait_for("says HELLO")
    os.killpg(process.pid, signal.SIGINT)
    process.wait_for("'now': False")
    assert process.wait() == 0
    assert "'now': True" not in process.output


def test_a_second_signal_stops_now(start: Start) -> None:
    process = start("""
def manager(control):
    say("up")
    say("told", control.receive())
    say("told", control.receive())
    return 0
run(manager)
""")
    process.wait_for("up")
    process.send_signal(signal.SIGTERM)
    process.wait_for("told .*'now': False")
    process.send_signal(signal.SIGTERM)
    process.wait_for("told .*'now': True")
    assert process.wait() == 0


def test_what_does_not_stop_is_killed(start: Start) -> None:
    process = start("""
import pyqs._supervisor
pyqs._supervisor.KILL_AFTER_NOW_SECS = 0.1
def manager(control):
    say("up", control.fork(1)[0])
    wait_for_ever()
def task(sock):
    wait_for_ever()
run(manager, task)
""")
    pid = int(process.wait_for(r"up (\d+)").group(1))
    process.send_signal(signal.SIGTERM)
    process.wait_for("Graceful shutdown")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    process.wait_for(r"\[ERROR\]: Killing what has not stopped in time")
    assert not is_alive(pid)


def test_a_manager_that_keeps_no_limit_is_killed(start: Start) -> None:
    process = start("""
import pyqs._supervisor
pyqs._supervisor.KILL_AFTER_TASKS_SECS = 0.1
def manager(control):
    say("up")
    wait_for_ever()
run(manager, shutdown_timeout=0.1)
""")
    process.wait_for("up")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    process.wait_for(r"\[ERROR\]: Killing what has not stopped in time")


def test_a_limit_for_tasks_leaves_the_manager_its_time_to_stop(start: Start) -> None:
    process = start("""
import pyqs._supervisor
pyqs._supervisor.KILL_AFTER_NOW_SECS = 0.1
def manager(control):
    say("up")
    say("told", control.receive())
    threading.Event().wait(1)  # as for an open long poll
    say("stopped")
    return 0
run(manager, shutdown_timeout=0)
""")
    process.wait_for("up")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert "stopped" in process.output


def test_deaths_are_told(start: Start) -> None:
    process = start("""
def manager(control):
    pid, _ = control.fork(1)
    os.kill(pid, signal.SIGKILL)
    say("told", control.receive())
    control.fork(2)
    control.send(kill={"process": 2})
    say("told", control.receive())
    _, sock = control.fork(3)
    sock.sendall(b"leave")
    say("told", control.receive())
    control.send(fatal={"message": "that is all"})
    return 1
def task(sock):
    if sock.recv(100) == b"leave":
        os._exit(5)
run(manager, task)
""")
    process.wait_for(r"told \{'died': \{'process': 1, 'signal': 9, 'code': None\}\}")
    process.wait_for(r"told \{'died': \{'process': 2, 'signal': 9, 'code': None\}\}")
    process.wait_for(r"told \{'died': \{'process': 3, 'signal': None, 'code': 5\}\}")
    assert process.wait() == 1


def test_what_is_fatal_is_one_line(start: Start) -> None:
    process = start("""
def manager(control):
    control.send(fatal={"message": "no credentials; give some"})
    return 1
run(manager, log_level="WARN")
""")
    assert process.wait() == 1
    assert process.output == "pyqs: no credentials; give some\n"


def test_the_managers_log_is_ours(start: Start) -> None:
    process = start("""
def manager(control):
    control.send(log={"level": 30, "message": "100% of %s"})
    control.send(log={"level": 10, "message": "unheard"})
    control.receive()
    return 0
run(manager)
""")
    process.wait_for(r"^\[WARNING\]: 100% of %s$")
    assert process.stop() == 0
    assert "unheard" not in process.output


def test_a_dead_manager_is_replaced(start: Start) -> None:
    process = start("""
def manager(control):
    if not os.path.exists(flag):
        open(flag, "w").close()
        say("first", control.fork(1)[0])
        os.kill(os.getpid(), signal.SIGKILL)
    say("second", control.fork(1)[0])
    say("told", control.receive())
    return 0
def task(sock):
    wait_for_end(sock)
    say("left", os.getpid())
import tempfile
flag = os.path.join(tempfile.mkdtemp(), "flag")
run(manager, task)
""")
    first = process.wait_for(r"first (\d+)").group(1)
    process.wait_for(f"left {first}")
    process.wait_for(r"\[ERROR\]: The manager \(pid \d+\) was killed by SIGKILL .*starting another at once")
    second = process.wait_for(r"second (\d+)").group(1)
    assert process.stop() == 0
    # The first one's task process had the same number; its death is not the second one's business.
    process.wait_for(r"told \{'stop'")
    process.wait_for(f"left {second}")


def test_a_manager_that_keeps_dying_is_slowed_down(start: Start) -> None:
    process = start("""
def manager(control):
    return 3
run(manager)
""")
    process.wait_for(r"ended with code 3 .*another at once")
    process.wait_for(r"ended with code 3 .*another in 0.5 seconds")
    process.wait_for(r"ended with code 3 .*another in 1.0 seconds")
    assert process.stop() == 0


@pytest.mark.parametrize("junk", ['b"no json\\n"', 'b"[1]\\n"', 'b"{\\"fork\\": 1}\\n"', 'b"x" * 2_000_000'])
def test_a_manager_that_talks_nonsense_is_replaced(start: Start, junk: str) -> None:
    process = start(f"""
def manager(control):
    control.socket.sendall({junk})
    wait_for_ever()
run(manager)
""")
    process.wait_for(r"\[ERROR\]: Manager \d+ sends what is no message of its own")
    process.wait_for("was killed by SIGKILL .*starting another")
    assert process.stop() == 0


def test_when_the_supervisor_is_killed_all_end(start: Start) -> None:
    process = start("""
def manager(control):
    pid, sock = control.fork(1)
    say("pids", os.getpid(), pid)
    return 0 if control.receive() is None else 1
run(manager)
""")
    pids = process.wait_for(r"pids (\d+) (\d+)").groups()
    process.kill()
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids), "all have ended")


def test_the_callers_own_children_are_the_callers(start: Start) -> None:
    process = start("""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(42)"])
def manager(control):
    say("up")
    control.receive()
    return 0
try:
    run(manager)
finally:
    say("own child", child.wait())
""")
    process.wait_for("up")
    assert process.stop() == 0
    process.wait_for("own child 42")


def test_a_subreaper_reaps_orphans(start: Start) -> None:
    process = start("""
import ctypes
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
def manager(control):
    pid, sock = control.fork(1)
    say("orphan", sock.recv(100).decode())
    control.receive()
    return 0
def task(sock):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            sock.sendall(str(os.getpid()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    wait_for_end(sock)
run(manager, task)
""")
    orphan = int(process.wait_for(r"orphan (\d+)").group(1))
    # Reaped, not just dead: a zombie would still have its entry.
    eventually(lambda: not Path(f"/proc/{orphan}").exists(), "the orphan is reaped")
    assert process.stop() == 0


def test_task_processes_end_in_their_own_time(start: Start) -> None:
    """A signal to a task process does nothing, and what it starts does not inherit that."""
    process = start("""
def manager(control):
    pid, sock = control.fork(1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(pid, signum)
    sock.sendall(b"go")
    say("child", sock.recv(100).decode())
    control.receive()
    return 0
def task(sock):
    sock.recv(100)
    import subprocess
    child = subprocess.Popen(["sleep", "1000"])
    child.terminate()
    sock.sendall(str(child.wait()).encode())
    wait_for_end(sock)
run(manager, task)
""")
    process.wait_for(r"child -15")
    assert process.stop() == 0


def test_what_the_caller_set_up_is_there(start: Start) -> None:
    process = start("""
import atexit, threading
state = {"set": "up"}
atexit.register(lambda: say("atexit in", os.getpid()))
def manager(control):
    _, sock = control.fork(1)
    say("state", sock.recv(100).decode())
    control.receive()
    return 0
def task(sock):
    sock.sendall(state["set"].encode())
    threading.Thread(target=lambda: (wait_for_end(sock), say("thread awaited"))).start()
    print("buffered", end="")
run(manager, task)
""")
    process.wait_for("state up")
    assert process.stop() == 0
    process.wait_for("thread awaited")
    process.wait_for("buffered")
    # The caller's own end is run once, in the caller.
    assert process.output.count("atexit in") == 1
    assert f"atexit in {process.pid}" in process.output


def test_preload_is_imported_once_in_the_supervisor(start: Start, tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text("import os\nos.write(1, b'imported in %d\\n' % os.getpid())\n")
    process = start(f"""
os.chdir({str(tmp_path)!r})
def manager(control):
    control.fork(1)
    say("loaded", "heavy" in sys.modules)
    control.receive()
    return 0
run(manager, preload=["heavy"])
""")
    process.wait_for("loaded True")
    assert process.stop() == 0
    assert process.output.count("imported in") == 1
    assert f"imported in {process.pid}" in process.output


def test_a_preload_that_is_not_there_is_one_line(start: Start) -> None:
    process = start("""
run(lambda control: 0, preload=["nowhere_at_all"], log_level="WARN")
""")
    assert process.wait() == 1
    assert process.output == (
        "pyqs: can't import nowhere_at_all, which --preload names: "
        "ModuleNotFoundError: No module named 'nowhere_at_all'\n"
    )


def test_logging_that_the_caller_set_up_counts(start: Start) -> None:
    process = start("""
import logging
logging.basicConfig(format="mine %(message)s", level=logging.INFO)
def manager(control):
    control.send(log={"level": 20, "message": "heard"})
    control.receive()
    return 0
run(manager, log_level="ERROR")
""")
    process.wait_for("^mine heard$")
    assert process.stop() == 0


def test_manager_worker_starts_and_stops(start: Start) -> None:
    process = start("""
import socket
from pyqs import worker
go, going = socket.socketpair()
def manager(control):
    control.fork(1)
    say("up")
    going.send(b"go")
    control.receive()
    say("told")
    return 0
def use(*_):
    before = signal.getsignal(signal.SIGTERM)
    manager_worker = worker.ManagerWorker(["q"], 1, 0, 10)
    manager_worker.start()
    go.recv(100)  # the worker works while this waits
    manager_worker.stop()
    assert signal.getsignal(signal.SIGTERM) is before
    say("stopped")
    manager_worker = worker.SimpleManagerWorker(["q"], 1, 0, 1)
    manager_worker.start()
    say("started again")
    manager_worker.sleep()
import scripted
scripted.run_worker = use
run(manager)
""")
    process.wait_for("started again")
    process.wait_for("up", count=2)
    assert process.stop() == 0


def test_a_manager_worker_ends_with_its_program(start: Start) -> None:
    process = start("""
from pyqs import worker
def manager(control):
    say("pids", os.getppid(), os.getpid(), control.fork(1)[0])
    say("told", control.receive())
    return 0
def use(*_):
    worker.ManagerWorker(["q"], 1, 0, 10).start()
    wait_for_ever()
import scripted
scripted.run_worker = use
run(manager)
""")
    pids = process.wait_for(r"pids (\d+) (\d+) (\d+)").groups()
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids), "all have ended")
    assert "'signal': 'SIGTERM', 'now': False" in process.output


def test_no_files_are_left_open(start: Start) -> None:
    """Neither the supervisor nor a task process keeps sockets of processes that are gone, or of its neighbours."""
    process = start(
        """
def count(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
def manager(control):
    counts = []
    for number in range(1, 6):
        pid, sock = control.fork(number)
        sock.recv(2)
        in_task_process = count(pid)
        sock.close()
        control.receive()
        counts.append((count(os.getppid()), in_task_process))
    say("same" if len(set(counts)) == 1 else f"different {counts}")
    control.receive()
    return 0
def task(sock):
    sock.sendall(b"up")
    wait_for_end(sock)
run(manager, task)
"""
    )
    process.wait_for("^(same|different.*)$")
    assert process.stop() == 0
    assert "\nsame\n" in process.output


def test_without_the_main_thread_it_says_so(start: Start) -> None:
    process = start("""
import threading
thread = threading.Thread(target=run, args=(lambda control: 0,))
thread.start()
thread.join()
""")
    process.wait_for("signal only works in main thread|main thread")


def test_no_stop_signal_is_lost_behind_thousands_of_others(start: Start) -> None:
    """As when children die in a storm while the supervisor waits to write a log line."""
    process = start("""
from pyqs._signals import Signals
signals = Signals()
for signum in [signal.SIGCHLD] * 5000 + [signal.SIGTERM]:
    os.kill(os.getpid(), signum)
print("found", signal.SIGTERM in signals.read())
""")
    process.wait_for("found True")
