"""The table of limits and errors, ``limits.toml``, row by row over both protocols."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from support.endpoints import Endpoint
from support.peers import python_peer
from support.queues import Queue, new_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "limits.toml").read_text(encoding="utf-8"))
ERRORS = TABLE["errors"]
ROWS = [(action, row) for action, rows in TABLE["actions"].items() for row in rows]
NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


class Setting:
    """The queues that the table speaks of, apart from every other test's."""

    def __init__(self, endpoint: Endpoint) -> None:
        client = endpoint.client()
        self.prefix = new_name()
        self.name = f"{self.prefix}-queue"
        queue = Queue(client, self.name)
        fifo = Queue(client, f"{self.prefix}-fifo.fifo", FifoQueue="true")
        dead = Queue(client, f"{self.prefix}-dead")
        last = Queue(client, f"{self.prefix}-last")
        policy = json.dumps({"deadLetterTargetArn": last.arn, "maxReceiveCount": 1})
        source = Queue(client, f"{self.prefix}-source", RedrivePolicy=policy, VisibilityTimeout="0")
        # Enough that the table's move task is at work for as long as the table takes.
        for _ in range(10):
            entries = [{"Id": str(i), "MessageBody": "x"} for i in range(10)]
            client.send_message_batch(QueueUrl=source.url, Entries=entries)
        while last.counts()[0] < 100:
            source.receive()
        self.texts = {
            "$QUEUE": queue.url,
            "$FIFO": fifo.url,
            "$DEAD": dead.url,
            "$ARN$NAME": queue.arn,
            "$ARN": queue.arn.removesuffix("queue"),
            "$NAME": self.name,
            "$PREFIX": self.prefix,
        }

    def fill(self, value: Any) -> Any:
        """A value of the table with everything in its place."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(member) for key, member in value.items()}
        if isinstance(value, list):
            return [self.fill(member) for member in value]
        if not isinstance(value, str):
            return value
        for name, text in self.texts.items():
            value = value.replace(name, text)
        value = value.replace("$RANDOM8", new_name()[-8:])
        return re.sub(r"<(.)\*(\d+)>", lambda found: found.group(1) * int(found.group(2)), value)


@pytest.fixture
def setting(ours: Endpoint) -> Setting:
    """The table's queues."""
    return Setting(ours)


def brief(action: str, row: dict[str, Any]) -> str:
    """A row in a failure's words."""
    return f"{action} {json.dumps(row)}"


def check(row: dict[str, Any], answer: dict[str, Any], what: str) -> None:
    """What both protocols have in common."""
    error = answer.get("Error")
    metadata = answer["ResponseMetadata"]
    assert metadata["RequestId"], what
    if "entry" in row:
        assert error is None, what
        assert not answer.get("Successful"), what
        (failed,) = answer["Failed"]
        assert failed["Id"] == row["input"]["Entries"][0]["Id"], what
        assert (failed["Code"], failed["SenderFault"]) == (row["entry"], True), what
        assert failed["Message"], what
        return
    assert (error or {}).get("Code", "") == row["code"], f"{what}: {answer}"
    if error is None:
        assert metadata["HTTPStatusCode"] == 200, what
        return
    assert error["Message"], what
    assert error["Type"] == "Sender", what
    assert metadata["HTTPStatusCode"] == ERRORS[row["code"]][0], what


def test_over_aws_json(ours: Endpoint, setting: Setting) -> None:
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    sqs = boto3.client(
        "sqs",
        endpoint_url=ours.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=config,
    )
    seen: dict[str, Any] = {}
    sqs.meta.events.register("before-parse.sqs.*", lambda response_dict, **_: seen.update(response_dict))
    for action, row in ROWS:
        what = brief(action, row)
        raised = ""
        try:
            answer = sqs._make_api_call(action, setting.fill(row["input"]))
        except ClientError as error:
            answer = error.response
            raised = type(error).__name__
        if raised:
            code = answer["Error"]["Code"]
            _, shape, exception = ERRORS[code]
            assert json.loads(seen["body"])["__type"] == shape, what
            assert seen["headers"]["x-amzn-query-error"] == f"{code};Sender", what
            assert raised == (exception or "ClientError"), what
        assert seen["headers"]["content-type"] == "application/x-amz-json-1.0", what
        check(row, answer, what)


def test_over_the_query_protocol(ours: Endpoint, setting: Setting) -> None:
    rows = [(action, row) for action, row in ROWS if row.get("query", True)]
    calls = "".join(json.dumps([action, setting.fill(row["input"])]) + "\n" for action, row in rows)
    python = python_peer("query", HERE / "peers" / "query.txt") / "python"
    run = [str(python), str(HERE / "peers" / "query_calls.py"), ours.url]
    done = subprocess.run(run, env=ours.environment, input=calls, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(rows)
    for (action, row), found in zip(rows, answers):
        what = brief(action, row)
        assert found["content-type"] == "text/xml", what
        check(row, found["answer"], what)
        if "Error" in found["answer"]:
            body = xml.fromstring(found["body"])
            assert body.tag == f"{NAMESPACE}ErrorResponse", what
            assert [element.tag.removeprefix(NAMESPACE) for element in body] == ["Error", "RequestId"], what
            error = {element.tag.removeprefix(NAMESPACE) for element in body[0]}
            assert error == {"Type", "Code", "Message", "Detail"}, what
