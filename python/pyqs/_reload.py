"""``--reload``, for development: when a Python file changes, the worker starts anew with it.

A process beside the supervisor watches the files, with the package ``watchfiles``, and says when one has changed. The
worker then stops as at a signal, so tasks in progress end first, and this program is executed anew: nothing of what it
had imported is left.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
from typing import NoReturn

from . import _pyqs, _streams
from ._supervisor import Supervisor, end_child
from .errors import PyqsError

logger = logging.getLogger("pyqs")

LOOK_MILLIS = 200
"""How often the watcher looks whether its worker is still there; for so long the start waits, too."""


def run(settings: _pyqs.WorkerSettings) -> NoReturn:
    """Run a worker until it is stopped, again after each change. Raises :class:`PyqsError` without ``watchfiles``."""
    if importlib.util.find_spec("watchfiles") is None:
        raise PyqsError("--reload needs the package watchfiles: pip install 'pyqs-rs[reload]'")
    folders = _folders(settings)
    changes, watcher = _start_watcher(folders)
    supervisor = Supervisor(settings, changes=changes)
    code = 0
    try:
        supervisor.start()
        supervisor.run()
        is_changed = supervisor.is_changed
    except PyqsError as error:
        print(f"pyqs: {error}; waiting for a change", file=sys.stderr, flush=True)
        is_changed, code = False, 1
        with contextlib.suppress(KeyboardInterrupt):
            is_changed = bool(changes.recv(1))
    finally:
        # As PID 1 the supervisor has reaped it, if it has ended.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(watcher, signal.SIGKILL)
            os.waitpid(watcher, 0)
    if not is_changed:
        sys.exit(code)
    _streams.flush()
    words = sys.orig_argv[1:] if sys.version_info >= (3, 10) else sys.argv
    os.execv(sys.executable, [sys.executable, *words])


def _folders(settings: _pyqs.WorkerSettings) -> list[str]:
    """The current one, and those of the modules that the worker imports."""
    folders = [os.getcwd()]
    modules = [*settings.imports, *settings.preload, *filter(None, [settings.celery_app])]
    for module in modules:
        package = module.partition(":")[0].partition(".")[0]
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(package)
            if spec and spec.origin:
                folder = os.path.dirname(os.path.realpath(spec.origin))
                if not any(os.path.commonpath([folder, other]) == other for other in folders):
                    folders.append(folder)
    return folders


def _start_watcher(folders: list[str]) -> tuple[socket.socket, int]:
    """Fork what watches, and wait until it does: the socket on which it says something, and its pid."""
    ours, theirs = socket.socketpair()
    worker = os.getpid()
    _streams.flush()
    pid = os.fork()
    if pid == 0:
        ours.close()
        end_child(lambda: _watch(folders, worker, theirs))
    theirs.close()
    ours.recv(1)
    return ours, pid


def _watch(folders: list[str], worker: int, changes: socket.socket) -> int:
    from watchfiles import PythonFilter, watch

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)  # it ends with the worker
    looks = watch(*folders, watch_filter=PythonFilter(), rust_timeout=LOOK_MILLIS, yield_on_timeout=True)
    for looked, changed in enumerate(looks):
        if not looked:
            changes.send(b"\n")  # from here on it misses nothing
        if os.getppid() != worker:
            return 0
        if changed:
            logger.warning("%s has changed; starting anew when what runs has ended", min(path for _, path in changed))
            changes.send(b"\n")
            return 0
    return 0
