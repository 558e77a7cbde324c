"""Arguments that JSON has no word for: the function gets back what was passed."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Callable, NewType, Optional, Union
from uuid import UUID

import pydantic
import pyqs
import pytest
from pyqs import _producer, _values, task
from pyqs._producer import Outgoing
from pyqs.errors import UndecodableMessage

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Size(str, enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Place(enum.Enum):
    HERE = (1, 2)
    THERE = (3, 4)


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass(frozen=True)
class Line:
    article: UUID
    price: Decimal
    amount: int = 1


@dataclasses.dataclass
class Order:
    number: int
    lines: list[Line]
    placed: datetime
    colour: Optional[Colour] = None
    total: Decimal = dataclasses.field(init=False, default=Decimal(0))

    def __post_init__(self) -> None:
        self.total = sum((line.price * line.amount for line in self.lines), Decimal(0))


@dataclasses.dataclass
class Tree:
    since: date
    below: list[Tree] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Created:
    at: datetime


@dataclasses.dataclass
class Deleted:
    at: datetime
    why: str


@dataclasses.dataclass
class Renamed:
    at: datetime


class Special(Created):
    pass


class User(pydantic.BaseModel):
    """A model whose names on the outside are others."""

    name: str = pydantic.Field(alias="userName")
    born: date
    limit: Decimal = Decimal("1.50")


class Team(pydantic.BaseModel):
    users: list[User]


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    at: datetime


@pydantic.dataclasses.dataclass
class Point:
    at: datetime


UserId = NewType("UserId", UUID)
UTC = timezone.utc
NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
ONE = UUID("12345678-1234-5678-1234-567812345678")
LINE = Line(ONE, Decimal("9.90"), 2)
ORDER = Order(7, [LINE], NOON, Colour.BLUE)
ADA = User(userName="Ada", born=date(1815, 12, 10))


def function_of(annotation: Any) -> Callable[..., None]:
    """A function with one argument of this annotation."""

    def function(value: Any) -> None: ...

    function.__annotations__["value"] = annotation
    return function


def sent(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[dict[str, Any], Optional[str]]:
    """The body and the mark of a call."""
    types = _values.types_of(function)
    (written_args, written_kwargs), mark = types.encode("shop.work", (args, kwargs))
    return json.loads(json.dumps({"args": written_args, "kwargs": written_kwargs})), mark


def passed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """What the function gets."""
    body, mark = sent(function, *args, **kwargs)
    if mark is not None:
        _values.types_of(function).decode("shop.work", body["args"], body["kwargs"], mark)
    return body["args"], body["kwargs"]


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (datetime, NOON, "2026-01-02T12:00:00.123456+00:00"),
        (datetime, datetime(2026, 1, 2), "2026-01-02T00:00:00"),
        (date, date(2026, 1, 2), "2026-01-02"),
        (date, NOON, "2026-01-02T12:00:00.123456+00:00"),
        (time, time(1, 2, 3), "01:02:03"),
        (timedelta, timedelta(days=2, microseconds=1), 172800.000001),
        (timedelta, timedelta(seconds=-5), -5),
        (Decimal, Decimal("1.10"), "1.10"),
        (UUID, ONE, str(ONE)),
        (UserId, ONE, str(ONE)),
        (bytes, b"\x00\xff", "AP8="),
        (Colour, Colour.RED, "red"),
        (Level, Level.HIGH, 2),
        (Size, Size.LARGE, "l"),
        (Place, Place.THERE, "THERE"),
        (Right, Right.READ | Right.WRITE, 3),
        (Line, LINE, {"article": str(ONE), "price": "9.90", "amount": 2}),
        (
            Order,
            ORDER,
            {
                "number": 7,
                "lines": [{"article": str(ONE), "price": "9.90", "amount": 2}],
                "placed": "2026-01-02T12:00:00.123456+00:00",
                "colour": "blue",
            },
        ),
        (
            Tree,
            Tree(date(2026, 1, 2), [Tree(date(2027, 1, 2))]),
            {"since": "2026-01-02", "below": [{"since": "2027-01-02", "below": []}]},
        ),
        (User, ADA, {"name": "Ada", "born": "1815-12-10", "limit": "1.50"}),
        (
            Team,
            Team(users=[ADA]),
            {"users": [{"name": "Ada", "born": "1815-12-10", "limit": "1.50"}]},
        ),
        (Strict, Strict(at=NOON), {"at": "2026-01-02T12:00:00.123456Z"}),
        (Point, Point(at=NOON), {"at": "2026-01-02T12:00:00.123456Z"}),
        (Optional[datetime], NOON, NOON.isoformat()),
        (Union[datetime, str], NOON, NOON.isoformat()),
        (Union[str, int, Decimal, None], Decimal("2"), "2"),
        (Union[date, datetime], NOON, NOON.isoformat()),
        (Union[date, datetime], date(2026, 1, 2), "2026-01-02"),
        (Union[Created, Deleted], Created(NOON), {"at": NOON.isoformat()}),
        (Union[Created, Deleted], Deleted(NOON, "old"), {"at": NOON.isoformat(), "why": "old"}),
        (Union[Strict, User], ADA, {"name": "Ada", "born": "1815-12-10", "limit": "1.50"}),
        (list[date], [date(2026, 1, 2)], ["2026-01-02"]),
        (Sequence[Optional[date]], [date(2026, 1, 2), None], ["2026-01-02", None]),
        (list[list[UUID]], [[ONE], []], [[str(ONE)], []]),
        (list[Union[Decimal, int]], [Decimal("1.5"), 2], ["1.5", 2]),
        (tuple[int, date], (1, date(2026, 1, 2)), [1, "2026-01-02"]),
        (tuple[date, ...], (date(2026, 1, 2),), ["2026-01-02"]),
        (set[str], {"b", "a"}, ["a", "b"]),
        (frozenset[Colour], frozenset({Colour.RED}), ["red"]),
        (dict[str, Decimal], {"a": Decimal("1")}, {"a": "1"}),
        (Mapping[str, list[Colour]], {"a": [Colour.RED]}, {"a": ["red"]}),
        (dict[date, int], {date(2026, 1, 2): 3}, {"2026-01-02": 3}),
        (dict[int, date], {5: date(2026, 1, 2)}, {"5": "2026-01-02"}),
        (dict[Level, int], {Level.LOW: 3}, {"1": 3}),
        ("datetime", NOON, NOON.isoformat()),
        ("Optional[list[date]]", [date(2026, 1, 2)], ["2026-01-02"]),
        (list["date"], [date(2026, 1, 2)], ["2026-01-02"]),
    ],
)
def test_the_function_gets_back_what_was_passed(annotation: Any, value: Any, written: Any) -> None:
    function = function_of(annotation)
    assert sent(function, value) == ({"args": [written], "kwargs": {}}, "[0]")
    assert sent(function, value=value) == ({"args": [], "kwargs": {"value": written}}, '["value"]')
    ((by_position,), _) = passed(function, value)
    (_, by_name) = passed(function, value=value)
    assert (by_position, by_name["value"]) == (value, value)
    assert type(by_position) is type(value)


@pytest.mark.skipif(sys.version_info < (3, 10), reason="`X | Y` is of Python 3.10")
def test_unions_may_be_written_with_a_bar() -> None:
    assert passed(function_of("date | None"), date(2026, 1, 2)) == ([date(2026, 1, 2)], {})


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, "2026-01-02 12:00"),
        (datetime, None),
        (datetime, 1767355200),
        (Optional[Decimal], 1.5),
        (Union[datetime, str], "2026-01-02T12:00:00"),
        (list[date], ["2026-01-02", 7]),
        (list[date], []),
        (dict[str, UUID], {"a": str(ONE)}),
        (dict[int, str], {5: "a"}),
        (Order, {"number": 7, "lines": []}),
        (Size, "l"),
        (tuple[int, int], [1, 2]),
        (int, 5),
        (Any, {"a": [1]}),
        ("Missing", {"a": 1}),
        ("no annotation at all", 1),
    ],
)
def test_what_json_carries_is_not_touched(annotation: Any, value: Any) -> None:
    """As old producers send it, to functions that read it themselves."""
    function = function_of(annotation)
    body, mark = sent(function, value)
    assert mark is None
    assert body["args"] == json.loads(json.dumps([value]))


def various(first: date, *rest: date, colour: Colour = Colour.RED, **others: Decimal) -> None: ...


def test_all_kinds_of_parameters() -> None:
    day, other = date(2026, 1, 2), date(2027, 1, 2)
    _, mark = sent(various, day, "text", other, colour=Colour.BLUE, a=Decimal(1), b=2)
    assert mark == '[0, 2, "colour", "a"]'
    args, kwargs = passed(various, day, "text", other, colour=Colour.BLUE, a=Decimal(1), b=2)
    assert args == [day, "text", other]
    assert kwargs == {"colour": Colour.BLUE, "a": Decimal(1), "b": 2}


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (list[date], [date(2026, 1, 2), "2026-01-02"], "is a list that can't be sent: date is declared, and there is"),
        (Order, Order(1, [LINE], "soon"), "Order.placed: datetime is declared, and there is a str"),  # type: ignore[arg-type]
        (Created, Special(NOON), "is a Special that can't be sent: Created is declared, and there is a Special"),
        (Union[Decimal, UUID], ONE, "UUID and Decimal can't be told apart in a message; declare one of them"),
        (list[Union[date, str]], [date(2026, 1, 2)], "date and what JSON carries as it is can't be told apart"),
        (Union[Created, Renamed], Renamed(NOON), "Renamed and Created can't be told apart"),
        (tuple[date, int], (date(2026, 1, 2),), "tuple of 2 is declared"),
    ],
)
def test_what_is_not_as_declared_is_refused(annotation: Any, value: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        sent(function_of(annotation), value)
    assert "argument 1 of shop.work is a" in str(caught.value)
    assert words in str(caught.value)


@dataclasses.dataclass
class Lossy:
    """Its constructor takes what its fields don't keep."""

    at: datetime
    source: dataclasses.InitVar[str]


def test_a_dataclass_that_can_not_be_made_again_is_refused() -> None:
    with pytest.raises(TypeError, match="Lossy can't be made again of its fields: it needs source"):
        sent(function_of(Lossy), Lossy(NOON, "a"))


@pytest.mark.parametrize(
    ("annotation", "body", "mark", "words"),
    [
        (datetime, ["soon"], "[0]", "argument 1 of shop.work is no datetime as it is declared (ValueError"),
        (datetime, [{}], "[0]", "is no datetime"),
        (list[date], ["2026-01-02"], "[0]", "is no list[date]"),
        (bytes, ["AP*8="], "[0]", "is no bytes"),
        (Order, [{"number": 1}], "[0]", "is no Order"),
        (Order, ["__import__"], "[0]", "is no Order"),
        (User, [{"name": 5}], "[0]", "is no User"),
        (Colour, ["green"], "[0]", "is no Colour"),
        (int, ["2026-01-02"], "[0]", "declares no type for it that needs it"),
        ("Missing", ["x"], "[0]", "can't be resolved here (NameError"),
        (datetime, ["x"], "[1]", "no list of its arguments"),
        (datetime, ["x"], "[-1]", "no list of its arguments"),
        (datetime, ["x"], "[true]", "no list of its arguments"),
        (datetime, ["x"], "[[0]]", "no list of its arguments"),
        (datetime, ["x"], '["value"]', "no list of its arguments"),
        (datetime, ["x"], "0", "no list of its arguments"),
        (datetime, ["x"], "[" * 100_000, "no list of its arguments"),
        (datetime, ["x"], b"\xff", "no list of its arguments"),
        (datetime, ["x"], None, "no list of its arguments"),
    ],
)
def test_a_message_that_lies_is_undecodable(annotation: Any, body: list[Any], mark: Any, words: str) -> None:
    with pytest.raises(UndecodableMessage) as caught:
        _values.types_of(function_of(annotation)).decode("shop.work", body, {}, mark)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.layer == "arguments"


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[Outgoing]:
    """What was sent."""
    messages: list[Outgoing] = []

    class Producer:
        def send(self, queue: str, message: Outgoing) -> str:
            messages.append(message)
            return "id"

        def send_many(self, queue: str, many: list[Outgoing]) -> list[str]:
            return [self.send(queue, message) for message in many]

    monkeypatch.setattr(_producer, "_producer", Producer())
    return messages


@task(queue="q", group=lambda order, **_: type(order).__name__)
def ship(order: Order, by: Colour = Colour.RED) -> None: ...


@task(queue="q", custom_function_path="elsewhere.pay", format="celery")
def pay(amount: Decimal, order: Optional[Order] = None, wait: Optional[timedelta] = None) -> None: ...


@task(queue="q", bind=True)
def bound(self: pyqs.BoundTask, at: datetime) -> None: ...


@task(queue="q")
def missing(value: Missing) -> None: ...


@task(queue="q")
def undeclared(value, rows: list[Any]) -> None: ...  # type: ignore[no-untyped-def]


def test_the_message_says_which_are_written(messages: list[Outgoing]) -> None:
    ship.delay(ORDER, by=Colour.BLUE)
    ship.apply_async([ORDER], {"by": "red"}, headers={"a": "b"}, expires=60)
    ship.delay_many([(ORDER,), {"order": {"plain": 1}}])
    bound.delay(NOON)

    assert [message.attributes.get("pyqs.typed") for message in messages] == ['[0, "by"]', "[0]", "[0]", None, "[0]"]
    assert list(messages[1].attributes) == ["pyqs.typed", "a", "pyqs.expires"]
    assert messages[0].group == "Order", "a key function gets the values themselves"
    assert json.loads(messages[4].body)["args"] == [NOON.isoformat()]


def test_in_celerys_format_its_own_types_stay_its_own(messages: list[Outgoing]) -> None:
    pay.delay(Decimal("1.5"))
    pay.delay(Decimal("1.5"), ORDER, wait=timedelta(seconds=5))
    first, second = (pyqs.utils.decode_message({"Body": message.body}) for message in messages)

    assert first["args"] == [Decimal("1.5")]
    assert messages[0].attributes == {}
    assert second["args"][0] == Decimal("1.5")
    assert second["args"][1]["placed"] == NOON.isoformat()
    assert second["kwargs"] == {"wait": 5}
    assert messages[1].attributes == {"pyqs.typed": '[1, "wait"]'}


@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        (missing, NOON, "argument 1 of {}missing is a datetime that JSON can't carry .*NameError: name 'Missing'"),
        (undeclared, NOON, "argument 1 of {}undeclared is a datetime .* or declare its type"),
        (undeclared, ORDER, "argument 1 of {}undeclared is a Order .* or declare its type"),
        (ship, NOON, "argument 1 of {}ship is a datetime .* not of the type that is declared"),
    ],
)
def test_what_needs_an_annotation_says_so(messages: list[Outgoing], function: Any, value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words.format(f"{__name__}.")):
        function.delay(value, rows=[]) if function is undeclared else function.delay(value)
    assert messages == []
