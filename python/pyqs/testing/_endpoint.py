"""An endpoint for a test: ours, in this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Optional, Union

from .. import _producer, _pyqs
from .._producer import Outgoing
from ._outbox import Outbox

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def endpoint(queues: Iterable[str] = (), *, url: Optional[str] = None, region: str = "us-east-1") -> Iterator[Endpoint]:
    """Serve queues from memory on a free port, and have this process use them, while within.

    >>> with endpoint(queues=["email", "orders.fifo"]) as sqs:
    ...     message_id = send_email.delay("Hello")
    ...     boto3.client("sqs").get_queue_url(QueueName="email")

    The environment says where it is: for PyQS, whatever ``pyqs.configure`` said, for boto3's clients of SQS made within
    (other services are left as they were), and for the programs that are started within.

    :param queues: queues to have at the start; ``.fifo`` at the end of a name makes a FIFO queue. Others are created
        as PyQS does, by the first message, and by boto3's ``create_queue``.
    :param url: an endpoint that is there already, as moto's server; none of ours is started then.
    :param region: the region to sign for.
    """
    with contextlib.ExitStack() as undo:
        if url is None:
            serving = _pyqs.LocalEndpoint(queues=list(queues))
            undo.callback(serving.stop)
        found = Endpoint(serving.url if url is None else url, region)
        undo.enter_context(_environment(found.environment))
        before = _producer.replace(found)
        undo.callback(found.shutdown)
        undo.callback(_producer.replace, before)
        if url is not None:
            for name in queues:
                found.queue_url(name)
        yield found


class Endpoint(Outbox):
    """An endpoint that serves, and what this process has sent to it."""

    def __init__(self, url: str, region: str) -> None:
        super().__init__()
        self.url = url
        """Where it is."""
        self.region = region
        """The region to sign for."""
        self._producer = _pyqs.Producer()

    @property
    def environment(self) -> dict[str, Optional[str]]:
        """The variables by which programs find it; those that are ``None`` must not be there."""
        proxied = [name for name in (os.environ.get("NO_PROXY"), os.environ.get("no_proxy")) if name]
        no_proxy = ",".join([LOOPBACK, *proxied])
        return {
            # For SQS alone: S3 and others may be mocked, or somewhere else.
            "AWS_ENDPOINT_URL_SQS": self.url,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": None,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_DEFAULT_PROFILE": None,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
        }

    # What the producer does elsewhere.

    def send(self, queue: str, message: Outgoing) -> str:
        """Send a message, and keep it."""
        message_id = self._producer.send(queue, message)
        self._keep(message_id, queue, message)
        return message_id

    async def send_async(self, queue: str, message: Outgoing) -> str:
        """The same, while the event loop runs on."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(None, self.send, queue, message)

    def send_many(self, queue: str, messages: list[Outgoing]) -> list[Union[str, Exception]]:
        """Send many, and keep those that were taken."""
        answers = self._producer.send_many(queue, messages)
        for message, answer in zip(messages, answers):
            if isinstance(answer, str):
                self._keep(answer, queue, message)
        return answers

    def queue_url(self, queue: str) -> str:
        """The URL of a queue, which is created where it is missing."""
        return self._producer.queue_url(queue)

    def shutdown(self) -> None:
        """End the producer's threads in this process."""
        self._producer.shutdown()


@contextlib.contextmanager
def _environment(changes: dict[str, Optional[str]]) -> Iterator[None]:
    """Change this process's environment while within."""
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(variables: dict[str, Optional[str]]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
