"""For tests of programs that use PyQS.

>>> from pyqs import testing
>>> with testing.eager() as tasks:  # what is sent runs at once
...     sign_up("ada@example.org")
>>> with testing.endpoint() as sqs:  # an SQS of the test's own
...     sign_up("ada@example.org")
...     testing.run_until_empty("email")  # a worker, in this process

With pytest, the fixtures ``pyqs_eager``, ``pyqs_endpoint`` and ``pyqs_session_endpoint`` are there by themselves.
"""

from ._eager import Eager, EndlessChain, eager
from ._endpoint import Endpoint, endpoint
from ._outbox import Outbox, Sent
from ._runs import Run
from ._worker import Worker, run_until_empty, worker

__all__ = [
    "Eager",
    "EndlessChain",
    "Endpoint",
    "Outbox",
    "Run",
    "Sent",
    "Worker",
    "eager",
    "endpoint",
    "run_until_empty",
    "worker",
]
