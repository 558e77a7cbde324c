"""A task process: takes tasks from the manager and runs them, one at a time, until it is told to leave.

The channel to the manager is Rust (``pyqs-worker``, ``process/child.rs``). It must hear ``record`` as soon as the
function has returned or raised, which decides whether the message is deleted; asking for the next task says that the
hooks are done too. Nothing that a task or a hook raises ends this process; a task that kills it takes down only itself.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import traceback
from collections.abc import Awaitable
from typing import Any

from . import _producer
from ._execution import prepare
from ._pyqs import TaskChannel, WorkerSettings
from ._resolve import Resolver

logger = logging.getLogger("pyqs")


def run(channel: TaskChannel, settings: WorkerSettings) -> None:
    """Run tasks until the manager lets this process go, or is gone."""
    _producer.configure(
        region=settings.region,
        access_key_id=settings.access_key_id,
        secret_access_key=settings.secret_access_key,
        endpoint_url=settings.endpoint_url,
    )
    for module in settings.imports:
        try:
            importlib.import_module(module)
        except BaseException as error:  # sys.exit() in a module is no reason to end without a word
            logger.exception("Can't import %s, which --import names; no task runs without it", module)
            with contextlib.suppress(OSError):  # the manager is gone
                channel.cannot_start(f"can't import {module}, which --import names: {type(error).__name__}: {error}")
            sys.exit(1)
    resolver = Resolver(settings.allow, settings.registered_only)
    try:
        for job in channel:
            try:
                execution = prepare(job, channel, resolver)
                if execution:
                    execution.run(_run_coroutine)
            except BaseException:  # a logging handler that raises, say: the outcome was recorded before
                traceback.print_exc()
    except OSError as error:
        logger.error("This task process has lost its socket, which a task may have closed: %s", error)


def _run_coroutine(coroutine: Awaitable[Any]) -> None:
    import asyncio  # here, since it costs more than the rest of this process's start

    asyncio.run(coroutine)  # type: ignore[arg-type]
