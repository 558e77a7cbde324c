"""Calls through a boto3 that speaks the Query protocol: ``query_calls.py URL < CALLS``, both as JSON.

A call is an operation's name and its parameters; what comes of it is told as JSON on one line each.
"""

import json
import sys
import typing

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
sqs = boto3.client(
    "sqs",
    endpoint_url=sys.argv[1],
    region_name="us-east-1",
    aws_access_key_id="local",
    aws_secret_access_key="local",
    config=config,
)
assert sqs.meta.service_model.metadata["protocol"] == "query"
raw: dict[str, str] = {}


def look(http_response: typing.Any, **_: typing.Any) -> None:
    """Keep what no parser keeps."""
    raw["content-type"] = http_response.headers["content-type"]
    raw["body"] = http_response.text


sqs.meta.events.register("after-call.sqs.*", look)
for line in sys.stdin:
    name, parameters = json.loads(line)
    try:
        answer = sqs._make_api_call(name, parameters)
    except ClientError as error:
        answer = error.response
    print(json.dumps({"answer": answer, **raw}, default=str))
