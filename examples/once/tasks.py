"""Large statements, each booked once however often it is sent.

    export PYQS_PAYLOAD_STORE=file:///var/lib/books/payloads    # for whoever sends, too
    pyqs books --import tasks --concurrency 2 --idempotency-store sqlite:///var/lib/books/keys.db

In production: ``s3://my-bucket/payloads`` and ``redis://cache:6379/0``.
"""

import hashlib
import json

from pyqs import task


def fingerprint(account, lines):
    """The same statement of the same account is the same work."""
    return f"{account}-{hashlib.sha256(json.dumps(lines).encode()).hexdigest()}"


@task(queue="books", idempotency_key=fingerprint, idempotency_ttl=7 * 24 * 3600, time_limit=600, retries=3)
def book(account, lines):
    """Book a bank's statement, which may have a hundred thousand lines."""
    total = sum(cents for _, cents in lines)
    with open("booked.txt", "a") as file:
        file.write(f"{account} {len(lines)} lines, {total} cents\n")
