"""The wire shape of errors: OpenAI's envelope with a source, a place and a hint."""

from __future__ import annotations

from typing import Any

from trueup.errors import (
    AdaptError,
    BackendError,
    CapacityError,
    CheckpointError,
    ConfigError,
    RequestError,
    TrueUpError,
)

# OpenAI's `type` by HTTP status; clients choose their exception class by it.
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
CODES: tuple[tuple[type[TrueUpError], str], ...] = (
    (ConfigError, "config_error"),
    (CheckpointError, "checkpoint_error"),
    (AdaptError, "model_cannot_run"),
)


def status_of(error: TrueUpError) -> int:
    """The HTTP status that an error is answered with."""
    if isinstance(error, RequestError | CapacityError | BackendError):
        return error.status
    # The operator's business: the client can only wait until the model is mended.
    return 503 if isinstance(error, ConfigError | CheckpointError | AdaptError) else 500


def code_of(error: TrueUpError) -> str:
    """The stable code that a client may branch on."""
    if isinstance(error, RequestError | CapacityError | BackendError):
        return error.code
    if isinstance(error, AdaptError) and error.code is not None:
        return error.code
    for kind, code in CODES:
        if isinstance(error, kind):
            return code
    return "internal_error"


def error_body(error: TrueUpError, source: str = "trueup") -> dict[str, Any]:
    """The body of an error answer or event; `source` is `trueup` or a backend's name."""
    status = status_of(error)
    kind = TYPES.get(status, "server_error" if status >= 500 else TYPES[400])
    if status == 503 and not _may_pass(error):
        kind = "server_error"  # nothing is overloaded: to ask again soon is of no use
    return {
        "error": {
            "message": f"{error.cause}; {error.hint}" if error.hint else error.cause,
            "type": kind,
            "code": code_of(error),
            "param": error.param if isinstance(error, RequestError) else None,
            "source": source,
            "where": error.where,
            "hint": error.hint,
        }
    }


def _may_pass(error: TrueUpError) -> bool:
    """Whether the same request may succeed later, with nothing mended in between."""
    if isinstance(error, BackendError):
        return error.retryable
    return isinstance(error, CapacityError)
