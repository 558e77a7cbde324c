"""The Rust side of pyqs. Private: what users import is in the package around it."""

from collections.abc import Iterator
from typing import Any, Literal, Optional, Union, final

from ._bodies import CeleryFacts
from ._declarations import Declaration
from ._producer import Outgoing

__version__: str
EXPIRES_ATTRIBUTE: str
MESSAGE_BYTES_MAX: int
PAYLOAD_THRESHOLD_DEFAULT: int
__all__ = [
    "EXPIRES_ATTRIBUTE",
    "MESSAGE_BYTES_MAX",
    "PAYLOAD_THRESHOLD_DEFAULT",
    "Job",
    "Lane",
    "Ledger",
    "LocalEndpoint",
    "Producer",
    "Reader",
    "TaskChannel",
    "WorkerSettings",
    "__version__",
    "ambient_settings",
    "celery_body",
    "cli",
    "decode_message",
    "find_queues",
    "is_subreaper",
    "job_of_sent",
    "kombu_name",
    "region_name",
    "run_manager",
    "worker_variables",
]

def cli(argv: list[str]) -> Union[int, WorkerSettings]:
    """Carry out a command line without the program's name: an exit code, or a worker to be started."""

def worker_variables() -> dict[str, str]:
    """The settings of a worker by name, as ``max_tasks_per_child``, each with its environment variable."""

def ambient_settings() -> dict[str, Any]:
    """What the ``PYQS_*`` variables and the project's file say, by :class:`pyqs.Settings`' names."""

def run_manager(settings: WorkerSettings, control_fd: int, ledger: Ledger) -> int:
    """Be the manager, in a process forked for it, until it is told to stop: an exit code. Takes over the descriptor."""

def find_queues(settings: WorkerSettings) -> list[str]:
    """The URLs of the queues that these settings name now."""

def decode_message(body: str, reader: Reader) -> dict[str, Any]:
    """The task in a message body: ``task``, ``args``, ``kwargs``, and the fields that only Celery's have."""

def celery_body(facts: CeleryFacts, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The body of a message that a Celery worker runs. Raises ``TypeError`` for what JSON can't carry."""

def kombu_name(name: str) -> str:
    """The name that kombu gives a queue in SQS: ``shop-orders_eu.fifo`` for ``shop.orders@eu.fifo``."""

def job_of_sent(
    queue: str,
    message: Outgoing,
    reader: Reader,
    *,
    message_id: str,
    attempt: int = 1,
    handler: Optional[str] = None,
) -> tuple[Job, Optional[float]]:
    """The job that a worker would make of a message, without SQS in between, and the moment after which it is not to
    run, in seconds since 1970; ``handler`` is the name of who takes all messages of the queue. Raises what sending
    would raise, and ``UndecodableMessage``."""

def region_name() -> str:
    """The region that the environment and the profile files name, else ``us-east-1``."""

def is_subreaper() -> bool:
    """Whether orphans among this process's descendants become its children."""

@final
class WorkerSettings:
    """What a worker is told. Times are in seconds. Defaults are the command's."""

    def __new__(
        cls,
        *,
        queues: list[str],
        strict: Optional[bool] = None,
        concurrency: Optional[int] = None,
        threads: Optional[int] = None,
        log_level: Optional[str] = None,
        region: Optional[str] = None,
        access_key_id: Optional[str] = None,
        secret_access_key: Optional[str] = None,
        endpoint_url: Optional[str] = None,
        interval: Optional[float] = None,
        batchsize: Optional[int] = None,
        prefetch_multiplier: Optional[int] = None,
        prefetch_memory: Optional[str] = None,
        simple_worker: Optional[bool] = None,
        max_tasks_per_child: Optional[int] = None,
        max_memory_per_child: Optional[str] = None,
        time_limit: Optional[float] = None,
        soft_time_limit: Optional[float] = None,
        drain_timeout: Optional[float] = None,
        extend_visibility: Optional[bool] = None,
        extend_visibility_max: Optional[float] = None,
        shutdown_timeout: Optional[float] = None,
        burst: Optional[bool] = None,
        receive_wait: Optional[float] = None,
        max_tasks: Optional[int] = None,
        reload: Optional[bool] = None,
        format: Optional[str] = None,
        create_queues: Optional[bool] = None,
        require_queues: Optional[bool] = None,
        exact_patterns: Optional[bool] = None,
        imports: Optional[list[str]] = None,
        preload: Optional[list[str]] = None,
        allow: Optional[list[str]] = None,
        registered_only: Optional[bool] = None,
        celery_app: Optional[str] = None,
        cert_store: Optional[str] = None,
        unsafe_pickle: Optional[list[str]] = None,
        http: Optional[str] = None,
        http_token: Optional[str] = None,
        payload_store: Optional[str] = None,
        payload_threshold: Optional[int] = None,
        keep_payloads: Optional[bool] = None,
        idempotency_store: Optional[str] = None,
    ) -> WorkerSettings: ...
    log_level: str
    queues: list[str]
    cert_store: Optional[str]
    def set_celery_queues(
        self, prefix: str, predefined: dict[str, str], default_queue: str, routes: dict[str, str]
    ) -> None:
        """What the Celery application says of its queues. All by Celery's names, but those in SQS of ``predefined``."""
    @property
    def unsafe_pickle(self) -> list[str]: ...
    @property
    def celery_app(self) -> Optional[str]: ...
    @property
    def payload_store(self) -> Optional[str]: ...
    @property
    def payload_threshold(self) -> int: ...
    @property
    def keep_payloads(self) -> bool: ...
    @property
    def idempotency_store(self) -> Optional[str]: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def threads(self) -> int: ...
    @property
    def time_limit(self) -> Optional[float]: ...
    @property
    def soft_time_limit(self) -> Optional[float]: ...
    @property
    def region(self) -> Optional[str]: ...
    @property
    def access_key_id(self) -> Optional[str]: ...
    @property
    def secret_access_key(self) -> Optional[str]: ...
    @property
    def endpoint_url(self) -> Optional[str]: ...
    @property
    def extend_visibility(self) -> bool: ...
    @property
    def extend_visibility_max(self) -> Optional[float]: ...
    @property
    def shutdown_timeout(self) -> Optional[float]: ...
    @property
    def imports(self) -> list[str]: ...
    @property
    def preload(self) -> list[str]: ...
    @property
    def allow(self) -> list[str]: ...
    @property
    def registered_only(self) -> bool: ...
    @property
    def reload(self) -> bool: ...
    @property
    def format(self) -> Optional[str]: ...
    @property
    def create_queues(self) -> Optional[bool]: ...

@final
class Ledger:
    """Memory shared by a manager and its task processes; made before they are forked."""

    @staticmethod
    def for_settings(settings: WorkerSettings) -> Ledger: ...
    def successor(self) -> Ledger:
        """The ledger of the next manager, which knows what has succeeded under this one."""

@final
class TaskChannel:
    """A task process's end of the socket to the manager. Takes over the descriptor."""

    def __new__(cls, fd: int, ledger: Ledger, slot: int, settings: WorkerSettings) -> TaskChannel: ...
    @property
    def lanes(self) -> list[Lane]:
        """As many as tasks run at once."""
    def cannot_start(self, reason: str) -> None:
        """Why this process can't run tasks; it is to end then."""
    def declare(self, declared: list[Declaration]) -> None:
        """Tell the manager what was found in the modules that are imported here."""
    def is_deleted(self, receipt: str) -> bool:
        """Whether SQS has confirmed the delete of the delivery with this receipt, whose body is stored elsewhere."""
    def wait(self) -> Optional[list[int]]:
        """Wait for tasks in lanes that nobody attends to: which. Each wants a ``begin``. ``None``: no more come."""
    def wait_until_idle(self) -> None:
        """Wait until ``begin`` has given ``None`` in all lanes that ``wait`` has named."""

@final
class Lane:
    """One of the tasks that a process runs at once."""

    def __iter__(self) -> Iterator[Job]: ...
    def __next__(self) -> Job:
        """Where there is one lane: wait for the next task. Ends the one before: without a recorded outcome it has
        failed."""
    def begin(self) -> Optional[Job]:
        """Begin the lane's next task, if one is there. Ends the one before, likewise."""
    def record(
        self,
        outcome: Literal["succeeded", "failed", "retry", "exhausted", "discarded", "postponed", "unrunnable"],
        *,
        delay_seconds: int = 0,
    ) -> None:
        """How the running task ended, for good; a retry comes so many seconds later, and so does what is postponed,
        which did not run."""
    def record_each(self, ends: list[tuple[str, int, Optional[str], str]]) -> None:
        """What becomes of each message of the running task, for good: outcome, seconds until a retry, dead-letter
        queue, reason. Behind one that is not done with, those of its message group are not either, on a FIFO queue."""
    def record_callbacks(self, job: Job, result: object) -> None:
        """The running task, which is the job's, returned this: what is to follow is sent. Raises ``TypeError`` or
        ``RecursionError``, and records nothing, if the result goes on and no message can carry it."""
    def record_errbacks(self, job: Job, queue: Optional[str], reason: str, called: list[int]) -> None:
        """The running task failed for good: the job's ``link_error`` is sent but for those that were called, by
        their numbers, and its message goes to the queue, if one is given."""
    def declare(self, declared: list[Declaration]) -> None:
        """Tell the manager what was found in the modules that are imported here."""
    def warn_once(self, line: str) -> None:
        """Have the manager log a warning, unless it has done so before."""
    def record_dead_letter(self, queue: str, reason: str) -> None:
        """The running task failed for good: its message is to go to this queue."""
    def foresee(
        self,
        outcome: Literal["failed", "retry", "exhausted", "dead_letter"],
        *,
        delay_seconds: int = 0,
        queue: Optional[str] = None,
    ) -> None:
        """What becomes of the running task's message if this process dies meanwhile, or is killed at its limit."""
    def foresee_each(self, ends: list[tuple[str, int, Optional[str]]]) -> None:
        """The same for each message of the running task."""
    def limit(self, seconds: float, grace: float = 0.0) -> None:
        """Have the manager kill this process when the running task has run for so long, and the grace beyond."""
    def extend(self, seconds: float) -> None:
        """Let the running task run so much longer than its limit says, where it has one."""
    @property
    def is_running(self) -> bool:
        """Whether a task runs whose outcome is not recorded."""
    @property
    def is_lease_lost(self) -> bool:
        """Whether the running task may run elsewhere too, since its visibility timeout could not be extended."""
    def interrupt(self, thread: int, exception: type[BaseException]) -> bool:
        """Raise this in a thread, unless the running task's outcome is recorded."""

@final
class Job:
    """A task to run."""

    @property
    def message_id(self) -> str: ...
    @property
    def receipt_handle(self) -> str: ...
    @property
    def queue_url(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def others(self) -> list[Job]:
        """Those that are run with it, in their order."""
    def with_others(self, others: list[Job]) -> Job:
        """The same job, which runs these with it."""

    @property
    def body(self) -> str: ...
    @property
    def system(self) -> Optional[dict[str, Any]]:
        """What SQS says of the message, where its queue has a handler; ``None`` for a task's. Times are in
        milliseconds since 1970."""
    @property
    def fetch_time(self) -> float: ...
    @property
    def timeout(self) -> int: ...
    @property
    def time_limit(self) -> Optional[float]: ...
    @property
    def soft_time_limit(self) -> Optional[float]: ...
    @property
    def attempt(self) -> int:
        """Which run of the message this is, 1 for the first, as far as is known: never too low."""
    @property
    def receive_count(self) -> int:
        """How often SQS has delivered the message, this time included."""
    @property
    def retries_before(self) -> int:
        """How often it was retried before this message was sent, as Celery's say; 0 for others."""
    @property
    def has_callbacks(self) -> bool:
        """Whether messages are to be sent after its success. Known once its arguments were asked for, as the next
        two."""
    @property
    def has_errbacks(self) -> bool:
        """Whether messages are to be sent after its failure."""
    @property
    def left_out(self) -> Optional[str]:
        """What of its workflow will not be done, for people."""
    @property
    def attributes(self) -> dict[str, Union[str, bytes]]:
        """The message's attributes: texts and numbers as text, the others as bytes."""
    @property
    def pointer(self) -> Optional[tuple[str, str]]:
        """Where the body is stored, if that is not in the message: the store's name, and the key there."""
    def opened(self, body: str, reader: Optional[Reader]) -> Job:
        """The same job with the body that it points to. Without a reader that may be anything; else raises
        ``UndecodableMessage``."""
    @property
    def eta(self) -> Optional[float]:
        """When an opened body is due, in seconds since 1970."""
    @property
    def expires(self) -> Optional[float]:
        """Until when an opened body may run, in seconds since 1970."""
    def celery_request(self, reader: Reader) -> Optional[dict[str, Any]]:
        """What a task of Celery's finds in its request; ``None`` where the message is not Celery's."""
    def pickle(self, reader: Reader) -> Optional[bytes]:
        """The pickle that a message of Celery's is, unread; ``None`` where it is none."""
    def arguments(self, reader: Reader) -> tuple[list[Any], dict[str, Any]]:
        """Decode them. Raises ``UndecodableMessage``."""

@final
class Reader:
    """Reads messages: of Celery's only those of the accepted content types, where some are given; signed ones with a
    certificate store. With opaque pickles, objects in a pickle are no hindrance to what is beside the arguments."""

    def __new__(
        cls,
        *,
        accepted: Optional[list[str]] = None,
        cert_store: Optional[str] = None,
        opaque_pickles: bool = False,
    ) -> Reader: ...

@final
class Producer:
    """Sends messages. Starts its threads at the first, in the process that sends."""

    def __new__(
        cls,
        *,
        region: Optional[str] = None,
        access_key_id: Optional[str] = None,
        secret_access_key: Optional[str] = None,
        endpoint_url: Optional[str] = None,
        create_queues: Optional[bool] = None,
    ) -> Producer: ...
    def send(self, queue: str, message: Outgoing) -> str:
        """Send a message; returns its id when SQS has it."""
    def send_many(self, queue: str, messages: list[Outgoing]) -> list[Union[str, Exception]]:
        """Send messages in parallel batches; the id or the exception of each, in order."""
    def queue_url(self, queue: str) -> str:
        """The queue's URL; a missing queue is created."""
    def shutdown(self) -> None:
        """End and join the threads."""

@final
class LocalEndpoint:
    """Our endpoint in memory, on a free port of 127.0.0.1, served by a thread of this process."""

    def __new__(cls, *, queues: list[str]) -> LocalEndpoint: ...
    @property
    def url(self) -> str: ...
    def stop(self) -> None:
        """Stop it, and wait for its end. Again, or in a forked child, it does nothing."""
