"""Messages that Celery's ``auth`` serializer has signed: read with the signers' certificates."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.celery import site_packages
from support.projects import Project
from support.queues import Queue
from support.waiting import eventually

SIGNED = Path(__file__).resolve().parents[2] / "crates" / "pyqs-formats" / "tests" / "data" / "signed"

SHOP = """
from journal import note

def pay(number, text, to):
    note("paid", value=[number, text, to])
"""


@pytest.fixture
def project(ours_project: Project) -> Project:
    ours_project.write("shop.py", SHOP)
    (ours_project.folder / "certs").mkdir()
    shutil.copy(SIGNED / "signer.pem", ours_project.folder / "certs")
    return ours_project


def body(id: str) -> str:
    (found,) = (line for line in map(json.loads, (SIGNED / "messages.jsonl").open()) if line["id"] == id)
    return str(found["body"])


@pytest.mark.parametrize("store", ["certs", "certs/*.pem", "certs/signer.pem"])
def test_signed_messages_run_with_a_store(project: Project, ours_queue: Queue, store: str) -> None:
    for id in ("signer", "signer-raw", "stranger"):
        ours_queue.send(body(id))
    worker = project.worker(ours_queue.name, "--cert-store", store)

    project.wait_for_notes("paid", 2)
    worker.wait_for("signed by .* stranger .*: no certificate of that name is in the store")
    assert project.values("paid") == [[7, "ä", "ada"]] * 2
    eventually(lambda: ours_queue.counts() == (0, 1), "the stranger's message is left")


def test_without_a_store_they_are_refused(project: Project, ours_queue: Queue) -> None:
    ours_queue.send(body("signer"))
    worker = project.worker(ours_queue.name)
    worker.wait_for("read only with a certificate store to check that, of which none is given")
    assert project.notes("paid") == []


def test_an_applications_store_holds(project: Project, ours_queue: Queue) -> None:
    project.write(
        "proj.py",
        "from celery import Celery\napp = Celery('proj')\n"
        "app.conf.update(security_cert_store='certs/*', accept_content=['application/data'])\n",
    )
    ours_queue.send(body("signer"))
    project.worker(ours_queue.name, "--celery-app", "proj:app", PYTHONPATH=site_packages())
    project.wait_for_notes("paid")
    ours_queue.wait_until_empty()


@pytest.mark.parametrize(("store", "words"), [("gone", "can't read gone"), ("shop.py", "no certificate in PEM")])
def test_a_store_that_can_not_be_read_ends_the_start(
    project: Project, ours_queue: Queue, store: str, words: str
) -> None:
    done = project.pyqs(ours_queue.name, "--cert-store", store)
    assert done.returncode == 1
    assert words in done.stderr
