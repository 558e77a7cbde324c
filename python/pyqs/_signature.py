"""Whether a function can ever take the arguments of a call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from inspect import Parameter
from typing import Any, Callable, Optional

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class Parameters:
    """What a function takes, in the form in which calls are held against it: that is done for each message."""

    def __init__(self, parameters: Iterable[Parameter] = ()) -> None:
        parameters = list(parameters)
        kinds = {parameter.kind for parameter in parameters}
        self.by_position = [parameter.name for parameter in parameters if parameter.kind in _BY_POSITION]
        self.by_name = dict.fromkeys(parameter.name for parameter in parameters if parameter.kind in _BY_NAME)
        self.takes_more = Parameter.VAR_POSITIONAL in kinds
        self.takes_any_name = Parameter.VAR_KEYWORD in kinds
        required = [parameter for parameter in parameters if parameter.default is Parameter.empty]
        self._needed = [parameter.name for parameter in required if parameter.kind in (*_BY_POSITION, *_BY_NAME)]
        self._position_only = {
            parameter.name for parameter in parameters if parameter.kind is Parameter.POSITIONAL_ONLY
        }
        needs_names = any(parameter.kind is Parameter.KEYWORD_ONLY for parameter in required)
        self._least = sys.maxsize if needs_names else len(self._needed)
        self._most = sys.maxsize if self.takes_more else len(self.by_position)

    def missing(self, task: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        """The names of arguments that the function needs and the call has not. Raises ``TypeError`` where it has one
        that the function can never take."""
        count = len(args)
        if not kwargs and self._least <= count <= self._most:
            return []
        if count > self._most:
            takes = ", ".join(self.by_position) or "none"
            raise TypeError(f"argument {self._most + 1} of {task} is one too many; by position it takes {takes}")
        for name in kwargs:
            if name not in self.by_name:
                if self.takes_any_name:
                    continue
                if name in self._position_only:
                    raise TypeError(f"argument {name} of {task} is given by name; it takes it by position only")
                takes = ", ".join(self.by_name) or "none"
                raise TypeError(f"argument {name} of {task} is unknown; by name it takes {takes}")
            if name in self.by_position[:count]:
                raise TypeError(f"argument {name} of {task} is given twice, by position and by name")
        given = self.by_position[:count]
        return [
            name for name in self._needed if name not in given and (name not in kwargs or name in self._position_only)
        ]


ANYTHING = Parameters(
    [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)],
)
"""Of a function of which nothing is known."""


def parameters_of(function: Callable[..., Any], follow_wrapped: bool = False) -> Optional[list[Parameter]]:
    """A function's parameters, with its annotations as they are written; ``None`` where it does not tell.

    :param follow_wrapped: those of what it decorates, as ``functools.wraps`` says it, in place of its own.
    """
    try:
        if sys.version_info >= (3, 14):
            from annotationlib import Format

            signature = inspect.signature(function, follow_wrapped=follow_wrapped, annotation_format=Format.FORWARDREF)
        else:
            signature = inspect.signature(function, follow_wrapped=follow_wrapped)
    except (TypeError, ValueError):
        return None
    return list(signature.parameters.values())


def as_called(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a worker calls for a function marked with ``@task``: with the decorators above ``@task``, where its module
    holds it under its name. These may take other arguments than the function."""
    module = sys.modules.get(function.__module__)
    found: Any = getattr(module, function.__name__, None)
    delay = getattr(function, "delay", None)
    return found if delay is not None and getattr(found, "delay", None) is delay else function
