"""The recipes of docs/local.md, run as they are written there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Optional

import boto3
import pytest
from support.endpoints import Endpoint, clean_environment, local_endpoint, pyqs_command
from support.peers import node_peer, python_peer
from support.processes import Process

DOCS = Path(__file__).parents[2] / "docs" / "local.md"
PEERS = Path(__file__).parent / "peers"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
KEYS = "[default]\naws_access_key_id = ada\naws_secret_access_key = secret\n"


def block(language: str, having: str = "") -> str:
    """The only block in that language with this text in it."""
    (found,) = [text for name, text in BLOCKS if name == language and having in text]
    return found


def commands(text: str) -> list[list[str]]:
    """A console block's commands as words, variables before them included."""
    return [shlex.split(line[2:]) for line in text.splitlines() if line.startswith("$ ")]


class Server(Process):
    """An endpoint that is started in a folder by a recipe's words, but for the port, which is any."""

    def __init__(self, words: list[str], folder: Path, environment: Optional[dict[str, str]] = None) -> None:
        variables = [word for word in words if re.match(r"[A-Z_]+=", word)]
        words = words[len(variables) :]
        assert words[0] == "pyqs"
        settings = dict(word.split("=", 1) for word in variables)
        own = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / ".local" / "share"), "PYQS_LOCAL_PORT": "0"}
        environment = {**clean_environment(), **own, **settings, **(environment or {})}
        super().__init__([*pyqs_command(), *words[1:]], env=environment, cwd=folder)

    @property
    def url(self) -> str:
        return self.wait_for(r"AWS_ENDPOINT_URL=(\S+)").group(1)

    def queues(self, key: str = "local", secret: str = "local") -> dict[str, dict[str, str]]:
        """The attributes of its queues by their names."""
        sqs = boto3.client(
            "sqs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )
        urls = sqs.list_queues().get("QueueUrls", [])
        read = sqs.get_queue_attributes
        return {url.split("/")[-1]: read(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls}


def test_the_first_command_prints_what_the_page_says(tmp_path: Path) -> None:
    recipe = block("console", "--queue email")
    (words,) = commands(recipe)
    server = Server(words, tmp_path)
    try:
        expected = recipe.splitlines()[1:]
        port = server.url.rsplit(":", 1)[1]
        server.wait_for(r"Ctrl-C stops")
        found = server.output.replace(str(tmp_path), "~").splitlines()
        assert found == [line.replace("9324", port) for line in expected]
        assert set(server.queues()) == {"email", "orders.fifo"}
    finally:
        assert server.stop() == 0


def test_the_lines_that_it_prints_are_all_that_a_client_needs(tmp_path: Path) -> None:
    server = Server(["pyqs", "local", "--memory"], tmp_path)
    try:
        server.wait_for(r"Ctrl-C stops|nothing is kept|AWS_DEFAULT_REGION")
        exports = "\n".join(line for line in server.output.splitlines() if line.startswith("export "))
        program = "import boto3; print(boto3.client('sqs').create_queue(QueueName='a')['QueueUrl'])"
        script = f"{exports}\nexec {shlex.quote(sys.executable)} -c {shlex.quote(program)}"
        printed = subprocess.run(
            ["sh", "-c", script], env=clean_environment(), text=True, capture_output=True, check=True
        ).stdout
        assert printed.strip() == f"{server.url}/000000000000/a"
    finally:
        server.kill()


def test_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "local.toml").write_text(block("toml"))
    (tmp_path / "keys").write_text(KEYS)
    server = Server(["pyqs", "local", "--config", "local.toml"], tmp_path)
    try:
        queues = server.queues("ada", "secret")
        assert set(queues) == {"email", "email-dead", "orders.fifo"}
        assert queues["email"]["VisibilityTimeout"] == "120"
        assert json.loads(queues["email"]["RedrivePolicy"])["maxReceiveCount"] == 3
        assert queues["orders.fifo"]["ContentBasedDeduplication"] == "true"
        assert (tmp_path / "data" / "pyqs.sqlite3").exists()
    finally:
        server.kill()


@pytest.mark.parametrize("number", [0, 1])
def test_keys(tmp_path: Path, number: int) -> None:
    words = commands(block("console", "--credentials keys"))[number]
    (tmp_path / "keys").write_text(KEYS)
    server = Server(words, tmp_path)
    try:
        # The page leaves the secret out, in dots.
        assert server.queues("ada", ["secret", "..."][number]) == {}
    finally:
        server.kill()


def test_the_container(tmp_path: Path) -> None:
    dockerfile = block("dockerfile")
    (environment,) = re.findall(r"^ENV (.*)", dockerfile, re.MULTILINE)
    (command,) = re.findall(r"^CMD (.*)", dockerfile, re.MULTILINE)
    (queue,) = re.findall(r'PYQS_LOCAL_QUEUE: "(.*?)"', block("yaml"))
    (volume,) = re.findall(r"^VOLUME (.*)", dockerfile, re.MULTILINE)
    settings = dict(word.split("=", 1) for word in shlex.split(environment))
    settings = {name: str(tmp_path) if value == volume else value for name, value in settings.items()}
    assert str(tmp_path) in settings.values()
    server = Server(json.loads(command), tmp_path, {**settings, "PYQS_LOCAL_QUEUE": queue})
    try:
        assert set(server.queues()) == {"email", "email-dead", "orders.fifo"}
        assert (tmp_path / "pyqs.sqlite3").exists()
    finally:
        assert server.stop() == 0


def test_the_program_for_tests(tmp_path: Path) -> None:
    environment = {**clean_environment(), "PATH": f"{Path(pyqs_command()[0]).parent}:{os.environ['PATH']}"}
    program = block("python") + "\nprint(queue)\nserver.terminate()\nassert server.wait() == 0\n"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, text=True, capture_output=True, check=True
    )
    assert re.fullmatch(r"http://127.0.0.1:\d+/000000000000/email\n", done.stdout)


def test_the_aws_command_line(tmp_path: Path) -> None:
    aws = python_peer("awscli", PEERS / "awscli.txt") / "aws"
    with local_endpoint() as endpoint:
        # Version 1, which is what can be had here, looks at AWS_ENDPOINT_URL only outside of Amazon's regions.
        environment = {**endpoint.environment, "AWS_DEFAULT_REGION": "local"}
        for words in commands(block("console", "aws sqs")):
            assert words[0] == "aws"
            words = [word.replace("http://127.0.0.1:9324", endpoint.url) for word in words[1:]]
            subprocess.run([str(aws), *words], env=environment, capture_output=True, check=True)
        queue = endpoint.client().get_queue_url(QueueName="email")["QueueUrl"]
        (message,) = endpoint.client().receive_message(QueueUrl=queue)["Messages"]
        assert message["Body"] == "hello"


def test_the_javascript_sdk(ours: Endpoint) -> None:
    folder = node_peer("javascript", PEERS / "javascript" / "package.json")
    program = block("js") + 'await sqs.send(new SendMessageCommand({ QueueUrl: process.argv[1], MessageBody: "js" }));'
    client = ours.client()
    queue = client.create_queue(QueueName="from-javascript")["QueueUrl"]
    run = ["node", "--input-type=module", "-e", program, queue]
    subprocess.run(run, env={**ours.environment, "AWS_REGION": "us-east-1"}, cwd=folder, check=True)
    assert client.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "js"


def test_every_recipe_has_its_test() -> None:
    languages = [name for name, _ in BLOCKS]
    assert languages == ["console", "toml", "console", "dockerfile", "yaml", "python", "console", "js"]
