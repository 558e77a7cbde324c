"""Strangers at the socket: whatever is sent, the answer is well-formed and says what is wrong."""

from __future__ import annotations

import base64
import json
import random
import socket
import urllib.parse
import xml.etree.ElementTree as xml
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from support.endpoints import Endpoint, local_endpoint
from support.queues import Queue, new_name

ROUNDS = 1500
JSON_TYPE = "application/x-amz-json-1.0"
FORM_TYPE = "application/x-www-form-urlencoded"
TEXTS = [
    "",
    "x",
    "\0",
    "\x01",
    "\ufffe",
    "\U0001d11e",
    "'\"<&>%",
    "../..",
    "$ne",
    "x" * 300,
    "9" * 400,
    "-1",
    "All",
    "é",
]
NUMBERS = [0, 1, -1, 10, 11, 43200, 43201, 2**31, 2**32, 2**63 - 1, 2**63, -(2**63), 10**40, 1.5, -0.0, 1e308]
BODY_BYTES_MAX = 8 * 1024 * 1024


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection on which anything can be written."""

    def __init__(self, endpoint: Endpoint) -> None:
        address = urllib.parse.urlsplit(endpoint.url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=30)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """Read one answer to its end. A connection that is dropped instead is a failure."""
        first = self.file.readline()
        assert first.startswith(b"HTTP/1."), f"no answer: {first!r}"
        headers = {}
        while True:
            line = self.file.readline()
            assert line, "the connection was dropped in the middle of the headers"
            if line == b"\r\n":
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split()[1])
        if status == 100:
            return Answer(status, headers, b"")
        length = int(headers["content-length"])
        body = self.file.read(length)
        assert len(body) == length, "the connection was dropped in the middle of the body"
        return Answer(status, headers, body)


def post(body: bytes, headers: dict[str, str], path: str = "/") -> bytes:
    """A request with a body."""
    lines = [f"POST {path} HTTP/1.1", "Host: sqs.test", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def check(answer: Answer, what: object) -> None:
    """Whether an answer is one that a client can read: success, or a refusal that says whose fault it is."""
    assert 200 <= answer.status < 500, f"{what!r}: {answer}"
    kind = answer.headers.get("content-type")
    assert answer.headers["x-amzn-requestid"], f"{what!r}: {answer}"
    if kind == "text/xml":
        root = xml.fromstring(answer.body)
        assert answer.status == 200 or root.tag.endswith("}ErrorResponse"), f"{what!r}: {answer}"
    else:
        assert kind == JSON_TYPE, f"{what!r}: {answer}"
        body = json.loads(answer.body)
        if answer.status != 200:
            assert set(body) == {"__type", "message"}, f"{what!r}: {answer}"
            assert answer.headers["x-amzn-query-error"].endswith(";Sender"), f"{what!r}: {answer}"


class Chance:
    """Requests that make less and less sense."""

    def __init__(self, seed: int, queue: Queue, model: Any) -> None:
        self.random = random.Random(seed)
        self.queue = queue
        self.model = model

    def value(self, depth: int = 0) -> Any:
        """Any JSON value."""
        pick = self.random.randrange(8 if depth < 3 else 5)
        if pick == 5:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        if pick > 5:
            names = ["Id", "DataType", "StringValue", "BinaryValue", "Name", *TEXTS]
            return {self.random.choice(names): self.value(depth + 1) for _ in range(self.random.randrange(4))}
        return self.random.choice([*TEXTS, *NUMBERS, True, False, None])

    def of_shape(self, shape: Any, name: str) -> Any:
        """A value that the model would take, with something of another kind in it now and then."""
        if self.random.random() < 0.1:
            return self.value()
        if shape.type_name == "structure":
            members = {
                member: self.of_shape(below, member)
                for member, below in shape.members.items()
                if member in shape.required_members or self.random.random() < 0.4
            }
            # Nobody wants to wait for this.
            members.pop("WaitTimeSeconds", None)
            return members
        if shape.type_name == "list":
            return [self.of_shape(shape.member, name) for _ in range(self.random.randrange(4))]
        if shape.type_name == "map":
            keys = ["VisibilityTimeout", "RedrivePolicy", "Policy", "a", *TEXTS]
            return {self.random.choice(keys): self.of_shape(shape.value, name) for _ in range(self.random.randrange(3))}
        if name == "QueueUrl":
            return self.queue.url
        if shape.type_name in ("integer", "long"):
            return self.random.choice(NUMBERS)
        if shape.type_name == "blob":
            return base64.b64encode(self.random.randbytes(5)).decode()
        return self.random.choice([*TEXTS, "String", "Number", "Binary", "a", "b", "SendMessage"])

    def bytes(self, whole: bytes) -> bytes:
        """The bytes, or less or other than these."""
        pick = self.random.randrange(10)
        if pick == 0:
            return whole[: self.random.randrange(len(whole) + 1)]
        if pick == 1:
            return self.random.randbytes(self.random.randrange(200))
        if pick == 2 and whole:
            place = self.random.randrange(len(whole))
            return whole[:place] + self.random.randbytes(self.random.randrange(1, 4)) + whole[place + 1 :]
        return whole

    def form(self, value: Any, name: str = "") -> Iterator[tuple[str, str]]:
        """A value as a form might have it."""
        if isinstance(value, dict):
            for key, member in value.items():
                yield from self.form(member, f"{name}.{key}" if name else str(key))
        elif isinstance(value, list):
            for i, member in enumerate(value):
                yield from self.form(member, f"{name}.{i + self.random.randrange(2)}")
        else:
            yield name, str(value)

    def request(self) -> bytes:
        """One request."""
        action = self.random.choice([*self.model.operation_names, "", "Nope", "sendmessage"])
        if action in ("DeleteQueue", "CreateQueue"):
            action = "SendMessage"
        shape = self.model.operation_model(action).input_shape if action in self.model.operation_names else None
        value = self.of_shape(shape, "") if shape else self.value()
        path = self.random.choice(
            ["/", "/", urllib.parse.urlsplit(self.queue.url).path, "/x", "/%00/%ff?Action=%ff", "//"]
        )
        if self.random.random() < 0.6:
            body = self.bytes(json.dumps(value).encode())
            return post(body, {"Content-Type": JSON_TYPE, "X-Amz-Target": f"AmazonSQS.{action}"}, path)
        pairs = [("Action", action), *self.form(value)] if isinstance(value, dict) else [("Action", action)]
        body = self.bytes(urllib.parse.urlencode(pairs, errors="replace").encode())
        return post(body, {"Content-Type": self.random.choice([FORM_TYPE, FORM_TYPE, "text/plain", "%"])}, path)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """An endpoint that others do not need any more."""
    with local_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def queue(endpoint: Endpoint) -> Queue:
    """A queue that may be ruined."""
    return Queue(endpoint.client(), new_name())


@pytest.mark.parametrize("seed", range(4))
def test_every_request_gets_an_answer(endpoint: Endpoint, queue: Queue, seed: int) -> None:
    chance = Chance(seed, queue, queue.client.meta.service_model)
    with Line(endpoint) as line:
        for _ in range(ROUNDS // 4):
            request = chance.request()
            line.write(request)
            answer = line.answer()
            check(answer, request)
            assert answer.headers.get("connection") != "close", request
    fresh = Queue(queue.client, new_name())
    fresh.send("x")
    assert fresh.receive()[0]["Body"] == "x"


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (JSON_TYPE, b"[" * 100_000),
        (JSON_TYPE, b'{"a":' * 100_000),
        (JSON_TYPE, b'{"QueueUrl":"' + b"\\ud800" * 100 + b'"}'),
        (JSON_TYPE, b'{"MaxNumberOfMessages":1' + b"0" * 100_000 + b"}"),
        (JSON_TYPE, b'{"QueueUrl":"\xff\xfe"}'),
        (JSON_TYPE, b'\xef\xbb\xbf{"QueueUrl":"x"}'),
        (JSON_TYPE, b'{"QueueUrl":"a","QueueUrl":"b"}'),
        (FORM_TYPE, b"Action=SendMessage&" + b"a." * 100_000 + b"=x"),
        (FORM_TYPE, b"Action=SendMessage&" + b"a=b&" * 100_000),
        (FORM_TYPE, b"Action=SendMessage&MessageBody=" + b"%" * 1000),
        (FORM_TYPE, b"Action=%53endMessage&QueueUrl=%00"),
    ],
)
def test_bombs_are_refused(endpoint: Endpoint, media_type: str, body: bytes) -> None:
    headers = {"Content-Type": media_type}
    if media_type == JSON_TYPE:
        headers["X-Amz-Target"] = "AmazonSQS.ReceiveMessage"
    with Line(endpoint) as line:
        line.write(post(body, headers))
        answer = line.answer()
    assert answer.status == 400
    check(answer, body[:40])


def send(queue: Queue, more: dict[str, str]) -> bytes:
    """A good request."""
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "x"}).encode()
    return post(body, {"Content-Type": JSON_TYPE, "X-Amz-Target": "AmazonSQS.SendMessage", **more})


def test_requests_may_come_one_behind_the_other(endpoint: Endpoint, queue: Queue) -> None:
    with Line(endpoint) as line:
        line.write(send(queue, {}) * 20)
        assert [line.answer().status for _ in range(20)] == [200] * 20
    assert queue.counts() == (20, 0)


def test_a_client_that_asks_first_is_told_to_go_on(endpoint: Endpoint, queue: Queue) -> None:
    request = send(queue, {"Expect": "100-continue"})
    head, body = request.split(b"\r\n\r\n", 1)
    with Line(endpoint) as line:
        line.write(head + b"\r\n\r\n")
        assert line.answer().status == 100
        line.write(body)
        assert line.answer().status == 200


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}])
def test_a_body_above_the_limit_is_refused_unread(endpoint: Endpoint, queue: Queue, expect: dict[str, str]) -> None:
    head = send(queue, expect).split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    head = [line for line in head if not line.startswith(b"Content-Length")]
    with Line(endpoint) as line:
        line.write(b"\r\n".join([*head, f"Content-Length: {BODY_BYTES_MAX + 1}".encode(), b"", b""]))
        answer = line.answer()
    assert answer.status == 413
    check(answer, "too large")


def test_the_oldest_http(endpoint: Endpoint, queue: Queue) -> None:
    with Line(endpoint) as line:
        line.write(send(queue, {}).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: sqs.test\r\n", b""))
        assert line.answer().status == 200
        assert line.file.read() == b"", "it ends with its answer"
    assert queue.counts() == (1, 0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: \xff\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused(endpoint: Endpoint, request_bytes: bytes) -> None:
    with Line(endpoint) as line:
        line.write(request_bytes)
        answer = line.answer()
    assert 400 <= answer.status < 500, answer
