"""Queues, as boto3 sees them."""

from __future__ import annotations

import json
import uuid
from typing import Any, Optional

from support.waiting import DEADLINE_SECS, eventually

DEFAULT_VISIBILITY_SECS = 30
"""A queue's visibility timeout, where none is given."""


class Queue:
    """A queue as boto3 sees it."""

    def __init__(self, client: Any, name: str, **attributes: str) -> None:
        self.client = client
        self.name = name
        self.url: str = client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def send(self, body: str, **fields: Any) -> str:
        """Send a body; the message's id."""
        message_id: str = self.client.send_message(QueueUrl=self.url, MessageBody=body, **fields)["MessageId"]
        return message_id

    def send_task(self, task: str, *args: Any, **kwargs: Any) -> str:
        """Send a call as PyQS writes it; the message's id."""
        return self.send(json.dumps({"task": task, "args": args, "kwargs": kwargs}))

    def send_tasks(self, task: str, calls: list[list[Any]]) -> list[str]:
        """Send many calls of a task, each with its arguments; the messages' ids."""
        bodies = [json.dumps({"task": task, "args": args, "kwargs": {}}) for args in calls]
        sent: list[str] = []
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[start : start + 10])]
            answer = self.client.send_message_batch(QueueUrl=self.url, Entries=entries)
            ids = {entry["Id"]: entry["MessageId"] for entry in answer["Successful"]}
            sent += [ids[entry["Id"]] for entry in entries]
        return sent

    def receive(self, wait_secs: int = 0, visibility_secs: Optional[int] = None) -> list[dict[str, Any]]:
        """Receive up to ten messages."""
        options = {} if visibility_secs is None else {"VisibilityTimeout": visibility_secs}
        answer = self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait_secs,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
            **options,
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    def take(self, count: int = 1) -> list[dict[str, Any]]:
        """Receive so many messages and delete them."""
        taken: list[dict[str, Any]] = []

        def all_there() -> bool:
            for message in self.receive():
                self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(message)
            return len(taken) >= count

        eventually(all_there, f"{count} messages in {self.name}")
        return taken

    def counts(self) -> tuple[int, int]:
        """How many messages are visible, and how many are hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def delayed(self) -> int:
        """How many messages wait for the end of their delay."""
        name = "ApproximateNumberOfMessagesDelayed"
        answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    @property
    def arn(self) -> str:
        """Its name for other queues' policies."""
        answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def wait_until_empty(self) -> None:
        """Wait until nothing is left, visible or hidden: all was acknowledged.

        moto's server loses deletes now and then that come while it answers a receive; such messages come again after
        their visibility timeout, 30 s, and are deleted then.
        """
        eventually(lambda: self.counts() == (0, 0), f"{self.name} is empty", DEADLINE_SECS + DEFAULT_VISIBILITY_SECS)


def with_dead_letters(client: Any, name: str, receives_max: int, **attributes: str) -> tuple[Queue, Queue]:
    """A queue and its dead-letter queue."""
    dead = Queue(client, f"{name}-dead")
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": receives_max})
    return Queue(client, name, RedrivePolicy=policy, **attributes), dead


def new_name() -> str:
    """The name of a queue that no other test uses."""
    return f"q{uuid.uuid4().hex[:12]}"
