"""``@pyqs.lifespan``: what a task process sets up before its first task, and closes after its last."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from ._signature import signature_of
from .errors import SettingsInvalid

if TYPE_CHECKING:
    import asyncio

    WaitFor = Callable[[Coroutine[Any, Any, Any]], Any]

logger = logging.getLogger("pyqs")

Hook = TypeVar("Hook", bound=Callable[[], Any])


def lifespan(hook: Hook) -> Hook:
    """Set up what the decorated generator, or context manager, sets up in each task process, around all of its tasks.

    >>> @pyqs.lifespan
    ... def database():
    ...     models.pool = connect()
    ...     yield
    ...     models.pool.close()
    >>> @pyqs.lifespan
    ... async def client():
    ...     async with httpx.AsyncClient() as models.client:
    ...         yield

    It runs after the fork, before the first task, and goes on when the last has ended: at a stop, or when the process
    is replaced; not when the process is killed. An ``async`` one runs on the event loop of the process's ``async def``
    tasks. Several are set up in the order in which they were declared, and closed the other way round. One that raises
    ends the process, which takes no task.

    The function takes no arguments; what it yields goes nowhere. Its module is to be one that ``--import`` or
    ``--preload`` names, or the program's that starts the worker: modules that are imported for their first task come
    too late, which is logged.
    """
    import inspect  # here, since it takes longer to import than all the rest

    if not callable(hook):
        raise SettingsInvalid(f"@lifespan is given {hook!r}; give a function with `yield`, or of a context manager")
    if inspect.iscoroutinefunction(hook):
        raise SettingsInvalid(
            f"@lifespan: {_name(hook)} has no `yield`, before which it sets up, and after which it closes"
        )
    try:
        signature_of(hook).bind()
    except TypeError as error:
        raise SettingsInvalid(f"@lifespan: {_name(hook)} is called without arguments: {error}") from None
    except ValueError:  # of a function in C, which says nothing of its parameters
        pass
    _declared.append(hook)
    if _is_too_late:
        logger.error(
            "Lifespan hook %s was declared after its task process had begun, and does not run: name its module with "
            "--import",
            _name(hook),
        )
    return hook


class Lifespan:
    """All hooks of this process: ``open`` them, and ``close`` them whatever happens between."""

    def __init__(self, wait_for: WaitFor) -> None:
        self._wait_for = wait_for
        self._open: list[tuple[Callable[..., Any], Any]] = []

    def open(self) -> None:
        """Set them up. Whatever one raises comes from here; those before it want ``close``."""
        global _is_too_late
        _is_too_late = True
        for hook in _declared:
            manager = _manager_of(hook)
            if hasattr(manager, "__aenter__"):
                manager = _Kept(manager, self._wait_for)
            manager.__enter__()
            self._open.append((hook, manager))

    def close(self) -> None:
        """Close those that are set up, the last first. What one raises is logged."""
        while self._open:
            hook, manager = self._open.pop()
            try:
                manager.__exit__(None, None, None)
            except BaseException:  # sys.exit() in one must not keep the others open
                logger.exception("Lifespan hook %s raised while it was closed", _name(hook))


def reopen() -> None:
    """What is declared from now on comes in time again: a worker in a test's own process has ended."""
    global _is_too_late
    _is_too_late = False


class _Kept:
    """An asynchronous context manager, entered and left in one task of the event loop, as those need that hold a task
    group or a cancel scope."""

    def __init__(self, manager: Any, wait_for: WaitFor) -> None:
        self._manager = manager
        self._wait_for = wait_for
        self._error: Optional[BaseException] = None

    def __enter__(self) -> None:
        self._wait_for(self._enter())
        self._raise()

    def __exit__(self, *_: object) -> None:
        self._wait_for(self._exit())
        self._raise()

    def _raise(self) -> None:
        if self._error:
            raise self._error

    async def _enter(self) -> None:
        import asyncio

        self._is_over = asyncio.Event()
        loop = asyncio.get_running_loop()
        entered: asyncio.Future[None] = loop.create_future()
        self._task = loop.create_task(self._keep(entered))
        await asyncio.wait({self._task, entered}, return_when=asyncio.FIRST_COMPLETED)

    async def _exit(self) -> None:
        self._is_over.set()
        await self._task

    async def _keep(self, entered: asyncio.Future[None]) -> None:
        try:
            async with self._manager:
                entered.set_result(None)
                await self._is_over.wait()
        except BaseException as error:  # raised outside: sys.exit() in a task would end the loop
            self._error = error


def _manager_of(hook: Callable[[], Any]) -> Any:
    """The context manager that a hook is, or gives."""
    import inspect  # here, since it takes longer to import than all the rest

    if inspect.isasyncgenfunction(hook):
        return contextlib.asynccontextmanager(hook)()
    if inspect.isgeneratorfunction(hook):
        return contextlib.contextmanager(hook)()
    manager = hook()
    if not hasattr(manager, "__aenter__") and not hasattr(manager, "__enter__"):
        raise SettingsInvalid(f"{_name(hook)} has no `yield`, and gives {manager!r}, which is no context manager")
    return manager


def _name(hook: Any) -> str:
    name = getattr(hook, "__qualname__", None)
    return f"{hook.__module__}.{name}" if name else repr(hook)


_declared: list[Callable[[], Any]] = []
_is_too_late = False
