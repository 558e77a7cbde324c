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

from . import _conflict, _pyqs, _settings, _streams
from .errors import PyqsError

DEFAULT_BATCH_SIZE = 10
SIMPLE_WORKER_DEFAULT_BATCH_SIZE = 1

PYQS_PREFETCH_MULTIPLIER = 2
"""PyQS's default. Who leaves it, or names it, gets this engine's own, which prefetches by time."""

MAIN_DEFAULTS: dict[str, Any] = {
    "concurrency": 5,
    "log_level": "WARN",
    "interval": 1,
    "batchsize": DEFAULT_BATCH_SIZE,
    "simple_worker": False,
}
"""PyQS's for :func:`_main`."""


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
    concurrency: int = MAIN_DEFAULTS["concurrency"],
    logging_level: str = MAIN_DEFAULTS["log_level"],
    region: Optional[str] = None,
    access_key_id: Optional[str] = None,
    secret_access_key: Optional[str] = None,
    interval: float = MAIN_DEFAULTS["interval"],
    batchsize: int = MAIN_DEFAULTS["batchsize"],
    prefetch_multiplier: int = PYQS_PREFETCH_MULTIPLIER,
    simple_worker: bool = MAIN_DEFAULTS["simple_worker"],
    endpoint_url: Optional[str] = None,
    **settings: Any,
) -> NoReturn:
    """Run a worker from a program: a Django command, a script. Only on the main thread; exits the process.

    What the program has set up is there in the tasks. The defaults are PyQS's, and are not those of the command; what
    has its default here may be said by ``pyqs.configure``, a variable or the project's file instead.
    Further settings are those of the command's options, as ``max_tasks_per_child=1000`` or
    ``preload=["myapp.tasks"]``.
    """
    own = {
        "concurrency": concurrency,
        "log_level": logging_level,
        "interval": interval,
        "batchsize": batchsize,
        "simple_worker": simple_worker,
    }
    options = {
        "queues": [queue_prefixes] if isinstance(queue_prefixes, str) else list(queue_prefixes),
        "region": region,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "prefetch_multiplier": None if prefetch_multiplier == PYQS_PREFETCH_MULTIPLIER else prefetch_multiplier,
        "endpoint_url": endpoint_url,
        **{name: value for name, value in own.items() if value != MAIN_DEFAULTS[name]},
        **settings,
    }
    run_worker(_settings.of_worker(options, MAIN_DEFAULTS))


def run_worker(settings: _pyqs.WorkerSettings) -> NoReturn:
    """Run a worker with these settings, and exit when it has stopped."""
    _streams.open_closed_files()
    # Here, as what follows: no other command logs, and `logging` takes a fifth of the time that `--help` has.
    from . import _logs

    _logs.set_up(settings.log_level)
    try:
        # Before the cwd is added: these import modules of the standard library, for which files there could stand in.
        # Here, since no other command needs them.
        from . import _bound, _lifespan, _supervisor, decorator  # noqa: F401

        _conflict.check()
        _add_cwd_to_path()
        if settings.reload:
            from ._reload import run

            run(settings)
        supervisor = _supervisor.Supervisor(settings)
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
