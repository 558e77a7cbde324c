"""The main job, end to end: a mailing worked through on the built-in endpoint.

Starts `pyqs local` on a free loopback port with a fresh data folder, enqueues 2,000
e-mails with `.delay`, adds a hundred that Celery wrote and three poison messages, and
lets `pyqs email* --concurrency 4` deliver them into a Maildir. The table at the end is
counted from the Maildir, the folder of first tries and the queues; the exit code is 0
only when it adds up.
"""

from __future__ import annotations

import csv
import json
import mailbox
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Optional

HERE = Path(__file__).resolve().parent
PYQS = [sys.executable, "-m", "pyqs"]
VISIBILITY_TIMEOUT_SECS = 2
RECEIVES_MAX = 3
POISON = {
    "broken base64": "eyJ0YXNrIjogIm1haWxpbmcuc2VuZF9lbWFpbCIsICJhcmdz*IjogW10sICJrd2FyZ3MiOiB7fX0",
    "unknown task": json.dumps({"task": "mailing.send_fax", "args": [1], "kwargs": {}}),
    "wrong arguments": json.dumps({"task": "mailing.send_email", "args": [], "kwargs": {"fax": "+49 40 1234"}}),
}
DEADLINE_SECS = 120


class Endpoint:
    """The few calls to the endpoint that a person would make with `aws sqs`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, action: str, **members: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            self.url,
            data=json.dumps(members).encode(),
            headers={"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.loads(answer.read() or b"{}"))

    def create_queue(self, name: str, **attributes: str) -> str:
        return str(self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])

    def counts(self, queue_url: str) -> tuple[int, int]:
        """How many messages wait, and how many are hidden (in flight or delayed)."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        attributes = self.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=names)["Attributes"]
        waiting, in_flight, delayed = (int(attributes[name]) for name in names)
        return waiting, in_flight + delayed


class Bar:
    """A progress bar on a terminal; a line now and then elsewhere."""

    WIDTH = 40

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.shown = title, total, -1
        self.is_terminal = sys.stderr.isatty()

    def show(self, done: int, note: str = "") -> None:
        tenth = done * 10 // self.total
        if not self.is_terminal and tenth == self.shown:
            return
        self.shown = tenth
        filled = done * self.WIDTH // self.total
        start, end = ("\r\x1b[K", "") if self.is_terminal else ("", "\n")
        bar = "█" * filled + "·" * (self.WIDTH - filled)
        sys.stderr.write(f"{start}{self.title:<11} {bar} {done:>5}/{self.total}  {note}{end}")
        sys.stderr.flush()

    def close(self) -> None:
        if self.is_terminal:
            sys.stderr.write("\n")


def main() -> int:
    started = time.monotonic()
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pyqs-demo-")))
        mailbox.Maildir(folder / "maildir", create=True)
        (folder / "first-tries").mkdir()
        endpoint = start_endpoint(folder, cleanup)
        os.environ.update(
            AWS_ENDPOINT_URL=endpoint.url,
            AWS_ACCESS_KEY_ID="demo",
            AWS_SECRET_ACCESS_KEY="demo",
            AWS_DEFAULT_REGION="us-east-1",
            MAILING_FOLDER=str(folder),
        )
        undelivered = endpoint.create_queue("undelivered")
        arn = endpoint.call("GetQueueAttributes", QueueUrl=undelivered, AttributeNames=["QueueArn"])["Attributes"]
        email = endpoint.create_queue(
            "email",
            VisibilityTimeout=str(VISIBILITY_TIMEOUT_SECS),
            RedrivePolicy=json.dumps({"deadLetterTargetArn": arn["QueueArn"], "maxReceiveCount": RECEIVES_MAX}),
        )
        expected = enqueue(endpoint, email)
        worked_secs = work(endpoint, email, undelivered, folder, len(expected), cleanup)
        figures = count(endpoint, email, undelivered, folder, expected, worked_secs)
    return report(figures, time.monotonic() - started)


def start_endpoint(folder: Path, cleanup: ExitStack) -> Endpoint:
    server = subprocess.Popen(
        [*PYQS, "local", "--port", "0", "--data", str(folder / "queues")],
        stdout=subprocess.PIPE,
        text=True,
    )
    cleanup.callback(stop, server)
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"AWS_ENDPOINT_URL=(\S+)", line):
            print(f"endpoint    pyqs local on {found[1]}, data in {folder / 'queues'}", file=sys.stderr)
            return Endpoint(found[1])
    raise SystemExit("pyqs local ended before it listened; its message is above")


def enqueue(endpoint: Endpoint, email: str) -> set[int]:
    """Send everything; return the numbers of the e-mails that must be delivered."""
    sys.path.insert(0, str(HERE))
    from mailing import send_email

    with open(HERE / "emails.csv", encoding="utf-8", newline="") as rows:
        letters = list(csv.DictReader(rows))
    from_celery = (HERE / "from_celery.txt").read_text().split()
    bar = Bar("enqueueing", len(letters) + len(from_celery) + len(POISON))
    began = time.monotonic()
    expected = set()
    for letter in letters:
        number = int(letter["number"])
        send_email.delay(number, letter["to"], subject=letter["subject"], body=letter["body"])
        expected.add(number)
        bar.show(len(expected))
    sent = len(letters)
    for body in [*POISON.values(), *from_celery]:
        endpoint.call("SendMessage", QueueUrl=email, MessageBody=body)
        sent += 1
        bar.show(sent, f"{sent / (time.monotonic() - began):,.0f} a second")
    bar.close()
    # Celery's hundred carry the numbers after those of the file.
    return expected | {len(letters) + 1 + i for i in range(len(from_celery))}


def work(endpoint: Endpoint, email: str, undelivered: str, folder: Path, total: int, cleanup: ExitStack) -> float:
    """Run the worker until the queue is empty; return the seconds until all first tries were made."""
    delivered = folder / "maildir" / "new"
    first_tries = folder / "first-tries"
    log = cleanup.enter_context((folder / "worker.log").open("w+", encoding="utf-8"))
    worker = subprocess.Popen([*PYQS, "email*", "--concurrency", "4"], cwd=HERE, stderr=log)
    cleanup.callback(stop, worker)
    bar = Bar("delivering", total)
    began = time.monotonic()
    first_tries_done: Optional[float] = None

    def is_finished() -> bool:
        nonlocal first_tries_done
        done = count_files(delivered)
        if first_tries_done is None and done + count_files(first_tries) >= total:
            first_tries_done = time.monotonic() - began
        waiting, hidden = endpoint.counts(email)
        poison = sum(endpoint.counts(undelivered))
        bar.show(done, f"{waiting} waiting, {hidden} in flight or backing off, {poison} dead-lettered")
        return waiting + hidden == 0

    finished = wait_until(is_finished, worker)
    bar.close()
    stop(worker)
    if not finished or worker.returncode != 0:
        log.seek(0)
        sys.stderr.write(log.read())
        print(f"the worker did not finish: exit code {worker.returncode}; its log is above", file=sys.stderr)
    return first_tries_done or time.monotonic() - began


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECS
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return True
        time.sleep(0.1)
    return False


def count_files(folder: Path) -> int:
    return sum(1 for _ in os.scandir(folder))


def count(
    endpoint: Endpoint, email: str, undelivered: str, folder: Path, expected: set[int], worked_secs: float
) -> dict[str, Any]:
    """Count what is really there: letters in the Maildir, first tries, messages in the queues."""
    letters = Counter(int(letter["X-Number"]) for letter in mailbox.Maildir(folder / "maildir"))
    first_tries = count_files(folder / "first-tries")
    return {
        "sent": len(expected) + len(POISON),
        "delivered": len(letters),
        "retried": first_tries,
        "in the dead-letter queue": sum(endpoint.counts(undelivered)),
        "left in the queue": sum(endpoint.counts(email)),
        "duplicates": sum(letters.values()) - len(letters),
        "lost": len(expected - letters.keys()),
        "unasked for": len(letters.keys() - expected),
        "retries expected": sum(1 for number in expected if number % 50 == 0),
        "tasks per second": round((len(letters) + first_tries) / worked_secs),
    }


def report(figures: dict[str, Any], total_secs: float) -> int:
    adds_up = (
        figures["delivered"] + figures["in the dead-letter queue"] == figures["sent"]
        and figures["in the dead-letter queue"] == len(POISON)
        and figures["retried"] == figures.pop("retries expected")
        and not any(figures[name] for name in ("lost", "duplicates", "left in the queue"))
        and not figures.pop("unasked for")
    )
    print()
    for name, value in figures.items():
        print(f"  {name:<26}{value:>8,}")
    verdict = "the figures add up" if adds_up else "THE FIGURES DO NOT ADD UP"
    print(f"\n  {verdict}, after {total_secs:.0f} seconds")
    return 0 if adds_up else 1


def stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
