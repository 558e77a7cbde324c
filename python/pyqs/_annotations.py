"""From an annotation to how values of it travel."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
from collections import abc
from datetime import date, datetime
from typing import Any, Callable, Optional, Union, cast

from ._converters import (
    ALL,
    BOOLEAN,
    LEAVES,
    LIST,
    NULL,
    NUMBER,
    OBJECT,
    TEXT,
    Choice,
    Converter,
    Key,
    Many,
    Member,
    Model,
    Record,
    Row,
    Table,
    Unresolved,
    kind_of,
)

_NATIVE_KINDS = {str: TEXT, int: NUMBER, float: NUMBER, bool: BOOLEAN, type(None): NULL, None: NULL, list: LIST}
"""What JSON carries as it is. A tuple and a dict are such, too, for what is in them."""

_UNIONS = (Union, getattr(types, "UnionType", Union))
_LISTS = (list, *(getattr(abc, name) for name in ("Sequence", "MutableSequence", "Collection", "Iterable")))
_SETS = {set: set, frozenset: frozenset, abc.Set: set, abc.MutableSet: set}
_DICTS = (dict, abc.Mapping, abc.MutableMapping)


def names_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function's annotations are written with: those of the module that defines it."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__globals__"):
        function = type(function).__call__
    found: dict[str, Any] = getattr(function, "__globals__", {})
    return found


def converter_of(annotation: Any, names: dict[str, Any]) -> Optional[Converter]:
    """How an argument of this annotation travels; ``None`` is as it is. Raises anything that resolving it raises.

    What JSON carries as it is beside other types (``Union[datetime, str]``) is left out: an argument that is such is
    not converted at all.
    """
    if annotation in _NATIVE_KINDS or annotation in ("str", "int", "float", "bool"):
        return None
    return _of(_resolved(annotation, names), is_argument=True)


def arguments_of_items(annotation: Any, names: dict[str, Any], item: type) -> Optional[tuple[Any, ...]]:
    """Of ``list[item[int, str]]``, or another sequence, ``int`` and ``str``; ``None`` where it says nothing such.
    Raises anything that resolving it raises."""
    resolved = _resolved(annotation, names)
    given = typing.get_args(resolved) if typing.get_origin(resolved) in _LISTS else ()
    if not given or typing.get_origin(given[0]) is not item:
        return None
    arguments = typing.get_args(given[0])
    return None if arguments == (Ellipsis,) else arguments


def unresolvable(annotation: Any, error: BaseException) -> str:
    """What is said of such an annotation."""
    return f"its annotation {annotation!r} can't be resolved here ({type(error).__name__}: {error})"


def _resolved(annotation: Any, names: Any, own: Optional[dict[str, Any]] = None) -> Any:
    """The annotation itself, where it is written as text, and without what ``Annotated`` adds."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    found = typing.get_type_hints(holder, names, own or {})["it"]
    if not isinstance(found, types.GenericAlias):
        return found
    # Before Python 3.10 what is text within `list["date"]` stays text.
    texts = (str, types.GenericAlias)
    given = tuple(_resolved(one, names, own) if isinstance(one, texts) else one for one in found.__args__)
    return found if given == found.__args__ else types.GenericAlias(cast(Any, found.__origin__), given)


def _of(annotation: Any, is_argument: bool = False) -> Optional[Converter]:
    while True:
        if annotation in LEAVES:
            return LEAVES[annotation]
        if hasattr(annotation, "__supertype__"):  # of NewType
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # of a `type` statement
            annotation = annotation.__value__
        else:
            break
    origin, given = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _UNIONS:
        return _of_union(given, is_argument)
    if origin is tuple:
        return _of_tuple(given)
    if origin in _SETS:
        return Many(_SETS[origin], _of(given[0]))
    if origin in _LISTS:
        item = _of(given[0])
        return Many(list, item) if item else None
    if origin in _DICTS:
        return _of_dict(*given)
    return _of_class(annotation if origin is None else origin)


def _of_class(cls: Any) -> Optional[Converter]:
    if cls in _SETS:
        return Many(_SETS[cls], None)
    if not isinstance(cls, type):
        return None
    if issubclass(cls, enum.Enum):
        return Member(cls)
    if _is_pydantics(cls):
        return Model(cls, [cls])
    return _record(cls) if dataclasses.is_dataclass(cls) else None


@functools.cache
def _record(cls: type) -> Record:
    return Record(cls, _of_field)


def _of_field(cls: type, name: str) -> Optional[Converter]:
    """How a field of a dataclass travels, whose annotation is read where it is written."""
    field = cls.__dataclass_fields__[name]  # type: ignore[attr-defined]
    # A class that inherits a field has the very field of the class that it is written in.
    owner = [base for base in cls.__mro__ if base.__dict__.get("__dataclass_fields__", {}).get(name) is field][-1]
    annotation = field.type
    names = getattr(sys.modules.get(owner.__module__), "__dict__", vars(builtins))
    try:
        return _of(_resolved(annotation, names, {cls.__name__: cls, **vars(owner)}))
    except Exception as error:
        return Unresolved(unresolvable(annotation, error))


def _is_pydantics(cls: type) -> bool:
    """Whether it is a model or a dataclass of pydantic 2 or later, which has then been imported."""
    return hasattr(cls, "__pydantic_validator__") and hasattr(cls, "__pydantic_serializer__")


def _of_tuple(given: tuple[Any, ...]) -> Optional[Converter]:
    if len(given) == 2 and given[1] is Ellipsis:
        item = _of(given[0])
        return Many(tuple, item) if item else None
    items = [_of(one) for one in given if one != ()]
    return Row(items) if any(items) else None


def _of_dict(key: Any, value: Any) -> Optional[Converter]:
    key_converter, value_converter = _of(key), _of(value)
    is_native = key_converter is None and key not in (int, float, bool)
    if is_native and value_converter is None:
        return None
    if is_native or (key_converter is not None and key_converter.kinds == {TEXT}):
        return Table(key_converter, value_converter)
    return Table(Key(key_converter), value_converter)


def _of_union(members: tuple[Any, ...], is_argument: bool) -> Optional[Converter]:
    models = [cls for cls in members if isinstance(cls, type) and _is_pydantics(cls)]
    converters: list[Converter] = []
    if len(models) > 1:
        converters.append(Model(Union[tuple(models)], models))
        members = tuple(cls for cls in members if cls not in models)
    found = [(member, _of(member)) for member in members]
    converters += [converter for _, converter in found if converter]
    if LEAVES[date] in converters and LEAVES[datetime] in converters:  # what is written of either says which
        converters.remove(LEAVES[datetime])
    if not converters:
        return None
    native = frozenset(kind for member, converter in found if converter is None for kind in _native_kinds(member))
    native = frozenset() if is_argument else native - {NULL}
    return converters[0] if len(converters) == 1 and not native else Choice(converters, native)


def _native_kinds(annotation: Any) -> frozenset[str]:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return frozenset(map(kind_of, typing.get_args(annotation)))
    cls = annotation if origin is None else origin
    if cls in _NATIVE_KINDS:
        return frozenset((_NATIVE_KINDS[cls],))
    if cls is tuple or cls in _LISTS:
        return frozenset((LIST,))
    return frozenset((OBJECT,)) if cls in _DICTS else ALL
