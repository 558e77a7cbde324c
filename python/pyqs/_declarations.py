"""What the manager must know of tasks and handlers before it can give out their messages.

It imports none of the user's modules. So each task process tells it what its own imports have declared: when it starts,
and when a task that it looks for has brought more.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

from . import _pace


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


_paces: dict[str, _pace.Pace] = {}


def meet(name: str, function: Callable[..., Any]) -> None:
    """A message names a task: until the manager is told whether the task has limits, it gives out no other."""
    if name not in _paces:
        _paces[name] = _pace.declared(function)
        add(Declaration(name, None, _batches.get(name), *_paces[name]))


def add(declaration: Declaration) -> None:
    """Have the manager told, if this is or becomes a task process."""
    news.append(declaration)
    known.append(declaration)
    _batches[declaration.name] = declaration.batch


def add_batch(name: str, batch: tuple[int, float]) -> None:
    """Have the manager told of a task by a name under which a message has it, unless it was."""
    if _batches.get(name) != batch:
        add(Declaration(name, None, batch, *_paces.get(name, _pace.NO_PACE)))


_batches: dict[str, Optional[tuple[int, float]]] = {}


def take() -> list[Declaration]:
    """All that is new, to be told now."""
    taken = list(news)
    del news[: len(taken)]
    return taken
