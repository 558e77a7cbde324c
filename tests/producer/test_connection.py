"""How a producer reaches SQS: credentials, region, endpoint, certificates, proxies."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest
import trustme
from support.projects import Project
from support.recorder import Answer, Recorder, Request

SEND = """
import pyqs, tasks
try:
    print("sent", pyqs.task(queue="email")(tasks.work).delay(1))
except pyqs.errors.PyqsError as error:
    print(type(error).__name__, "|", error)
"""

CONFIG = "[default]\nregion = eu-central-1\n[profile shop]\nregion = eu-west-3\n"
CREDENTIALS = "[shop]\naws_access_key_id = FROMPROFILE\naws_secret_access_key = secret\n"
NO_REGION = {"AWS_DEFAULT_REGION": None}


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_DEFAULT_REGION": "us-west-1", "AWS_REGION": "us-west-2"}, "us-west-1"),
        ({**NO_REGION, "AWS_REGION": "us-west-2", "AWS_PROFILE": "shop"}, "us-west-2"),
        ({**NO_REGION, "AWS_PROFILE": "shop"}, "eu-west-3"),
        (NO_REGION, "eu-central-1"),
        ({**NO_REGION, "AWS_CONFIG_FILE": "/dev/null"}, "us-east-1"),
    ],
)
def test_the_region(
    ours_project: Project, recorder: Recorder, environment: dict[str, Optional[str]], region: str
) -> None:
    config = str(ours_project.write("config", CONFIG))
    variables = {"AWS_CONFIG_FILE": config, **environment, "AWS_ENDPOINT_URL": recorder.url}
    code = f"{SEND}\nfrom pyqs.utils import get_aws_region_name\nprint(get_aws_region_name())"
    printed = ours_project.python(code, **variables)

    assert printed.startswith("sent ")
    assert {request.region for request in recorder.requests} == {region}
    assert printed.splitlines()[1] == region


def test_keys_of_a_profile(ours_project: Project, recorder: Recorder) -> None:
    files = {
        "AWS_CONFIG_FILE": str(ours_project.write("config", CONFIG)),
        "AWS_SHARED_CREDENTIALS_FILE": str(ours_project.write("credentials", CREDENTIALS)),
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
        "AWS_PROFILE": "shop",
    }
    assert ours_project.python(SEND, **files, AWS_ENDPOINT_URL=recorder.url).startswith("sent ")

    assert {request.access_key_id for request in recorder.requests} == {"FROMPROFILE"}


def test_configure_goes_before_the_environment(ours_project: Project, recorder: Recorder) -> None:
    configure = (
        f"import pyqs; pyqs.configure(region='ap-south-1', access_key_id='FROMCODE', secret_access_key='s',"
        f" endpoint_url='{recorder.url}')\n"
    )
    assert ours_project.python(configure + SEND).startswith("sent ")

    assert {(request.access_key_id, request.region) for request in recorder.requests} == {("FROMCODE", "ap-south-1")}


def test_aws_endpoint_url_sqs_goes_before_aws_endpoint_url(ours_project: Project, recorder: Recorder) -> None:
    variables = {"AWS_ENDPOINT_URL_SQS": recorder.url, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}

    assert ours_project.python(SEND, **variables).startswith("sent ")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that no machine trusts."""
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Recorder]:
    """A stand-in for SQS behind TLS, with a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    with Recorder(context) as recorder:
        yield recorder


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The authority's certificate, in a file."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def test_aws_ca_bundle_says_whom_to_trust(ours_project: Project, secure: Recorder, bundle: str) -> None:
    printed = ours_project.python(SEND, AWS_ENDPOINT_URL=secure.url, AWS_CA_BUNDLE=bundle)

    assert printed.startswith("sent "), printed


def test_the_worker_trusts_aws_ca_bundle_too(ours_project: Project, secure: Recorder, bundle: str) -> None:
    ours_project.worker("email", AWS_ENDPOINT_URL=secure.url, AWS_CA_BUNDLE=bundle)

    secure.first("ReceiveMessage")


def test_an_unknown_authority_is_not_trusted(ours_project: Project, secure: Recorder) -> None:
    printed = ours_project.python(SEND, AWS_ENDPOINT_URL=secure.url, AWS_MAX_ATTEMPTS="1")

    assert printed.startswith("EndpointUnreachable | ")
    assert "certificate" in printed
    assert secure.requests == []


def test_a_ca_bundle_that_is_not_there_is_told_of(ours_project: Project, recorder: Recorder) -> None:
    printed = ours_project.python(SEND, AWS_ENDPOINT_URL=recorder.url, AWS_CA_BUNDLE="/no/such/bundle.pem")

    assert "/no/such/bundle.pem" in printed
    assert len(printed.splitlines()) == 1


ELSEWHERE = "http://sqs.shop.test:4566"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_http_proxy(ours_project: Project, recorder: Recorder, variable: str) -> None:
    """The recorder stands for the proxy here, and answers for the endpoint that is asked for."""
    environment = {variable: recorder.url, "AWS_ENDPOINT_URL": ELSEWHERE}
    assert ours_project.python(SEND, **environment).startswith("sent ")

    assert all(request.target.startswith((ELSEWHERE, recorder.url)) for request in recorder.requests)
    assert recorder.requests[0].target.startswith(ELSEWHERE)


def test_https_proxy_is_asked_for_a_tunnel(ours_project: Project, recorder: Recorder) -> None:
    recorder.answer = lambda _request: (502, {})
    environment = {
        "HTTPS_PROXY": recorder.url,
        "AWS_ENDPOINT_URL": "https://sqs.shop.test",
        "AWS_MAX_ATTEMPTS": "1",
    }
    printed = ours_project.python(SEND, **environment)

    assert printed.startswith("EndpointUnreachable | ")
    assert [(request.method, request.target) for request in recorder.requests] == [("CONNECT", "sqs.shop.test:443")]


@pytest.mark.parametrize("exception", ["127.0.0.1", "localhost,127.0.0.1", "*"])
def test_no_proxy(ours_project: Project, recorder: Recorder, exception: str) -> None:
    environment = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": exception, "AWS_ENDPOINT_URL": recorder.url}

    assert ours_project.python(SEND, **environment).startswith("sent ")


def test_a_container_role(ours_project: Project, recorder: Recorder) -> None:
    def answer(request: Request) -> Optional[Answer]:
        if request.target == "/role":
            role = {"AccessKeyId": "FROMCONTAINER", "SecretAccessKey": "s", "Token": "t"}
            return 200, {**role, "Expiration": "2099-01-01T00:00:00Z"}
        return None

    recorder.answer = answer
    printed = ours_project.python(
        SEND,
        AWS_ENDPOINT_URL=recorder.url,
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{recorder.url}/role",
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
    )

    assert printed.startswith("sent ")
    assert recorder.first("GetQueueUrl").access_key_id == "FROMCONTAINER"
