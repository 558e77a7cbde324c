"""``--celery-app``: a Celery application, loaded, and what its configuration says that a worker goes by.

It is loaded in each task process, as other modules of the user's are, and once in a child of the supervisor that only
tells what the application says: so the supervisor forks from a process in which nothing of the user's has run.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any, NamedTuple, NoReturn, Optional

from ._pyqs import kombu_name
from .errors import PyqsError


class Description(NamedTuple):
    """What an application's configuration says. Queues are by Celery's names of them."""

    queues: dict[str, str]
    """Those that its workers consume, with SQS's names."""
    accepted: Optional[list[str]]
    """The content types that its workers read; ``None`` is all."""
    default_queue: str
    """Where a task goes that has no route."""
    routes: dict[str, str]
    """Where its tasks go, by their names, if it is not the default queue."""
    prefix: str
    """What stands before each name in SQS."""
    predefined: dict[str, str]
    """SQS's names of queues that have one of their own."""
    cert_store: Optional[str]
    """Where the certificates lie of those whose signed messages its workers read."""


class Naming(NamedTuple):
    """How the SQS transport of kombu names queues."""

    prefix: str
    predefined: dict[str, str]

    @classmethod
    def of(cls, app: Any) -> Naming:
        """As an application's transport options say."""
        options = app.conf.broker_transport_options or {}
        queues = (options.get("predefined_queues") or {}).items()
        predefined = {name: str(queue["url"]).rstrip("/").rpartition("/")[2] for name, queue in queues}
        return cls(options.get("queue_name_prefix") or "", predefined)

    def sqs_name(self, queue: str) -> str:
        """SQS's name of a queue of Celery's."""
        name = self.prefix + queue
        return self.predefined.get(queue) or self.predefined.get(name) or kombu_name(name)


def load(path: str) -> Any:
    """Import an application, as ``celery -A`` finds it, and the modules of its tasks. Raises :class:`PyqsError`."""
    try:
        from celery import Celery
        from celery.app.utils import find_app
    except ImportError as error:
        raise PyqsError(f"can't load {path}, which --celery-app names: Celery can't be imported ({error})") from error
    try:
        app = find_app(path)
        if not isinstance(app, Celery):
            raise TypeError(f"it is a {type(app).__name__}, no Celery application")
        app.set_current()
        app.set_default()
        app.loader.import_default_modules()
        app.finalize()
    except BaseException as error:  # a module may do anything, sys.exit included
        words = f"can't load {path}, which --celery-app names: {type(error).__name__}: {error}"
        raise PyqsError(words) from error
    return app


def describe(app: Any) -> Description:
    """What the application's configuration says."""
    naming = Naming.of(app)
    default_queue = app.conf.task_default_queue
    return Description(
        queues={queue: naming.sqs_name(queue) for queue in app.amqp.queues.consume_from},
        accepted=accepted(app),
        default_queue=default_queue,
        routes={
            name: queue
            for name, task in app.tasks.items()
            if (queue := _queue_of(app, name, task)) not in (None, default_queue)
        },
        prefix=naming.prefix,
        predefined=naming.predefined,
        cert_store=app.conf.security_cert_store,
    )


def accepted(app: Any) -> Optional[list[str]]:
    """The content types that the application's workers read; ``None`` is all."""
    from kombu.serialization import prepare_accept_content

    content = prepare_accept_content(app.conf.accept_content)
    return None if content is None else sorted(content)


def described_by_child(path: str) -> Description:
    """The same, by a child that loads the application and ends. Raises :class:`PyqsError`."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _tell(path, write_end)
    os.close(write_end)
    with open(read_end) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    told = json.loads(text) if text else {"error": f"can't load {path}, which --celery-app names: its process died"}
    if "error" in told:
        raise PyqsError(told["error"])
    return Description(**told)


def _tell(path: str, write_end: int) -> NoReturn:
    try:
        told: dict[str, Any] = describe(load(path))._asdict()
    except PyqsError as error:
        told = {"error": str(error)}
    except BaseException as error:
        traceback.print_exc()
        told = {"error": f"the configuration of {path} can't be read: {type(error).__name__}: {error}"}
    try:
        with open(write_end, "w") as answer:
            json.dump(told, answer)
    finally:
        # Nothing that the application has registered for its process's end: it goes on in others.
        os._exit(0)


def _queue_of(app: Any, name: str, task: Any) -> Optional[str]:
    """The queue that Celery would send a task to; ``None`` where only a call's arguments say it."""
    try:
        queue = app.amqp.router.route(dict(task._get_exec_options()), name).get("queue")
    except Exception:
        return None
    return None if queue is None else str(getattr(queue, "name", queue))
