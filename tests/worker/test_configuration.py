"""Whose credentials, which region and which endpoint a worker uses: what reaches the endpoint says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import pytest
from support.projects import Project
from support.recorder import Answer, Recorder, Request

CONFIG = """
[default]
region = eu-central-1

[profile shop]
region = eu-west-3
"""
CREDENTIALS = """
[default]
aws_access_key_id = FROMDEFAULT
aws_secret_access_key = secret

[shop]
aws_access_key_id = FROMPROFILE
aws_secret_access_key = secret
"""

NOTHING = dict.fromkeys(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
KEYS = {"AWS_ACCESS_KEY_ID": "FROMENV", "AWS_SECRET_ACCESS_KEY": "secret"}
KEY_OPTIONS = ("--access-key-id", "FROMOPTION", "--secret-access-key", "secret")


@dataclass(frozen=True)
class Case:
    """What is set, and what must reach the endpoint."""

    name: str
    key: Optional[str] = None
    region: Optional[str] = None
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    files: bool = True


CASES = [
    Case("keys by option before all", "FROMOPTION", None, KEY_OPTIONS, KEYS),
    Case("keys from the environment before the files", "FROMENV", None, (), KEYS),
    Case("keys from the profile", "FROMPROFILE", None, (), {"AWS_PROFILE": "shop"}),
    Case("keys from the default profile", "FROMDEFAULT"),
    Case(
        "region by option before all",
        None,
        "ap-south-1",
        ("--region", "ap-south-1"),
        {"AWS_DEFAULT_REGION": "us-west-1", "AWS_REGION": "us-west-2"},
    ),
    Case(
        "AWS_DEFAULT_REGION before AWS_REGION",
        None,
        "us-west-1",
        (),
        {"AWS_DEFAULT_REGION": "us-west-1", "AWS_REGION": "us-west-2"},
    ),
    Case("AWS_REGION before the profile", None, "us-west-2", (), {"AWS_REGION": "us-west-2", "AWS_PROFILE": "shop"}),
    Case("region of the profile", None, "eu-west-3", (), {"AWS_PROFILE": "shop"}),
    Case("region of the default profile", None, "eu-central-1"),
    Case("us-east-1 without all these", "FROMENV", "us-east-1", (), KEYS, files=False),
]


def worker_of(project: Project, recorder: Recorder, *options: str, **environment: Optional[str]) -> Request:
    """Start a worker; the first request that it makes."""
    defaults: dict[str, Optional[str]] = {"AWS_ENDPOINT_URL": recorder.url, "HOME": str(project.folder)}
    project.start_pyqs("email", *options, **{**defaults, **environment})
    return recorder.first("GetQueueUrl")


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "-") for case in CASES])
def test_precedence(ours_project: Project, recorder: Recorder, case: Case) -> None:
    files: dict[str, Optional[str]] = {}
    if case.files:
        files["AWS_CONFIG_FILE"] = str(ours_project.write("config", CONFIG))
        files["AWS_SHARED_CREDENTIALS_FILE"] = str(ours_project.write("credentials", CREDENTIALS))
    request = worker_of(ours_project, recorder, *case.options, **{**NOTHING, **files, **case.environment})

    assert case.key in (None, request.access_key_id)
    assert case.region in (None, request.region)


def test_files_in_the_home_folder_are_read(ours_project: Project, recorder: Recorder) -> None:
    ours_project.write(".aws/config", CONFIG)
    ours_project.write(".aws/credentials", CREDENTIALS)
    unset = {**NOTHING, "AWS_CONFIG_FILE": None, "AWS_SHARED_CREDENTIALS_FILE": None}
    request = worker_of(ours_project, recorder, **unset)

    assert (request.access_key_id, request.region) == ("FROMDEFAULT", "eu-central-1")


def test_a_session_token_goes_along(ours_project: Project, recorder: Recorder) -> None:
    request = worker_of(ours_project, recorder, AWS_SESSION_TOKEN="the-token")

    assert request.headers["x-amz-security-token"] == "the-token"


def test_every_process_of_the_worker_uses_the_options(ours_project: Project, recorder: Recorder) -> None:
    """A task's own ``.delay`` is signed as the worker's requests are."""
    ours_project.write("chained.py", "import tasks\ndef first():\n    tasks.work.delay(1)\n")
    messages = [{"MessageId": "m", "ReceiptHandle": "r", "Body": '{"task": "chained.first", "args": [], "kwargs": {}}'}]

    def answer(request: Request) -> Optional[Answer]:
        if request.action == "ReceiveMessage" and messages:
            return 200, {"Messages": [messages.pop()]}
        return None

    recorder.answer = answer
    worker_of(ours_project, recorder, *KEY_OPTIONS, "--region", "ap-south-1", **NOTHING)
    sent = recorder.first("SendMessage")

    assert (sent.access_key_id, sent.region) == ("FROMOPTION", "ap-south-1")


def test_aws_endpoint_url_sqs_goes_before_aws_endpoint_url(ours_project: Project, recorder: Recorder) -> None:
    environment = {"AWS_ENDPOINT_URL_SQS": recorder.url, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}

    assert worker_of(ours_project, recorder, **environment)


def test_the_option_goes_before_both(ours_project: Project, recorder: Recorder) -> None:
    environment = {"AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}

    assert worker_of(ours_project, recorder, "--endpoint-url", recorder.url, **environment)


def test_a_container_role_gives_credentials(ours_project: Project, recorder: Recorder) -> None:
    def answer(request: Request) -> Optional[Answer]:
        if request.target == "/role":
            return 200, _role("FROMCONTAINER")
        return None

    recorder.answer = answer
    environment = {**NOTHING, "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{recorder.url}/role"}
    request = worker_of(ours_project, recorder, **environment, AWS_CONTAINER_AUTHORIZATION_TOKEN="let me")

    assert request.access_key_id == "FROMCONTAINER"
    assert request.headers["x-amz-security-token"] == "the-token"
    asked = next(request for request in recorder.requests if request.target == "/role")
    assert asked.headers["authorization"] == "let me"


def test_an_instance_role_gives_credentials(ours_project: Project, recorder: Recorder) -> None:
    folder = "/latest/meta-data/iam/security-credentials/"

    def answer(request: Request) -> Optional[Answer]:
        if request.target == "/latest/api/token":
            return 200, {"text": "a-session"}
        if request.target == folder:
            return 200, {"text": "shop-role"}
        if request.target == f"{folder}shop-role":
            return 200, {**_role("FROMINSTANCE"), "Code": "Success", "Type": "AWS-HMAC"}
        return None

    recorder.answer = answer
    environment = {**NOTHING, "AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": recorder.url}

    assert worker_of(ours_project, recorder, **environment).access_key_id == "FROMINSTANCE"


def _role(key: str) -> dict[str, str]:
    return {
        "AccessKeyId": key,
        "SecretAccessKey": "secret",
        "Token": "the-token",
        "Expiration": "2099-01-01T00:00:00Z",
        "LastUpdated": "2020-01-01T00:00:00Z",
    }


def test_settings_of_the_command_come_from_variables_too(ours_project: Project, recorder: Recorder) -> None:
    keys = {"PYQS_ACCESS_KEY_ID": "FROMPYQS", "PYQS_SECRET_ACCESS_KEY": "secret"}
    request = worker_of(ours_project, recorder, **NOTHING, **keys, PYQS_REGION="sa-east-1")

    assert (request.access_key_id, request.region) == ("FROMPYQS", "sa-east-1")


def test_secrets_are_not_shown(ours_project: Project, tmp_path: Path) -> None:
    """Neither in errors nor in the log."""
    result = ours_project.pyqs("email", "--secret-access-key", "hush-hush", "--concurrency", "none")
    assert "hush-hush" not in result.stderr + result.stdout
    result = ours_project.pyqs("--help", PYQS_SECRET_ACCESS_KEY="hush-hush")
    assert "hush-hush" not in result.stderr + result.stdout
