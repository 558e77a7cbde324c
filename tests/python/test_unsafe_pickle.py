"""``--unsafe-pickle``: what its patterns admit, and what they don't."""

from __future__ import annotations

import base64
import collections
import json
import pickle
import subprocess
import sys
import types
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from pyqs._pyqs import Reader, decode_message
from pyqs._unsafe_pickle import PickleLoader
from pyqs.errors import UndecodableMessage

ORDERS = """
import os
import subprocess
from subprocess import Popen
from os import system

class Order:
    def __init__(self, number):
        self.number = number
    def __eq__(self, other):
        return vars(self) == vars(other)
    class Kind:
        pass

class Loud:
    def __init__(self):
        raise SystemExit(3)
    def __reduce__(self):
        return Loud, ()

def make(number):
    return Order(number)
"""


@pytest.fixture
def orders() -> Iterator[Any]:
    module: Any = types.ModuleType("myapp")
    module.__dict__["__name__"] = "myapp"
    sys.modules["myapp"] = module
    exec(ORDERS, module.__dict__)
    yield module
    del sys.modules["myapp"]


def loaded(value: Any, *patterns: str, protocol: int = 2) -> Any:
    data = pickle.dumps(([value], {}, {}), protocol)
    (args, _) = PickleLoader(patterns).arguments(data)
    return args[0]


def refusal(data: bytes, *patterns: str) -> UndecodableMessage:
    with pytest.raises(UndecodableMessage) as caught:
        PickleLoader(patterns).arguments(data)
    return caught.value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_classes_under_a_pattern_are_made(orders: Any, protocol: int) -> None:
    value = [orders.Order(3), {"kind": orders.Order.Kind} if protocol >= 4 else {}]
    assert loaded(value, "myapp.*", protocol=protocol) == value
    assert loaded(value, "other.*", "my*", protocol=protocol) == value


def test_data_is_read_under_any_pattern(orders: Any) -> None:
    values = [
        {1, 2},
        frozenset("a"),
        b"\xff",
        bytearray(b"x"),
        1j,
        datetime(2020, 1, 2, tzinfo=timezone.utc),
        timedelta(days=1),
        Decimal("1.10"),
        uuid.UUID(int=7),
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        10**30,
    ]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert loaded([*values, orders.Order(1)], "myapp.*", protocol=protocol) == [*values, orders.Order(1)]


@pytest.mark.parametrize("name", ["_FixedOffset", "FixedOffset"])
def test_pytz_zones_of_older_and_newer_releases_are_data(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "pytz", types.SimpleNamespace(**{name: lambda minutes: ("pytz", minutes)}))
    data = b"((lp0\ncpytz\n%s\n(I60\ntRa(d(dt." % name.encode()
    assert PickleLoader(["shop.*"]).arguments(data) == ([("pytz", 60)], {})


def test_other_classes_are_refused(orders: Any) -> None:
    data = pickle.dumps(([orders.Order(1)], {}, {}))
    error = refusal(data, "shop.*", "myapp.make")
    assert error.layer == "payload"
    assert "it names myapp.Order, which --unsafe-pickle shop.*,myapp.make does not admit" in error.reason


def call(module: str, name: str, *arguments: str) -> bytes:
    """A pickle of protocol 2 to 4 that calls something."""
    words = "".join(f"V{argument}\n" for argument in arguments)
    stacked = f"V{module}\nV{name}\n".encode() + b"\x93"
    return b"\x80\x04]" + stacked + f"({words}tRa}}Nt.".replace("]", "").encode()


def as_payload(pickled_call: bytes) -> bytes:
    # `[[call], {}, None]`.
    return b"\x80\x04(" + pickled_call[2:]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("myapp", "system"),
        ("myapp", "os.system"),
        ("myapp", "Popen"),
        ("myapp", "subprocess.Popen"),
        ("myapp", "make"),
        ("myapp", "Order.__init__"),
        ("myapp", "__loader__"),
        ("__builtin__", "eval"),
    ],
)
def test_a_pattern_admits_what_is_defined_there_alone(orders: Any, module: str, name: str) -> None:
    error = refusal(as_payload(call(module, name, "touch touched")), "myapp.*")
    assert "does not admit" in error.reason or "AttributeError" in error.reason


def test_a_name_in_full_admits_what_it_leads_to(orders: Any) -> None:
    data = as_payload(call("myapp", "make", "7"))
    assert PickleLoader(["myapp.make", "myapp.Order"]).arguments(data)[0] == [orders.Order("7")]


def test_whatever_a_class_raises_is_the_messages_fault(orders: Any) -> None:
    data = as_payload(call("myapp", "Loud"))
    assert "SystemExit: 3" in refusal(data, "myapp.*").reason
    assert refusal(b"no pickle", "myapp.*").layer == "payload"


def test_both_protocols(orders: Any) -> None:
    one = {"task": "a.b", "id": "c", "args": [orders.Order(1)], "kwargs": {"b": 2}}
    assert PickleLoader(["myapp.*"]).arguments(pickle.dumps(one)) == ([orders.Order(1)], {"b": 2})
    assert PickleLoader(["myapp.*"]).arguments(pickle.dumps({"task": "a.b"})) == ([], {})
    for payload in (None, [1, 2], ([], [], {}), (1, {}, {})):
        refusal(pickle.dumps(payload), "myapp.*")


@pytest.mark.parametrize("what", ["chain", "callbacks", "chord"])
def test_what_is_to_follow_is_not_lost(orders: Any, what: str) -> None:
    data = pickle.dumps(([orders.Order(1)], {}, {what: [{"task": "a.b"}]}))
    assert f"a {what} beside arguments" in refusal(data, "myapp.*").reason


def test_python_2s_strings_are_text() -> None:
    data = b"\x80\x02(]U\x02\xc3\xa4a}U\x01k]s}t."
    assert PickleLoader(["myapp.*"]).arguments(data) == (["ä"], {"k": []})


def test_decode_message_never_loads(orders: Any) -> None:
    body = base64.b64encode(pickle.dumps(([orders.Order(1)], {}, {}))).decode()
    envelope = {
        "body": body,
        "content-type": "application/x-python-serialize",
        "headers": {"task": "a.b", "id": "c"},
        "properties": {"body_encoding": "base64"},
    }
    with pytest.raises(UndecodableMessage, match="start the worker with --unsafe-pickle"):
        decode_message(json.dumps(envelope), Reader(opaque_pickles=True))


def test_it_is_not_imported_without_need() -> None:
    code = "import sys, pyqs, pyqs.main, pyqs._task_process; assert 'pyqs._unsafe_pickle' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
