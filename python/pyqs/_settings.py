"""What a worker and whoever sends can be told, and who has told it.

In this order: what a call or an option says, what :func:`configure` was given, the variables ``PYQS_*``, and
``[tool.pyqs]`` of the project's ``pyproject.toml``; then the default. Nothing is read before it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Optional, Union

from . import _pyqs
from .errors import SettingsInvalid

if TYPE_CHECKING:
    from .idempotency import IdempotencyStore
    from .payloads import PayloadStore


class Settings(NamedTuple):
    """All that can be set; ``None`` leaves it to the environment, the project's file and the default.

    The names are those of the worker's options, where each is described (``pyqs --help``). Times are in seconds.

    >>> Settings(endpoint_url="http://127.0.0.1:9324", concurrency=4)
    """

    region: Optional[str] = None
    access_key_id: Optional[str] = None
    secret_access_key: Optional[str] = None
    endpoint_url: Optional[str] = None
    format: Optional[Literal["pyqs", "celery"]] = None
    create_queues: Optional[bool] = None
    queues: Optional[Sequence[str]] = None
    strict: Optional[bool] = None
    concurrency: Optional[int] = None
    threads: Optional[int] = None
    log_level: Optional[str] = None
    interval: Optional[float] = None
    batchsize: Optional[int] = None
    prefetch_multiplier: Optional[int] = None
    prefetch_memory: Optional[str] = None
    simple_worker: Optional[bool] = None
    max_tasks_per_child: Optional[int] = None
    max_memory_per_child: Optional[str] = None
    time_limit: Optional[float] = None
    soft_time_limit: Optional[float] = None
    drain_timeout: Optional[float] = None
    extend_visibility: Optional[bool] = None
    extend_visibility_max: Optional[float] = None
    shutdown_timeout: Optional[float] = None
    burst: Optional[bool] = None
    max_tasks: Optional[int] = None
    reload: Optional[bool] = None
    require_queues: Optional[bool] = None
    exact_patterns: Optional[bool] = None
    imports: Optional[Sequence[str]] = None
    preload: Optional[Sequence[str]] = None
    allow: Optional[Sequence[str]] = None
    registered_only: Optional[bool] = None
    celery_app: Optional[str] = None
    cert_store: Optional[str] = None
    unsafe_pickle: Optional[Sequence[str]] = None
    http: Optional[str] = None
    http_token: Optional[str] = None
    payload_store: Union[PayloadStore, str, None] = None
    payload_threshold: Optional[int] = None
    keep_payloads: Optional[bool] = None
    idempotency_store: Union[IdempotencyStore, str, None] = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Settings:
        """Settings by their names. Raises :class:`pyqs.errors.SettingsInvalid` for one that there is not.

        >>> Settings.of({"concurency": 4})
        Traceback (most recent call last):
        pyqs.errors.SettingsInvalid: there is no setting 'concurency' (is it concurrency?)
        """
        for name in fields:
            if name not in cls._fields:
                import difflib  # here, since nobody needs it but who has mistyped

                nearest = difflib.get_close_matches(str(name), cls._fields, 1, 0.0)[0]
                raise SettingsInvalid(f"there is no setting {name!r} (is it {nearest}?)")
        return cls(**fields)

    @classmethod
    def in_force(cls) -> Settings:
        """What holds in this process: what :func:`pyqs.configure` was given, else the variables, else the file.

        Where nobody says anything it is ``None``, and the default holds.
        """
        return cls.of({**ambient(), **_configured.given()})

    def given(self) -> dict[str, Any]:
        """Those that say something."""
        return {name: value for name, value in zip(self._fields, self) if value is not None}

    def __repr__(self) -> str:
        """What is given, without secrets."""
        shown = {name: _MASK if name in _SECRETS else value for name, value in self.given().items()}
        if isinstance(self.idempotency_store, str):
            shown["idempotency_store"] = _without_password(self.idempotency_store)
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


_SECRETS = ("access_key_id", "secret_access_key", "http_token")
_MASK = "********"

STORES = ("payload_store", "idempotency_store")
"""Settings that may be an object here, and are a URL elsewhere."""


_configured = Settings()
_ambient: Optional[dict[str, Any]] = None


def configure(settings: Settings) -> Settings:
    """Keep what these say, beside what others before said; gives all that was said."""
    global _configured
    _configured = _configured._replace(**settings.given())
    return _configured


def configured() -> Settings:
    """What :func:`configure` was given."""
    return _configured


def ambient() -> dict[str, Any]:
    """What the variables and the project's file say, as it was when it was first asked for."""
    global _ambient
    if _ambient is None:
        _ambient = _pyqs.ambient_settings()
    return _ambient


def of_worker(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> _pyqs.WorkerSettings:
    """A worker's settings. ``None`` among the options says nothing; the defaults are those of the caller."""
    said = {name: value for name, value in options.items() if value is not None}
    ambient = Settings.in_force().given()
    # An object stays in this process, whose forks have it.
    ambient = {name: value for name, value in ambient.items() if name not in STORES or isinstance(value, str)}
    return _pyqs.WorkerSettings(**{**defaults, **ambient, **said})


def _without_password(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    name, colon, _password = user.partition(":")
    return f"{scheme}{mark}{name}{colon and f':{_MASK}'}{at}{place}"
