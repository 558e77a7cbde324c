"""Who is let in: keys and certificates, as AWS's own clients meet them, and as the worker does."""

from __future__ import annotations

import datetime
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, SSLError
from support.endpoints import Endpoint, local_endpoint
from support.projects import Project
from support.queues import Queue, new_name

TLS = Path(__file__).parents[2] / "crates" / "pyqs-sqs" / "tests" / "tls"
KEY, SECRET, REGION = "ADA", "wJalrXUtnFEMI+K7MDENG/", "eu-west-1"


class SecuredEndpoint(Endpoint):
    """An endpoint with HTTPS, of a private authority, that verifies signatures."""

    def __init__(self, url: str) -> None:
        super().__init__("pyqs", url.replace("127.0.0.1", "localhost"))

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CA_BUNDLE": str(TLS / "ca.pem"),
        }

    def client(self, key: str = KEY, secret: str = SECRET, **options: Any) -> Any:
        settings = {"region_name": REGION, "verify": str(TLS / "ca.pem"), "endpoint_url": self.url, **options}
        return boto3.client("sqs", aws_access_key_id=key, aws_secret_access_key=secret, **settings)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredEndpoint]:
    credentials = tmp_path_factory.mktemp("keys") / "credentials"
    credentials.write_text(f"[ada]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    certificate = ["--tls-cert", str(TLS / "server.pem"), "--tls-key", str(TLS / "server.key")]
    options = ["--memory", "--region", REGION, "--credentials", str(credentials), *certificate]
    with local_endpoint(*options) as endpoint:
        yield SecuredEndpoint(endpoint.url)


def refusal(client: Any) -> tuple[str, int, str]:
    """Code, status and message with which a client is refused."""
    with pytest.raises(ClientError) as raised:
        client.list_queues()
    response: Any = raised.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_the_right_key_is_let_in(secured: SecuredEndpoint) -> None:
    queue = Queue(secured.client(), new_name())
    assert queue.url.startswith(secured.url + "/")
    sent = queue.send("häl+lo / %")
    (message,) = queue.take()
    assert (message["MessageId"], message["Body"]) == (sent, "häl+lo / %")
    with_token = secured.client(aws_session_token="a token")
    assert with_token.get_queue_url(QueueName=queue.name)["QueueUrl"] == queue.url


def test_other_keys_and_secrets_are_refused(secured: SecuredEndpoint) -> None:
    code, status, message = refusal(secured.client(secret="another"))
    assert (code, status) == ("SignatureDoesNotMatch", 403)
    assert message.startswith("The request signature we calculated does not match")
    assert SECRET not in message
    invalid = "The security token included in the request is invalid."
    assert refusal(secured.client(key="EVE")) == ("InvalidClientTokenId", 403, invalid)
    code, status, message = refusal(secured.client(region_name="us-east-1"))
    assert (code, status) == ("SignatureDoesNotMatch", 403)
    assert message == "Credential should be scoped to a valid region, not 'us-east-1'."


@pytest.mark.parametrize(("minutes", "words"), [(-16, "Signature expired: "), (16, "Signature not yet current: ")])
def test_a_clock_that_is_off_is_named(secured: SecuredEndpoint, minutes: int, words: str) -> None:
    skewed = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    sign = SigV4Auth._modify_request_before_signing

    def sign_then(self: SigV4Auth, request: Any) -> None:
        request.context["timestamp"] = skewed.strftime("%Y%m%dT%H%M%SZ")
        sign(self, request)

    with mock.patch.object(SigV4Auth, "_modify_request_before_signing", sign_then):
        code, status, message = refusal(secured.client())
    assert (code, status) == ("SignatureDoesNotMatch", 403)
    assert message.startswith(words)


def get(url: str) -> tuple[int, str]:
    """Status and body of a URL, as a program without an SDK gets it."""
    trust = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
    try:
        with urllib.request.urlopen(url, context=trust) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_presigned_urls(secured: SecuredEndpoint) -> None:
    queue = Queue(secured.client(), new_name())
    parameters = {"Action": "SendMessage", "MessageBody": "a b+c/é", "Version": "2012-11-05"}
    query = urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote)
    request = AWSRequest("GET", f"{queue.url}?{query}")
    SigV4QueryAuth(Credentials(KEY, SECRET), "sqs", REGION, expires=60).add_auth(request)
    url = request.prepare().url
    assert get(url)[0] == 200
    assert [message["Body"] for message in queue.take()] == ["a b+c/é"]
    status, body = get(url.replace("SendMessage", "PurgeQueue"))
    assert (status, "<Code>SignatureDoesNotMatch</Code>" in body) == (403, True)
    status, body = get(f"{queue.url}?{query}")
    assert (status, "<Code>MissingAuthenticationToken</Code>" in body) == (403, True)


def test_a_certificate_must_be_trusted(secured: SecuredEndpoint) -> None:
    with pytest.raises(SSLError):
        secured.client(verify=True).list_queues()
    assert get(secured.url + "/health") == (200, '{"status":"ok"}')


def test_what_was_received_over_https_stays_received(secured: SecuredEndpoint) -> None:
    queue = Queue(secured.client(), new_name())
    queue.send("a")
    client = secured.client()
    assert len(client.receive_message(QueueUrl=queue.url)["Messages"]) == 1
    client.close()
    assert queue.receive(wait_secs=2) == []


MAILING = """
from pyqs import task

@task(queue="{queue}")
def note(number):
    print("noted", number)
"""


def test_tasks_are_sent_and_run_over_https_with_keys(secured: SecuredEndpoint, tmp_path: Path) -> None:
    project = Project(tmp_path, secured)
    try:
        queue = Queue(secured.client(), new_name())
        project.write("mailing.py", MAILING.format(queue=queue.name))
        project.python("import mailing; [mailing.note.delay(n) for n in range(20)]")
        worker = project.worker(queue.name)
        worker.wait_for(r"^noted \d+", count=20)
        queue.wait_until_empty()
    finally:
        project.close()
