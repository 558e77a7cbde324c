"""``decode_message`` on real messages of Celery's, and on bodies made to do harm."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Optional

import pytest
from pyqs.errors import UndecodableMessage
from pyqs.utils import decode_message

DATA = Path(__file__).resolve().parents[2] / "crates" / "pyqs-formats" / "tests" / "data"
FIELDS = ("protocol", "task", "id", "retries", "eta", "expires", "timelimit")
EXACT_MAX = 2**53 - 1


def samples(name: str) -> list[Any]:
    lines = (DATA / name).read_text().splitlines()
    return [pytest.param(sample, id=sample["id"]) for sample in map(json.loads, lines)]


@pytest.mark.parametrize("sample", samples("corpus.jsonl"))
def test_the_corpus(sample: dict[str, Any]) -> None:
    expected = sample["expect"]
    if sample["stratum"] == "auth-signed":
        check_refused(sample["body"], "signature")
    elif expected["kind"] == "task":
        decoded = decode_message({"Body": sample["body"]})
        assert {name: decoded[name] for name in FIELDS} == {name: expected[name] for name in FIELDS}
        assert list(map(type, decoded["timelimit"] or ())) == list(map(type, expected["timelimit"] or ()))
        # As texts: 1 is not 1.0, and -0.0 is not 0.0.
        assert in_order(tagged(decoded["args"])) == in_order(expected["args"])
        assert in_order(tagged(decoded["kwargs"])) == in_order(expected["kwargs"])
    elif "native" in expected:
        decoded = decode_message({"Body": sample["body"]})
        assert in_order({**decoded, "args": tagged(decoded["args"])}) == in_order(expected["native"])
    else:
        check_refused(sample["body"])


def test_what_kombu_reads() -> None:
    for sample in map(json.loads, (DATA / "written.jsonl").read_text().splitlines()):
        decoded = decode_message({"Body": sample["body"]})
        found = {name: decoded[name] for name in FIELDS}
        found.update(args=tagged(decoded["args"]), kwargs=tagged(decoded["kwargs"]))
        assert in_order(found) == in_order(sample["expect"]), sample["id"]


@pytest.mark.parametrize("sample", samples("hostile.jsonl"))
def test_hostile_bodies(sample: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    modules = set(sys.modules)
    if sample["expect"] == "reject":
        check_refused(sample["body"])
    else:
        with contextlib.suppress(UndecodableMessage):
            decode_message({"Body": sample["body"]})
    assert list(tmp_path.iterdir()) == []
    # What we import ourselves to make values of, and nothing that the message names.
    assert set(sys.modules) - modules <= {"datetime", "_datetime", "decimal", "_decimal", "numbers", "uuid", "platform"}


def check_refused(body: str, layer: Optional[str] = None) -> None:
    with pytest.raises(UndecodableMessage) as caught:
        decode_message({"Body": body})
    assert layer in (None, caught.value.layer)
    assert caught.value.layer
    assert caught.value.reason


def in_order(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def tagged(value: Any) -> Any:
    """As the corpus spells values: JSON, and a map with one key for what JSON lacks."""
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key.startswith("$") or has_surrogates(key) for key in value):
            return {"$map": in_text_order([tagged(key), tagged(member)] for key, member in value.items())}
        return {key: tagged(member) for key, member in value.items()}
    kind = type(value)
    if kind is list:
        return [tagged(item) for item in value]
    if kind is tuple:
        return {"$tuple": [tagged(item) for item in value]}
    if kind in (set, frozenset):
        return {f"${kind.__name__}": in_text_order(tagged(item) for item in value)}
    if kind is float and (value != value or value in (float("inf"), float("-inf"))):
        return {"$float": str(value)}
    if kind is int and abs(value) > EXACT_MAX:
        return {"$bigint": str(value)}
    if kind is str and has_surrogates(value):
        return {"$str_u16": value.encode("utf-16-be", "surrogatepass").hex()}
    if kind in (bytes, bytearray):
        return {f"${kind.__name__}": base64.b64encode(value).decode()}
    if kind in (datetime, date, time):
        return {f"${kind.__name__}": value.isoformat()}
    if kind is timedelta:
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}
    if kind is Decimal:
        return {"$decimal": str(value)}
    if kind is uuid.UUID:
        return {"$uuid": str(value)}
    if kind is complex:
        return {"$complex": [value.real, value.imag]}
    assert value is None or kind in (bool, int, float, str), value
    return value


def in_text_order(items: Any) -> list[Any]:
    return sorted(items, key=lambda item: json.dumps(item, separators=(",", ":")))


def has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
