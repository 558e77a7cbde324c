"""A stand-in for SQS, for a proxy and for the places credentials come from, that writes down what reaches it."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Callable, Optional

from support.waiting import eventually

Answer = tuple[int, dict[str, Any]]

IDLE_POLL_SECS = 0.3
"""How long a receive waits for messages that never come; SQS would wait 20 s."""


@dataclass(frozen=True)
class Request:
    """A request that came."""

    method: str
    target: str
    """The path, or what a proxy is asked for."""
    headers: dict[str, str] = field(repr=False)
    """By lower-case names."""
    body: bytes = field(repr=False)

    @property
    def action(self) -> str:
        """The SQS action; empty where it is none."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def access_key_id(self) -> Optional[str]:
        """Who signed it."""
        return self._credential(1)

    @property
    def region(self) -> Optional[str]:
        """The region it was signed for."""
        return self._credential(2)

    def json(self) -> dict[str, Any]:
        """What is asked."""
        found: dict[str, Any] = json.loads(self.body or b"{}")
        return found

    def _credential(self, part: int) -> Optional[str]:
        found = re.search(r"Credential=([^/]+)/\d+/([^/]+)/sqs/", self.headers.get("authorization", ""))
        return found.group(part) if found else None


class Recorder:
    """An HTTP server on a free port. ``answer`` may be replaced: it sees each request before the default answers."""

    def __init__(self, tls: Optional[ssl.SSLContext] = None) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Optional[Answer]] = lambda _request: None
        self._closing = threading.Event()
        self._server = _server(self)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.port: int = self._server.server_address[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *_: tuple[type[BaseException], BaseException, TracebackType]) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def actions(self) -> list[str]:
        """The SQS actions that came, in order."""
        return [request.action for request in list(self.requests) if request.action]

    def first(self, action: str) -> Request:
        """Wait for the first request of an action."""
        return eventually(
            lambda: next((request for request in list(self.requests) if request.action == action), None),
            f"a request {action}",
        )  # type: ignore[return-value]

    def reply(self, request: Request) -> Answer:
        """What is answered: what the test says, else as an SQS with every queue and no message would."""
        self.requests.append(request)
        answer = self.answer(request)
        if answer is not None:
            return answer
        asked = request.json() if request.action else {}
        if request.action in ("GetQueueUrl", "CreateQueue"):
            return 200, {"QueueUrl": f"{self.url}/000000000000/{asked['QueueName']}"}
        if request.action == "GetQueueAttributes":
            return 200, {"Attributes": {"VisibilityTimeout": "30", "MaximumMessageSize": "1048576"}}
        if request.action == "SendMessage":
            return 200, _sent(asked["MessageBody"])
        if request.action == "SendMessageBatch":
            sent = [{"Id": entry["Id"], **_sent(entry["MessageBody"])} for entry in asked["Entries"]]
            return 200, {"Successful": sent, "Failed": []}
        if request.action == "ReceiveMessage":
            self._closing.wait(IDLE_POLL_SECS)
            return 200, {}
        return (200, {}) if request.action else (404, {})

    def bodies(self) -> list[str]:
        """The message bodies that were sent here."""
        found: list[str] = []
        for request in list(self.requests):
            if request.action == "SendMessage":
                found.append(request.json()["MessageBody"])
            elif request.action == "SendMessageBatch":
                found += [entry["MessageBody"] for entry in request.json()["Entries"]]
        return found


def error(status: int, code: str, message: str = "because the test says so") -> Answer:
    """An error as SQS answers it."""
    return status, {"__type": f"com.amazonaws.sqs#{code}", "message": message}


def _sent(body: str) -> dict[str, str]:
    checksum = hashlib.md5(body.encode()).hexdigest()
    return {"MessageId": "5fea7756-0ea4-451a-a703-a558b933e274", "MD5OfMessageBody": checksum}


def _server(recorder: Recorder) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_request(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            status, answer = recorder.reply(Request(self.command, self.path, headers, body))
            # The places credentials come from answer plain text now and then.
            data = answer["text"].encode() if "text" in answer else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if "text" in answer else "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-aws-ec2-metadata-token-ttl-seconds", "21600")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_CONNECT = handle_request

        def log_message(self, *_: object) -> None:
            """Say nothing: what came is in ``requests``."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """A client that goes away is what some tests are about."""

    return Server(("127.0.0.1", 0), Handler)
