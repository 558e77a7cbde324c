"""Values that JSON has no word for: how each declared type is written, and read again.

What is written can be read by a worker of the original PyQS too: text for dates, Decimal and UUID, an Enum's value, a
dict for a dataclass or a pydantic model. ``None`` stays ``None`` everywhere.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Callable, Optional
from uuid import UUID

from ._signature import Parameters, parameters_of

TEXT, NUMBER, BOOLEAN, NULL, LIST, OBJECT = "text", "number", "boolean", "null", "list", "object"
ALL = frozenset((TEXT, NUMBER, BOOLEAN, NULL, LIST, OBJECT))


def kind_of(value: Any) -> str:
    """What a value read from JSON is there."""
    if isinstance(value, str):
        return TEXT
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return NUMBER
    if isinstance(value, (list, tuple)):
        return LIST
    return NULL if value is None else OBJECT


class Converter:
    """How values of one declared type travel."""

    kinds: frozenset[str] = ALL
    """What they are in JSON."""
    is_kombus = False
    """Whether Celery's own JSON carries them, with their types."""
    name = ""
    """The declared type, for people."""

    def is_typed(self, value: Any) -> bool:
        """Whether this is, or holds, a value of the declared types: only then it needs to be written."""
        raise NotImplementedError

    def encode(self, value: Any) -> Any:
        """The value as JSON can carry it. Raises ``TypeError`` for what is not as declared."""
        raise NotImplementedError

    def decode(self, value: Any) -> Any:
        """The value again. Raises anything for what ``encode`` has not written."""
        raise NotImplementedError

    def is_mine(self, value: Any) -> bool:
        """Whether ``encode`` may have written this."""
        return kind_of(value) in self.kinds


def encode(converter: Optional[Converter], value: Any) -> Any:
    """As the converter does; ``None`` is of what JSON carries as it is."""
    return value if converter is None or value is None else converter.encode(value)


def decode(converter: Optional[Converter], value: Any) -> Any:
    """As the converter does."""
    return value if converter is None or value is None else converter.decode(value)


class Leaf(Converter):
    """One class of the standard library."""

    def __init__(
        self,
        cls: type,
        kind: str,
        write: Callable[[Any], Any],
        read: Callable[[Any], Any],
        is_kombus: bool = True,
    ) -> None:
        self.kinds = frozenset((kind,))
        self.name = cls.__name__
        self.is_kombus = is_kombus
        self._cls = cls
        self._write = write
        self._read = read

    def is_typed(self, value: Any) -> bool:
        return isinstance(value, self._cls)

    def encode(self, value: Any) -> Any:
        check(isinstance(value, self._cls), self.name, value)
        return self._write(value)

    def decode(self, value: Any) -> Any:
        return self._read(value)


def check(is_right: bool, declared: str, value: Any) -> None:
    """Raises ``TypeError`` for a value that is not what was declared."""
    if not is_right:
        raise TypeError(f"{declared} is declared, and there is {article(type(value).__name__)}")


def article(noun: str) -> str:
    """``a dict``, ``an Order``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _read_datetime(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _read_date(text: str) -> date:
    # A datetime is a date too.
    return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)


def _write_timedelta(value: timedelta) -> float:
    seconds = value.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


LEAVES: dict[Any, Converter] = {
    datetime: Leaf(datetime, TEXT, datetime.isoformat, _read_datetime),
    date: Leaf(date, TEXT, lambda value: value.isoformat(), _read_date),
    time: Leaf(time, TEXT, time.isoformat, time.fromisoformat),
    timedelta: Leaf(timedelta, NUMBER, _write_timedelta, lambda seconds: timedelta(seconds=seconds), is_kombus=False),
    Decimal: Leaf(Decimal, TEXT, str, Decimal),
    UUID: Leaf(UUID, TEXT, str, UUID),
    bytes: Leaf(
        bytes,
        TEXT,
        lambda value: base64.b64encode(value).decode(),
        lambda text: base64.b64decode(text, validate=True),
    ),
}
"""What is written alone."""


class Member(Converter):
    """A member of an Enum: its value, where JSON carries the values of all members, else its name."""

    def __init__(self, cls: type[enum.Enum]) -> None:
        self.name = cls.__name__
        self._cls = cls
        values = [member.value for member in cls.__members__.values()]
        self._is_by_value = all(type(value) in (str, int, float, bool) for value in values)
        self.kinds = frozenset(map(kind_of, values)) if self._is_by_value else frozenset((TEXT,))

    def is_typed(self, value: Any) -> bool:
        return isinstance(value, self._cls)

    def encode(self, value: Any) -> Any:
        check(isinstance(value, self._cls), self.name, value)
        return value.value if self._is_by_value else value.name

    def decode(self, value: Any) -> Any:
        return self._cls(value) if self._is_by_value else self._cls[value]


class Record(Converter):
    """A dataclass: a dict of the fields that its constructor takes."""

    kinds = frozenset((OBJECT,))

    def __init__(self, cls: type, converter_of: Callable[[type, str], Optional[Converter]]) -> None:
        self.name = cls.__name__
        self._cls = cls
        self._converter_of = converter_of
        self._fields: Optional[dict[str, Optional[Converter]]] = None

    def fields(self) -> dict[str, Optional[Converter]]:
        """By name. Asked for when they are needed, since a dataclass may hold itself."""
        if self._fields is None:
            names = [field.name for field in dataclasses.fields(self._cls) if field.init]
            lacking = Parameters(parameters_of(self._cls) or ()).missing(self.name, (), dict.fromkeys(names))
            if lacking:
                raise TypeError(f"{self.name} can't be made again of its fields: it needs {', '.join(lacking)}")
            self._fields = {name: self._converter_of(self._cls, name) for name in names}
        return self._fields

    def is_typed(self, value: Any) -> bool:
        return isinstance(value, self._cls)

    def encode(self, value: Any) -> Any:
        # One of a subclass has what this one's constructor doesn't take.
        check(type(value) is self._cls, self.name, value)
        written = {}
        for name, converter in self.fields().items():
            try:
                written[name] = encode(converter, getattr(value, name))
            except TypeError as error:
                raise TypeError(f"{self.name}.{name}: {error}") from None
        return written

    def decode(self, value: Any) -> Any:
        fields = self.fields()
        return self._cls(**{name: decode(fields.get(name), item) for name, item in value.items()})

    def is_mine(self, value: Any) -> bool:
        return isinstance(value, dict) and value.keys() == self.fields().keys()


class Model(Converter):
    """What pydantic (2 or later) writes and reads: its models and dataclasses, alone or as a union of them."""

    def __init__(self, declared: Any, classes: Sequence[type]) -> None:
        self.name = " or ".join(cls.__name__ for cls in classes)
        self.kinds = ALL if any(getattr(cls, "__pydantic_root_model__", False) for cls in classes) else Record.kinds
        self._declared = declared
        self._classes = classes
        self._known: Any = None

    def is_typed(self, value: Any) -> bool:
        return isinstance(value, tuple(self._classes))

    def encode(self, value: Any) -> Any:
        check(type(value) in self._classes, self.name, value)
        adapter, by_name = self._adapter()
        written = adapter.dump_python(value, mode="json", by_alias=not by_name, round_trip=True)
        if len(self._classes) > 1 and type(self.decode(written)) is not type(value):
            raise TypeError(f"pydantic can't tell {article(type(value).__name__)} among {self.name}; give each a tag")
        return written

    def decode(self, value: Any) -> Any:
        adapter, by_name = self._adapter()
        # As JSON, in which strict models take text for a date.
        return adapter.validate_json(json.dumps(value), **({"by_name": True, "by_alias": False} if by_name else {}))

    def _adapter(self) -> tuple[Any, bool]:
        """Made when it is needed, by when the models are complete; and whether fields can be read by their names,
        which are the same both ways, as aliases need not be."""
        if self._known is None:
            import pydantic

            version = tuple(int(part) for part in pydantic.VERSION.split(".")[:2])
            self._known = pydantic.TypeAdapter(self._declared), version >= (2, 11)
        return self._known  # type: ignore[no-any-return]


class Many(Converter):
    """A list, or what is written as one: a tuple of any length, a set."""

    kinds = frozenset((LIST,))

    def __init__(self, build: Callable[[Any], Any], item: Optional[Converter]) -> None:
        self.name = f"{build.__name__}[{item.name}]" if item else build.__name__
        self.is_kombus = build is not set and build is not frozenset and item is not None and item.is_kombus
        self._item = item
        self._build = build
        self._is_set = build in (set, frozenset)

    def is_typed(self, value: Any) -> bool:
        if isinstance(value, (set, frozenset)):
            return self._is_set
        item = self._item
        return item is not None and isinstance(value, (list, tuple)) and any(item.is_typed(one) for one in value)

    def encode(self, value: Any) -> Any:
        check(isinstance(value, (set, frozenset) if self._is_set else (list, tuple)), self.name, value)
        written = [encode(self._item, one) for one in value]
        # In one order in all processes: FIFO queues compare bodies.
        return sorted(written, key=repr) if self._is_set else written

    def decode(self, value: Any) -> Any:
        check(isinstance(value, list), self.name, value)
        return self._build(decode(self._item, one) for one in value)


class Row(Converter):
    """A tuple of so many, each of its own type."""

    kinds = frozenset((LIST,))

    def __init__(self, items: Sequence[Optional[Converter]]) -> None:
        self.name = f"tuple of {len(items)}"
        self.is_kombus = all(item is None or item.is_kombus for item in items)
        self._items = items

    def is_typed(self, value: Any) -> bool:
        return isinstance(value, (list, tuple)) and any(
            item is not None and item.is_typed(one) for item, one in zip(self._items, value)
        )

    def encode(self, value: Any) -> Any:
        check(isinstance(value, (list, tuple)) and len(value) == len(self._items), self.name, value)
        return [encode(item, one) for item, one in zip(self._items, value)]

    def decode(self, value: Any) -> Any:
        check(isinstance(value, list) and len(value) == len(self._items), self.name, value)
        return tuple(decode(item, one) for item, one in zip(self._items, value))


class Table(Converter):
    """A dict whose values, or keys, are of a declared type."""

    kinds = frozenset((OBJECT,))

    def __init__(self, key: Optional[Converter], value: Optional[Converter]) -> None:
        self.name = "dict"
        self.is_kombus = key is None and value is not None and value.is_kombus
        self._key = key
        self._value = value

    def is_typed(self, value: Any) -> bool:
        key, item = self._key, self._value
        return isinstance(value, dict) and (
            (key is not None and any(key.is_typed(one) for one in value))
            or (item is not None and any(item.is_typed(one) for one in value.values()))
        )

    def encode(self, value: Any) -> Any:
        check(isinstance(value, dict), self.name, value)
        return {encode(self._key, key): encode(self._value, item) for key, item in value.items()}

    def decode(self, value: Any) -> Any:
        check(isinstance(value, dict), self.name, value)
        return {decode(self._key, key): decode(self._value, item) for key, item in value.items()}


class Key(Converter):
    """A dict's key that is no text: JSON makes it one."""

    kinds = frozenset((TEXT,))

    def __init__(self, key: Optional[Converter]) -> None:
        self._key = key

    def is_typed(self, value: Any) -> bool:
        return self._key is not None and self._key.is_typed(value)

    def encode(self, value: Any) -> Any:
        return json.dumps(encode(self._key, value))

    def decode(self, value: Any) -> Any:
        return decode(self._key, json.loads(value))


class Unresolved(Converter):
    """A field whose annotation can't be resolved: what JSON carries as it is goes, all else needs the annotation."""

    def __init__(self, why: str) -> None:
        self.name = why

    def is_typed(self, value: Any) -> bool:
        return False

    def encode(self, value: Any) -> Any:
        if type(value) not in (str, int, float, bool, list, tuple, dict):
            raise TypeError(self.name)
        return value

    def decode(self, value: Any) -> Any:
        return value


class Choice(Converter):
    """One of several types, told apart by what they are in JSON."""

    def __init__(self, members: Sequence[Converter], native_kinds: frozenset[str]) -> None:
        self.name = " or ".join(member.name for member in members)
        self.kinds = native_kinds.union(*(member.kinds for member in members))
        self.is_kombus = all(member.is_kombus for member in members)
        self._members = members
        self._native_kinds = native_kinds

    def is_typed(self, value: Any) -> bool:
        return any(member.is_typed(value) for member in self._members)

    def encode(self, value: Any) -> Any:
        for member in self._members:
            if member.is_typed(value):
                self._check_distinct()
                return member.encode(value)
        check(kind_of(value) in self._native_kinds, self.name, value)
        return value

    def decode(self, value: Any) -> Any:
        for member in self._members:
            if member.is_mine(value):
                return member.decode(value)
        check(kind_of(value) in self._native_kinds, self.name, value)
        return value

    def _check_distinct(self) -> None:
        members = self._members
        for number, member in enumerate(members):
            shared = next((other for other in members[:number] if _look_alike(member, other)), None)
            other_name = shared.name if shared else "what JSON carries as it is"
            if shared or not member.kinds.isdisjoint(self._native_kinds):
                raise TypeError(f"{member.name} and {other_name} can't be told apart in a message; declare one of them")


def _look_alike(one: Converter, other: Converter) -> bool:
    if isinstance(one, Record) and isinstance(other, Record):
        return one.fields().keys() == other.fields().keys()
    return not one.kinds.isdisjoint(other.kinds)
