"""Every exception that TrueUp raises on purpose.

TrueUpError
├── ConfigError          the operator edits a configuration file or an environment variable
│   └── UsageError       … or the command line (exit status 2)
├── CheckpointError      the operator mends or replaces a model directory
│   └── HubError         … or names another id, a token, a network
├── AdaptError           the operator chooses another route, device, dtype or environment
├── RequestError         the client edits its request
├── CapacityError        the client waits and tries again
└── BackendError         the gateway may try elsewhere when `retryable`
"""

from __future__ import annotations

from typing import Any, Literal

HubErrorKind = Literal[
    "missing",
    "revision",
    "denied",
    "busy",
    "network",
    "content",
    "offline",
    "disk",
    "stopped",
    "package",
]


class TrueUpError(Exception):
    """A failure with its cause, its place and the next step.

    `cause` names the value found and the one expected, `where` is a path with a key, a
    `file:line`, a URL or a backend's name, `hint` is one command or one edit.
    """

    def __init__(self, cause: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, between processes: not every error can be made of its cause alone."""
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[TrueUpError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(TrueUpError):
    """A configuration file or an environment variable cannot be used."""


class UsageError(ConfigError):
    """A command line that cannot be meant, beyond what the parser of its arguments sees."""


class CheckpointError(TrueUpError):
    """A model directory or hub id cannot be read as a checkpoint."""


class HubError(CheckpointError):
    """A hub does not give what was asked for; `kind` says who can do something about it.

    missing: there is no such model · revision: there is no such revision of it · denied: it wants
    a token or a permission · busy: it refuses for now · network: it cannot be reached, or what
    came is not its answer · content: a file is not what the hub lists · offline: it must not be
    asked · disk: what came cannot be kept · stopped: somebody wanted no more of it · package: a
    package is not installed.
    """

    def __init__(
        self,
        cause: str,
        *,
        kind: HubErrorKind,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(cause, where=where, hint=hint)
        self.kind = kind


class AdaptError(TrueUpError):
    """A checkpoint cannot be run the way that was asked for; `code` is more exact than that."""

    def __init__(
        self,
        cause: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(cause, where=where, hint=hint)
        self.code = code


class RequestError(TrueUpError):
    """A client's request cannot be answered as it stands; `status` is the HTTP status."""

    def __init__(
        self,
        cause: str,
        *,
        param: str | None = None,
        code: str = "invalid_value",
        status: int = 400,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(cause, where=where, hint=hint)
        self.param = param
        self.code = code
        self.status = status


class CapacityError(TrueUpError):
    """Nothing is wrong but the moment: queues or memory are full.

    `status` is 429 where the caller's queue is full and 503 where the model cannot be had.
    """

    def __init__(
        self,
        cause: str,
        *,
        retry_after_seconds: float = 1.0,
        status: int = 503,
        code: str = "capacity",
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(cause, where=where, hint=hint)
        self.retry_after_seconds = retry_after_seconds
        self.status = status
        self.code = code


class BackendError(TrueUpError):
    """A backend did not answer properly; `retryable` says that another try may succeed.

    `retry_after_seconds` is set where the same backend is worth asking again, and when.
    """

    def __init__(
        self,
        cause: str,
        *,
        retryable: bool,
        code: str = "backend_error",
        status: int = 502,
        retry_after_seconds: float | None = None,
        where: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(cause, where=where, hint=hint)
        self.retryable = retryable
        self.code = code
        self.status = status
        self.retry_after_seconds = retry_after_seconds
