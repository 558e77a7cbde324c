"""Stores of large payloads, as tests look into them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import boto3

from support.endpoints import Endpoint


class Bucket:
    """A new S3 bucket on moto's server."""

    def __init__(self, moto: Endpoint) -> None:
        self.name = f"payloads-{uuid.uuid4().hex[:12]}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=moto.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        self.client.create_bucket(Bucket=self.name)
        self.environment = {"AWS_ENDPOINT_URL_S3": moto.url, "PYQS_PAYLOAD_STORE": f"s3://{self.name}"}

    def keys(self) -> list[str]:
        """The keys of its objects."""
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def read(self, key: str) -> bytes:
        """An object."""
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: str) -> None:
        """Store an object."""
        self.client.put_object(Bucket=self.name, Key=key, Body=content.encode())


class Folder:
    """A folder store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {"PYQS_PAYLOAD_STORE": f"file://{path}"}

    def keys(self) -> list[str]:
        """The names of its files."""
        return sorted(found.name for found in self.path.iterdir()) if self.path.exists() else []

    def read(self, key: str) -> bytes:
        """A file."""
        return (self.path / key).read_bytes()
