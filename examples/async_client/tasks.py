"""Async tasks that share a connection, which is opened once in each task process and closed at its end.

pyqs fetches --import tasks --threads 100
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Optional
from urllib.parse import urlsplit

import pyqs
from pyqs import task

SERVER = os.environ.get("SERVER", "http://127.0.0.1:8000")
LENGTHS = os.environ.get("LENGTHS", "lengths.txt")


class Client:
    """As little of an HTTP client as an example needs."""

    def __init__(self, address: str) -> None:
        self._url = urlsplit(address)
        self._free = asyncio.Semaphore(20)

    async def get(self, path: str) -> bytes:
        async with self._free:
            reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {self._url.netloc}\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
            return answer.partition(b"\r\n\r\n")[2]


client: Optional[Client] = None


@pyqs.lifespan
async def connections() -> AsyncIterator[None]:
    """Runs on the event loop of the tasks, before the first and after the last."""
    global client
    client = Client(SERVER)
    yield
    client = None


@task(queue="fetches", time_limit=30, retries=3)
async def fetch(path: str) -> None:
    """A hundred of these run at once in one process; their work is to wait."""
    assert client, "set up by the lifespan hook"
    page = await client.get(path)
    with open(LENGTHS, "a") as file:
        file.write(f"{path} {len(page)}\n")
