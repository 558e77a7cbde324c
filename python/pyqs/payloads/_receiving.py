"""In a task process: from a pointer to the body, and the end of what it pointed to."""

from __future__ import annotations

import collections
import logging
import math
import random
import threading
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from .. import _payload_settings
from .._pyqs import EXPIRES_ATTRIBUTE, Job, Lane, Reader
from ..errors import PayloadMissing, PayloadRefused, PyqsError, UndecodableMessage
from ._pointer import Pointer
from ._store import PayloadStore, named

if TYPE_CHECKING:
    from typing import Protocol

    class Deletions(Protocol):
        """The channel to the manager."""

        def is_deleted(self, receipt: str) -> bool:
            """Whether SQS has confirmed the delete of the delivery with this receipt."""


logger = logging.getLogger("pyqs")

FETCH_AGAIN_SECS = (20.0, 60.0)
"""A payload that can't be read just now is tried again after a time between these."""

CONFIRMED_WITHIN_SECS = 15 * 60.0
"""A delete that is not confirmed by then was none: the message runs again, and needs its payload."""

LOOK_SECS = 0.1
"""How often the confirmations are looked at, while some are awaited."""

LEAVE_SECS = 5.0
"""How long a process that ends waits for them."""

AWAITED_MAX = 10_000
"""Payloads that wait for their message's delete, at most; the oldest are left in the store."""

DUE_ATTRIBUTE = "pyqs.due"


class Opened(NamedTuple):
    """A job with its body, and what that leaves in the store."""

    job: Job
    pointer: Pointer
    store: PayloadStore


def is_pointer_here(job: Job) -> bool:
    """Whether a job's body is in this process's own store."""
    place = job.pointer
    settings = _payload_settings.current() if place else None
    return place is not None and settings is not None and settings.store.name == place[0]


def open_job(
    job: Job,
    lane: Lane,
    reader: Optional[Reader],
    cleaner: Cleaner,
    tell_unrunnable: Callable[[Job, Exception], object],
) -> Optional[Opened]:
    """Fetch a job's body. ``None``: it can't be run, or not now, which is recorded and logged.

    Without a reader the body may be anything.
    """
    place = job.pointer
    assert place, "the caller has looked"
    pointer = Pointer(*place)
    try:
        store = _store_of(pointer)
        if _is_past(_seconds(job.attributes.get(EXPIRES_ATTRIBUTE))):
            _expire(job, lane, Opened(job, pointer, store), cleaner)
            return None
        body = _text(store.get(pointer.key))
        opened = Opened(job.opened(body, reader), pointer, store)
    except PayloadMissing as error:
        lane.record("failed")
        logger.error(
            "Message %s of %s has failed: its payload is gone: %s; it was deleted after a run of the same message, by "
            "a lifecycle rule that is shorter than the message's life, or by hand",
            job.message_id,
            job.queue_url,
            error,
        )
        return None
    except (PyqsError, UndecodableMessage) as reason:
        lane.record("unrunnable")
        tell_unrunnable(job, reason)
        return None
    except Exception as error:
        delay = math.ceil(random.uniform(*FETCH_AGAIN_SECS))
        lane.record("postponed", delay_seconds=delay)
        logger.warning(
            "Payload %s of message %s can't be read now, and is tried again in %d s: %s",
            pointer,
            job.message_id,
            delay,
            named(error),
        )
        return None
    if _is_past(opened.job.expires):
        _expire(job, lane, opened, cleaner)
        return None
    eta = opened.job.eta
    # What a hop or a retry says is later than what the sender wanted.
    if eta is not None and eta > time.time() and DUE_ATTRIBUTE not in job.attributes:
        lane.record("postponed", delay_seconds=math.ceil(eta - time.time()))
        return None
    return opened


def _store_of(pointer: Pointer) -> PayloadStore:
    settings = _payload_settings.current()
    if settings is None:
        raise PayloadRefused(
            f"its body is stored in {pointer.store}, and this worker has no payload store; if that is yours, start it "
            f"with --payload-store {pointer.store}"
        )
    if settings.store.name != pointer.store:
        raise PayloadRefused(
            f"its body is said to be stored in {pointer.store}, and this worker reads from {settings.store.name} alone "
            "(--payload-store)"
        )
    return settings.store


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise UndecodableMessage(f"not UTF-8 from byte {error.start}", "message body") from None


def _expire(job: Job, lane: Lane, opened: Opened, cleaner: Cleaner) -> None:
    lane.record("discarded")
    logger.info("Message %s of %s has expired, and is deleted without running it", job.message_id, job.queue_url)
    cleaner.settle(opened, lane)


def _is_past(moment: Optional[float]) -> bool:
    return moment is not None and moment <= time.time()


def _seconds(millis: object) -> Optional[float]:
    try:
        return int(millis) / 1000 if isinstance(millis, str) else None
    except ValueError:
        return None


class _Awaited(NamedTuple):
    receipt: str
    opened: Opened
    until: float


class Cleaner:
    """Deletes payloads, each once SQS has confirmed that its message is deleted: until then it may come again."""

    def __init__(self, deletions: Deletions) -> None:
        self._deletions = deletions
        self._awaited: collections.deque[_Awaited] = collections.deque(maxlen=AWAITED_MAX)
        self._lock = threading.Lock()
        self._thread: Optional[threading.Thread] = None

    def settle(self, opened: Opened, lane: Lane) -> None:
        """The message is done with for good, which is recorded."""
        settings = _payload_settings.current()
        if settings is None or settings.keeps or lane.is_lease_lost:
            # Whoever has the message by now may need its payload.
            return
        until = time.monotonic() + CONFIRMED_WITHIN_SECS
        with self._lock:
            self._awaited.append(_Awaited(opened.job.receipt_handle, opened, until))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="pyqs-payloads", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        """This process ends: delete what may be deleted in the next seconds."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(LEAVE_SECS)

    def _run(self) -> None:
        while True:
            with self._lock:
                looked_at = len(self._awaited)
                if not looked_at:
                    self._thread = None
                    return
            deleted = [self._look() for _ in range(looked_at)]
            if not any(deleted):
                time.sleep(LOOK_SECS)

    def _look(self) -> bool:
        """Look at the oldest; whether it is done with."""
        with self._lock:
            if not self._awaited:
                return False
            awaited = self._awaited.popleft()
        if self._deletions.is_deleted(awaited.receipt):
            _delete(awaited.opened)
            return True
        if time.monotonic() < awaited.until:
            with self._lock:
                self._awaited.append(awaited)
        return False


def _delete(opened: Opened) -> None:
    try:
        opened.store.delete(opened.pointer.key)
    except Exception as error:
        logger.warning("Payload %s, whose message is done with, can't be deleted: %s", opened.pointer, named(error))
