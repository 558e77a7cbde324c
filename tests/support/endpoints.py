"""Endpoints that speak SQS on this machine: ours, and moto's server."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from support.processes import Process
from support.waiting import DEADLINE_SECS


class Endpoint:
    """An SQS endpoint that runs on this machine."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        """A process with these variables, and no others of AWS's, reaches it."""
        return {
            **clean_environment(),
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that says where SQS is, or who asks."""
    proxies = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYQS_")) and name.lower() not in proxies
    }
    return {
        **kept,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONUNBUFFERED": "1",
    }


def pyqs_command() -> list[str]:
    """The command under test: the one beside this interpreter."""
    script = Path(sys.executable).with_name("pyqs")
    return [str(script)] if script.exists() else [sys.executable, "-m", "pyqs"]


@contextlib.contextmanager
def local_endpoint(*options: str) -> Iterator[Endpoint]:
    """Our own endpoint, on a port that it chooses."""
    command = [*pyqs_command(), "local", "--port", "0", *(options or ["--memory"])]
    process = Process(command, env=clean_environment())
    try:
        url = process.wait_for(r"AWS_ENDPOINT_URL=(\S+)").group(1)
        yield Endpoint("pyqs", url)
    finally:
        process.kill()


@contextlib.contextmanager
def moto_endpoint() -> Iterator[Endpoint]:
    """moto's server, on a port that is free."""
    # It cannot say which port it took, so it is given one that was free a moment ago, and another if that is gone.
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = Process(command, env=clean_environment())
        try:
            process.wait_for(r"Running on http", deadline_secs=DEADLINE_SECS)
        except AssertionError:
            process.kill()
            continue
        try:
            yield Endpoint("moto", f"http://127.0.0.1:{port}")
        finally:
            process.kill()
        return
    raise AssertionError(f"moto's server does not start:\n{process.output}")
