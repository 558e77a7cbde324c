"""What the manager must know of tasks and handlers before it can give out their messages.

It imports none of the user's modules. So each task process tells it what its own imports have declared: when it starts,
and when a task that it looks for has brought more.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

from . import _batch, _pace


class Declaration(NamedTuple):
    """Of one task or handler."""

    name: str
    """By which messages name it; a handler's is for people."""
    queue: Optional[str] = None
    """It is a handler: it takes all messages of this queue, whatever they are."""
    batch: Optional[tuple[int, float]] = None
    """It gets so many messages at once at most; a message waits so many seconds for others."""
    max_concurrency: Optional[int] = None
    """So many of it run at once, in one worker."""
    rate: Optional[tuple[int, float]] = None
    """So many of it start in so many seconds, in one worker."""


news: list[Declaration] = []
"""What the manager has not been told."""

known: list[Declaration] = []
"""All, for the managers of workers in a test's own process, of which there may be many."""


_met: dict[str, Declaration] = {}
"""What was last told of a task, by the names under which messages have it."""


def meet(name: str, function: Callable[..., Any]) -> None:
    """A message names a task: until the manager is told whether the task has limits, it gives out no other."""
    if name not in _met:
        add_task(name, function)


def add_task(name: str, function: Callable[..., Any]) -> None:
    """Have the manager told what was declared of a task, unless it was."""
    declaration = Declaration(name, None, _batch.declared(function), *_pace.declared(function))
    if _met.get(name) != declaration:
        _met[name] = declaration
        add(declaration)


def add(declaration: Declaration) -> None:
    """Have the manager told, if this is or becomes a task process."""
    news.append(declaration)
    known.append(declaration)


def take() -> list[Declaration]:
    """All that is new, to be told now."""
    taken = list(news)
    del news[: len(taken)]
    return taken
