"""The command ``pyqs``, and ``_main``, by which programs start a worker.

>>> from pyqs.main import _main
>>> _main(["email*", "reports"], concurrency=4)

does not return: a signal stops the worker, and the process exits.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn, Optional, Union

from . import _conflict, _logs, _pyqs, _streams
from ._supervisor import Supervisor
from .errors import PyqsError

DEFAULT_BATCH_SIZE = 10
SIMPLE_WORKER_DEFAULT_BATCH_SIZE = 1

PYQS_PREFETCH_MULTIPLIER = 2
"""PyQS's default. Who leaves it, or names it, gets this engine's own, which prefetches by time."""


def main() -> NoReturn:
    """The console script."""
    run_worker(settings_of(sys.argv[1:]))


def settings_of(words: list[str]) -> _pyqs.WorkerSettings:
    """What a command line, without the program's name, says of a worker. Any other is carried out, and exits."""
    # The commands end at Ctrl-C as other programs do; the worker handles signals itself.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    outcome = _pyqs.cli(words)
    signal.signal(signal.SIGINT, interrupt)
    if isinstance(outcome, int):
        sys.exit(outcome)
    return outcome


def _main(
    queue_prefixes: Union[str, list[str]],
    concurrency: int = 5,
    logging_level: str = "WARN",
    region: Optional[str] = None,
    access_key_id: Optional[str] = None,
    secret_access_key: Optional[str] = None,
    interval: float = 1,
    batchsize: int = DEFAULT_BATCH_SIZE,
    prefetch_multiplier: int = PYQS_PREFETCH_MULTIPLIER,
    simple_worker: bool = False,
    endpoint_url: Optional[str] = None,
    **settings: Any,
) -> NoReturn:
    """Run a worker from a program: a Django command, a script. Only on the main thread; exits the process.

    What the program has set up is there in the tasks. The defaults are PyQS's, and are not those of the command.
    Further settings are those of the command's options, as ``max_tasks_per_child=1000`` or
    ``preload=["myapp.tasks"]``.
    """
    run_worker(
        _pyqs.WorkerSettings(
            queues=[queue_prefixes] if isinstance(queue_prefixes, str) else list(queue_prefixes),
            concurrency=concurrency,
            log_level=logging_level,
            region=region,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            interval=interval,
            batchsize=batchsize,
            prefetch_multiplier=None if prefetch_multiplier == PYQS_PREFETCH_MULTIPLIER else prefetch_multiplier,
            simple_worker=simple_worker,
            endpoint_url=endpoint_url,
            **settings,
        )
    )


def run_worker(settings: _pyqs.WorkerSettings) -> NoReturn:
    """Run a worker with these settings, and exit when it has stopped."""
    _streams.open_closed_files()
    _logs.set_up(settings.log_level)
    try:
        # Before the cwd is added: it imports modules of the standard library, for which files there could stand in.
        _conflict.check()
        _add_cwd_to_path()
        supervisor = Supervisor(settings)
        supervisor.start()
        supervisor.run()
    except PyqsError as error:
        print(f"pyqs: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _add_cwd_to_path() -> None:
    """Make the modules of the current directory importable, as they are for ``python script.py`` in it."""
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        return  # it was deleted, and holds no modules
    if cwd not in sys.path:
        sys.path.insert(0, cwd)


def _set_batchsize(args: Any) -> int:
    """The batch size of PyQS's own command line. Kept for code that imports it."""
    if args.batchsize:
        return int(args.batchsize)
    return SIMPLE_WORKER_DEFAULT_BATCH_SIZE if args.simple_worker else DEFAULT_BATCH_SIZE
