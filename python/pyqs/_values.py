"""The arguments of a call as a message carries them, and back: by the annotations of the task's function.

Only what JSON has no word for is written in another way, and the message says which arguments these are, in the
attribute ``pyqs.typed``: a JSON list of positions (from 0) and names. The worker turns exactly those into what was
passed. An argument that is not named there arrives as it is in the message, whatever the annotation says: so a task
that is annotated ``when: datetime``, and has always been sent text, still gets text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _batch, _signature
from .errors import UndecodableMessage

if TYPE_CHECKING:
    from inspect import Parameter

    from ._converters import Converter

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Of one call: by position, and by keyword."""

ATTRIBUTE = "pyqs.typed"
"""The message attribute that names the arguments to be converted."""

Place = Union[int, str]
"""Of an argument: its position, from 0, or its name."""


class ArgumentTypes:
    """How the parameters of a function are declared."""

    def __init__(
        self, function: Optional[Callable[..., Any]] = None, parameters: Optional[Iterable[Parameter]] = None
    ) -> None:
        """Those of the function itself, or these, with its names in their annotations."""
        self.is_plain = True
        """Whether JSON carries, as it is, all that is declared."""
        self._by_position: list[Optional[Converter]] = []
        self._by_name: dict[str, Optional[Converter]] = {}
        self._more: Optional[Converter] = None
        self._any_name: Optional[Converter] = None
        self._unresolved: dict[str, str] = {}
        self._positions: list[str] = []
        self._unresolved_items: Optional[str] = None
        if function and parameters is None:
            parameters = _signature.parameters_of(function, follow_wrapped=True)
        for parameter in parameters or ():
            self._add(parameter, self._converter(parameter, function))

    @classmethod
    def of_items(cls, function: Callable[..., Any]) -> ArgumentTypes:
        """Those of one call of a batch task's function."""
        try:
            return cls(function, _batch.item_parameters(function) or ())
        except Exception as error:  # as of a single parameter
            types = cls()
            types._unresolved_items = f"the annotation of its items can't be resolved ({type(error).__name__}: {error})"
            return types

    def encode(self, task: str, arguments: Arguments, is_celerys: bool = False) -> tuple[Arguments, Optional[str]]:
        """The arguments as JSON can carry them, and what ``ATTRIBUTE`` is to say; ``None``: they are as they were.

        :param is_celerys: what Celery's own JSON can carry is left to it.

        Raises ``TypeError`` for an argument that is of a declared type, but holds what is not.
        """
        if self.is_plain:
            return arguments, None
        args, kwargs = arguments
        marked: dict[Place, Any] = {}
        for place, value in places_of(arguments):
            converter = self._at(place)
            if converter is None or not converter.is_typed(value) or (is_celerys and converter.is_kombus):
                continue
            try:
                marked[place] = converter.encode(value)
            except TypeError as error:
                kind = type(value).__name__
                raise TypeError(f"{named(place)} of {task} is a {kind} that can't be sent: {error}") from None
        if not marked:
            return arguments, None
        args = tuple(marked.get(place, value) for place, value in enumerate(args))
        kwargs = {name: marked.get(name, value) for name, value in kwargs.items()}
        return (args, kwargs), json.dumps(list(marked))

    def decode(self, task: str, args: list[Any], kwargs: dict[str, Any], mark: object) -> None:
        """Turn the arguments of a message, in place, into what was passed; ``mark`` is what ``ATTRIBUTE`` says.

        Raises :class:`UndecodableMessage`.
        """
        for place in _places(mark, args, kwargs):
            converter = self._at(place)
            if converter is None:
                why = self._why_not(place) or "the function here declares no type for it that needs it"
                raise UndecodableMessage(f"{named(place)} of {task} was sent as a typed value, but {why}", "arguments")
            where: Any = args if isinstance(place, int) else kwargs
            try:
                where[place] = converter.decode(where[place])
            except Exception as error:
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                raise UndecodableMessage(
                    f"{named(place)} of {task} is no {converter.name} as it is declared ({reason})", "arguments"
                ) from error

    def advice(self, place: Place) -> str:
        """What to do about an argument that JSON can't carry."""
        why = self._why_not(place)
        if why:
            return f"; {why}, so make what it names importable in its module, or send plain values"
        if self._at(place) is not None:
            return "; it is not of the type that is declared for it"
        return (
            "; send plain values (numbers, text, lists, dicts), or declare its type in the function's annotations: "
            "datetime, date, time, timedelta, Decimal, UUID, bytes, an Enum, a dataclass or a pydantic model"
        )

    def _converter(self, parameter: Parameter, function: Any) -> Optional[Converter]:
        if parameter.annotation is parameter.empty:
            return None
        # Here, since many tasks declare nothing, and typing takes long to import.
        from . import _annotations

        try:
            return _annotations.converter_of(parameter.annotation, _annotations.names_of(function))
        except Exception as error:  # of resolving it: only a value that needs it is in trouble
            self._unresolved[parameter.name] = _annotations.unresolvable(parameter.annotation, error)
            return None

    def _add(self, parameter: Parameter, converter: Optional[Converter]) -> None:
        if converter is not None:
            self.is_plain = False
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._more = converter
        elif parameter.kind is parameter.VAR_KEYWORD:
            self._any_name = converter
        else:
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self._by_position.append(converter)
                self._positions.append(parameter.name)
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                self._by_name[parameter.name] = converter

    def _at(self, place: Place) -> Optional[Converter]:
        if isinstance(place, str):
            return self._by_name.get(place, self._any_name)
        return self._by_position[place] if place < len(self._by_position) else self._more

    def _why_not(self, place: Place) -> Optional[str]:
        """Why there is no converter where the annotation may ask for one."""
        if self._unresolved_items:
            return self._unresolved_items
        if isinstance(place, int):
            return self._unresolved.get(self._positions[place]) if place < len(self._positions) else None
        return self._unresolved.get(place)


UNKNOWN = ArgumentTypes()
"""Of a function of which nothing is known."""


def types_of(function: Callable[..., Any]) -> ArgumentTypes:
    """How the parameters of a function are declared, which is found out once."""
    known = _known.get(id(function))
    if known is None or known[0] is not function:
        types = ArgumentTypes.of_items(function) if _batch.declared(function) else ArgumentTypes(function)
        known = _known[id(function)] = function, types
    return known[1]


# By id, since callable objects need not be hashable; the function is kept, and its id with it.
_known: dict[int, tuple[Callable[..., Any], ArgumentTypes]] = {}


def places_of(arguments: Arguments) -> list[tuple[Place, Any]]:
    """The arguments of a call, each with its place."""
    args, kwargs = arguments
    return [*enumerate(args), *kwargs.items()]


def named(place: Place) -> str:
    """An argument, for people, who count from 1."""
    return f"argument {place + 1 if isinstance(place, int) else place}"


def _places(mark: object, args: list[Any], kwargs: dict[str, Any]) -> list[Place]:
    """The arguments that a mark names. It may come from anybody."""
    try:
        places = json.loads(mark) if isinstance(mark, (str, bytes)) else None
    except (ValueError, RecursionError):
        places = None
    if not isinstance(places, list) or not all(_is_place(place, args, kwargs) for place in places):
        raise UndecodableMessage(f"its attribute {ATTRIBUTE} is no list of its arguments", "arguments")
    return list(dict.fromkeys(places))


def _is_place(place: Any, args: list[Any], kwargs: dict[str, Any]) -> bool:
    return 0 <= place < len(args) if type(place) is int else isinstance(place, str) and place in kwargs
