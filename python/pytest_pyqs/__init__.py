"""The fixtures of pyqs.testing, for pytest, which finds this by itself. PyQS is imported by the first test that takes
one of them, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyqs.testing import Eager, Endpoint


@pytest.fixture
def pyqs_eager() -> Iterator[Eager]:
    """``pyqs.testing.eager()`` for the test: what it sends runs at once, and what its tasks raise is raised."""
    from pyqs.testing import eager

    with eager() as tasks:
        yield tasks


@pytest.fixture
def pyqs_endpoint() -> Iterator[Endpoint]:
    """``pyqs.testing.endpoint()`` for the test: an SQS of its own, in memory, for PyQS and boto3."""
    from pyqs.testing import endpoint

    with endpoint() as sqs:
        yield sqs


@pytest.fixture(scope="session")
def pyqs_session_endpoint() -> Iterator[Endpoint]:
    """The same, one for all tests of the session (with pytest-xdist, of each worker): queues and messages stay."""
    from pyqs.testing import endpoint

    with endpoint() as sqs:
        yield sqs
