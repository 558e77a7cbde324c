"""Whether a function can ever take the arguments of a call."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from inspect import Parameter, Signature


class Parameters:
    """What a function takes, in the form in which calls are held against it: that is done for each message."""

    def __init__(self, parameters: Iterable[Parameter] = ()) -> None:
        parameters = list(parameters)
        self.by_position = [parameter.name for parameter in parameters if _is_by_position(parameter)]
        self.by_name = dict.fromkeys(parameter.name for parameter in parameters if _is_by_name(parameter))
        self.takes_more = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
        self.takes_any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        required = [parameter for parameter in parameters if parameter.default is parameter.empty]
        self._needed = [
            parameter.name for parameter in required if _is_by_position(parameter) or _is_by_name(parameter)
        ]
        self._position_only = {
            parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_ONLY
        }
        needs_names = any(parameter.kind is parameter.KEYWORD_ONLY for parameter in required)
        self._least = sys.maxsize if needs_names else len(self._needed)
        self._most = sys.maxsize if self.takes_more else len(self.by_position)

    @classmethod
    def anything(cls) -> Parameters:
        """Those of a function that takes whatever it is given."""
        parameters = cls()
        parameters.takes_more = parameters.takes_any_name = True
        parameters._most = sys.maxsize
        return parameters

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


def _is_by_position(parameter: Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _is_by_name(parameter: Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


ANYTHING = Parameters.anything()
"""Of a function of which nothing is known."""


def signature_of(function: Callable[..., Any], follow_wrapped: bool = True) -> Signature:
    """A function's signature, with its annotations as they are written: names in them may be those of a type checker
    alone. Raises ``TypeError`` or ``ValueError`` where the function does not tell.

    :param follow_wrapped: that of what it decorates, as ``functools.wraps`` says it, in place of its own.
    """
    import inspect  # here, since it takes longer to import than all the rest

    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, follow_wrapped=follow_wrapped, annotation_format=Format.FORWARDREF)
    return inspect.signature(function, follow_wrapped=follow_wrapped)


def parameters_of(function: Callable[..., Any], follow_wrapped: bool = False) -> Optional[list[Parameter]]:
    """The parameters of a function's signature; ``None`` where it does not tell."""
    try:
        return list(signature_of(function, follow_wrapped).parameters.values())
    except (TypeError, ValueError):
        return None


def as_called(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a worker calls for a function marked with ``@task``: with the decorators above ``@task``, where its module
    holds it under its name. These may take other arguments than the function."""
    module = sys.modules.get(function.__module__)
    found: Any = getattr(module, function.__name__, None)
    delay = getattr(function, "delay", None)
    return found if delay is not None and getattr(found, "delay", None) is delay else function
