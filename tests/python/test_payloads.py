"""Stores of payloads, and the settings that choose one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyqs
import pytest
from pyqs import _payload_settings, _settings
from pyqs.errors import PayloadMissing, PayloadRefused, SettingsInvalid
from pyqs.payloads import PAYLOAD_BYTES_MAX, FolderPayloadStore, PayloadStore, S3PayloadStore, from_url
from support.endpoints import Endpoint
from support.payloads import Bucket


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is configured."""
    monkeypatch.setattr(_settings, "_configured", _settings.Settings())
    monkeypatch.setattr(_settings, "_ambient", {})
    for name in ("STORE", "THRESHOLD", "KEEP"):
        monkeypatch.delenv(getattr(_payload_settings, f"{name}_VARIABLE"), raising=False)


@pytest.fixture(params=["folder", "s3", "s3 prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path, moto: Endpoint) -> PayloadStore:
    """Each kind of store."""
    if request.param == "folder":
        return FolderPayloadStore(tmp_path / "payloads")
    bucket = Bucket(moto)
    return S3PayloadStore(bucket.name, "a/b" if request.param == "s3 prefix" else "", client=bucket.client)


def test_what_was_put_is_got_until_it_is_deleted(store: PayloadStore) -> None:
    keys = [store.put(payload) for payload in (b"one", b"two", b"one")]

    assert len(set(keys)) == 3
    assert [store.get(key) for key in keys] == [b"one", b"two", b"one"]
    store.delete(keys[0])
    with pytest.raises(PayloadMissing):
        store.get(keys[0])
    store.delete(keys[0])
    assert store.get(keys[2]) == b"one"


def test_stores_are_payload_stores(store: PayloadStore) -> None:
    assert isinstance(store, PayloadStore)


@pytest.mark.parametrize(
    "key", ["../other", "/etc/passwd", "", ".", "x", "0" * 32, "../" + "0" * 32 + ".payload", "0" * 32 + ".payload\n"]
)
def test_a_folder_takes_no_key_but_its_own(tmp_path: Path, key: str) -> None:
    store = FolderPayloadStore(tmp_path)
    for act in (store.get, store.delete):
        with pytest.raises(PayloadRefused):
            act(key)


def test_a_folder_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    key = "0" * 32 + ".payload"
    (tmp_path / "payloads").mkdir()
    (tmp_path / "payloads" / key).symlink_to(tmp_path / "secret")

    with pytest.raises(PayloadRefused, match="link"):
        FolderPayloadStore(tmp_path / "payloads").get(key)


def test_a_prefix_bounds_what_is_read_and_deleted(moto: Endpoint) -> None:
    bucket = Bucket(moto)
    bucket.write("other/one", "x")
    store = S3PayloadStore(bucket.name, "payloads", client=bucket.client)

    for act in (store.get, store.delete):
        with pytest.raises(PayloadRefused, match="prefix"):
            act("other/one")
    assert bucket.keys() == ["other/one"]


def test_a_missing_bucket_is_refused_and_not_tried_again(moto: Endpoint) -> None:
    store = S3PayloadStore("nowhere-at-all", client=Bucket(moto).client)

    with pytest.raises(PayloadRefused, match="nowhere-at-all"):
        store.get("x")


def test_what_is_too_large_is_not_read(tmp_path: Path, moto: Endpoint) -> None:
    store = FolderPayloadStore(tmp_path)
    key = store.put(b"x")
    with open(tmp_path / key, "r+b") as file:
        file.truncate(PAYLOAD_BYTES_MAX + 1)
    with pytest.raises(PayloadRefused, match=str(PAYLOAD_BYTES_MAX)):
        store.get(key)
    with open(tmp_path / key, "r+b") as file:
        file.truncate(PAYLOAD_BYTES_MAX)
    assert len(store.get(key)) == PAYLOAD_BYTES_MAX


def test_urls_name_stores() -> None:
    assert from_url("s3://my-bucket").name == "s3://my-bucket"
    assert from_url("s3://my-bucket/a/b/").name == "s3://my-bucket"
    assert from_url("file:///var/pay%20loads").name == "file:///var/pay%20loads"


@pytest.mark.parametrize(
    "url",
    ["", "my-bucket", "s3://", "s3:///x", "file://relative", "file:", "http://x/y", "s3://b?x=1", "s3://Bad_Name"],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        from_url(url)


def test_the_environment_goes_before_the_file(settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    of_file = {"payload_store": "file:///of/file", "payload_threshold": 7, "keep_payloads": True}
    monkeypatch.setattr(_settings, "_ambient", of_file)
    found = _payload_settings.current()
    assert found
    assert (found.store.name, found.threshold, found.keeps) == ("file:///of/file", 7, True)

    monkeypatch.setenv("PYQS_PAYLOAD_STORE", f"file://{tmp_path}")
    monkeypatch.setenv("PYQS_PAYLOAD_THRESHOLD", "0")
    monkeypatch.setenv("PYQS_KEEP_PAYLOADS", "0")
    found = _payload_settings.current()
    assert found
    assert (found.store.name, found.threshold, found.keeps) == (f"file://{tmp_path}", 0, False)


def test_configure_goes_before_the_environment(settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _payload_settings.current() is None
    monkeypatch.setenv("PYQS_PAYLOAD_STORE", f"file://{tmp_path}")
    monkeypatch.setenv("PYQS_PAYLOAD_THRESHOLD", "1000")
    monkeypatch.setenv("PYQS_KEEP_PAYLOADS", "1")
    found = _payload_settings.current()
    assert found
    assert (found.store.name, found.threshold, found.keeps) == (f"file://{tmp_path}", 1000, True)

    pyqs.configure(payload_store="s3://my-bucket", payload_threshold=2000, keep_payloads=False)
    found = _payload_settings.current()
    assert found
    assert (found.store.name, found.threshold, found.keeps) == ("s3://my-bucket", 2000, False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("THRESHOLD", "x"), ("THRESHOLD", "-1"), ("THRESHOLD", "1048577"), ("KEEP", "perhaps"), ("STORE", "ftp://x")],
)
def test_nonsense_in_the_environment_is_refused(
    settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str
) -> None:
    monkeypatch.setenv("PYQS_PAYLOAD_STORE", f"file://{tmp_path}")
    monkeypatch.setenv(getattr(_payload_settings, f"{variable}_VARIABLE"), value)
    with pytest.raises(SettingsInvalid):
        _payload_settings.current()


@pytest.mark.parametrize(
    ("text", "keeps"),
    [
        ("", False),
        *((text, True) for text in ("1", "true", "yes", "On")),
        *((text, False) for text in ["0", "no", "OFF"]),
    ],
)
def test_keeping_is_a_switch_as_others_are(
    settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, keeps: bool
) -> None:
    monkeypatch.setenv("PYQS_PAYLOAD_STORE", f"file://{tmp_path}")
    monkeypatch.setenv("PYQS_KEEP_PAYLOADS", text)
    found = _payload_settings.current()
    assert found
    assert found.keeps is keeps


@pytest.mark.parametrize("store", [object(), 7, "nonsense"])
def test_configure_refuses_what_is_no_store(settings: None, store: Any) -> None:
    with pytest.raises(SettingsInvalid):
        pyqs.configure(payload_store=store)
    assert _payload_settings.current() is None


def test_without_boto3_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsInvalid, match=r"pip install 'pyqs-rs\[s3\]'"):
        S3PayloadStore("my-bucket").put(b"x")
