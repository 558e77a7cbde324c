"""The Query protocol, as SDKs from before November 2023 speak it: the last such boto3 on a full tour."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.endpoints import Endpoint
from support.peers import python_peer
from support.queues import new_name

PEERS = Path(__file__).parent / "peers"


def test_an_old_boto3_on_a_full_tour(ours: Endpoint) -> None:
    python = python_peer("query", PEERS / "query.txt") / "python"
    tour = [str(python), str(PEERS / "query_tour.py"), ours.url, new_name()]
    done = subprocess.run(tour, env=ours.environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(ours.client().meta.service_model.operation_names)
