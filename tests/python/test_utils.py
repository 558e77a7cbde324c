"""``pyqs.utils``."""

from __future__ import annotations

import base64
import json
import pickle
from pathlib import Path

import pytest
from pyqs.errors import PyqsError, SettingsInvalid, UndecodableMessage
from pyqs.utils import decode_celery_message, decode_message, function_to_import_path, get_aws_region_name


def celery(payload: object, headers: dict[str, object], outer_base64: bool = False) -> str:
    body = base64.b64encode(json.dumps(payload).encode()).decode()
    envelope = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": "5f4c",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "8d3a",
        },
    }
    text = json.dumps(envelope)
    return base64.b64encode(text.encode()).decode() if outer_base64 else text


PROTOCOL_1 = {
    "task": "mail.send",
    "id": "5f4c",
    "args": [1, "ä"],
    "kwargs": {"to": None},
    "retries": 0,
    "eta": None,
    "expires": None,
    "utc": True,
}
PROTOCOL_2 = [[1, "ä"], {"to": None}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
HEADERS_2 = {"lang": "py", "task": "mail.send", "id": "5f4c", "retries": 0, "eta": None, "expires": None}
EXPECTED = {"task": "mail.send", "args": [1, "ä"], "kwargs": {"to": None}}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(EXPECTED),
        celery(PROTOCOL_1, {}),
        celery(PROTOCOL_1, {}, outer_base64=True),
        celery(PROTOCOL_2, HEADERS_2),
        celery(PROTOCOL_2, HEADERS_2, outer_base64=True),
    ],
    ids=["pyqs", "celery 1", "celery 1 base64", "celery 2", "celery 2 base64"],
)
def test_each_format_is_read(body: str) -> None:
    decoded = decode_message({"Body": body})
    assert {name: decoded[name] for name in EXPECTED} == EXPECTED


def test_our_own_form_has_three_fields() -> None:
    assert decode_message({"Body": json.dumps({**EXPECTED, "id": "5f4c"})}) == EXPECTED


@pytest.mark.parametrize("protocol", [1, 2])
def test_the_fields_that_only_celerys_have(protocol: int) -> None:
    fields = {"retries": 2, "eta": "2026-11-24T21:12:51+00:00", "expires": None, "timelimit": [30, 2.5]}
    body = celery({**PROTOCOL_1, **fields}, {}) if protocol == 1 else celery(PROTOCOL_2, {**HEADERS_2, **fields})
    decoded = decode_message({"Body": body})
    assert decoded == {**EXPECTED, **fields, "protocol": protocol, "id": "5f4c"}
    assert type(decoded["timelimit"][0]) is int


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        2**64,
        -(10**100),
        0.1,
        -0.0,
        1e308,
        float("inf"),
        "",
        "ä\U0001f600\x00",
        "\ud800 alone",
        [],
        {},
        [[[]]],
        {"a": {"b": [1, {"c": None}]}},
    ],
)
def test_what_json_carries_comes_back(value: object) -> None:
    body = json.dumps({"task": "a.b", "args": [value], "kwargs": {"key": value}})
    assert decode_message({"Body": body}) == json.loads(body)


def test_not_a_number_comes_back() -> None:
    (value,) = decode_message({"Body": '{"task": "a.b", "args": [NaN], "kwargs": {}}'})["args"]
    assert value != value


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"task": 1, "args": [], "kwargs": {}}',
        '{"task": "a.b", "args": 1, "kwargs": {}}',
        '{"task": "a.b", "args": [], "kwargs": []}',
        '{"body": "%%%"}',
        "[" * 100_000,
        '{"task": "a.b", "args": [1' + "0" * 5000 + '], "kwargs": {}}',
    ],
    ids=lambda body: body[:40],
)
def test_what_is_no_task_says_so(body: str) -> None:
    with pytest.raises(UndecodableMessage) as caught:
        decode_message({"Body": body})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, PyqsError)
    assert str(caught.value) == f"{caught.value.layer}: {caught.value.reason}"
    assert "\n" not in str(caught.value)


def test_a_pickle_is_never_loaded() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("the pickle was loaded",)

    bomb = base64.b64encode(pickle.dumps(Bomb())).decode()
    with pytest.raises(UndecodableMessage):
        decode_celery_message(bomb)
    with pytest.raises(UndecodableMessage):
        decode_message({"Body": json.dumps({"body": bomb, "content-type": "application/x-python-serialize"})})


SIGNED = Path(__file__).resolve().parents[2] / "crates" / "pyqs-formats" / "tests" / "data" / "signed"


def signed(id: str) -> dict[str, str]:
    (found,) = (line for line in map(json.loads, (SIGNED / "messages.jsonl").open()) if line["id"] == id)
    return {"Body": found["body"]}


@pytest.mark.parametrize("id", ["signer", "signer-raw", "signer-sha512"])
def test_signed_messages_are_read_with_a_store(id: str) -> None:
    decoded = decode_message(signed(id), cert_store=str(SIGNED / "signer.pem"))
    assert (decoded["args"], decoded["kwargs"]) == ([7, "ä"], {"to": "ada"})


def test_signed_messages_are_refused_without_one() -> None:
    with pytest.raises(UndecodableMessage, match=r"signature: signed by .* only with a certificate store"):
        decode_message(signed("signer"))
    with pytest.raises(UndecodableMessage, match="no certificate of that name is in the store"):
        decode_message(signed("stranger"), cert_store=str(SIGNED / "*er.pem"))
    with pytest.raises(UndecodableMessage, match="its certificate has expired"):
        decode_message(signed("expired"), cert_store=str(SIGNED / "expired.pem"))
    with pytest.raises(SettingsInvalid, match="can't read /nowhere"):
        decode_message(signed("signer"), cert_store="/nowhere")


def test_decode_celery_message() -> None:
    body = base64.b64encode(json.dumps(PROTOCOL_1).encode()).decode()
    assert decode_celery_message(body)["task"] == "mail.send"


def test_function_to_import_path() -> None:
    assert function_to_import_path(test_function_to_import_path) == f"{__name__}.test_function_to_import_path"
    assert function_to_import_path("some.path", override=True) == "some.path"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "us-east-1"),
        ({"AWS_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
    ],
)
def test_the_region(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert get_aws_region_name() == expected
