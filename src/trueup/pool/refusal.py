"""The errors that callers of a pool get instead of a lease."""

from __future__ import annotations

from trueup.adapt.placement import NARROWER_HINT
from trueup.errors import BackendError, CapacityError, TrueUpError
from trueup.pool.budget import Shortage
from trueup.pool.model import Model

QUEUE_RETRY_SECONDS = 2.0
CAPACITY_RETRY_SECONDS = 10.0
# The plan's environment cannot be used: whoever serves the model has to build it.
NO_ENVIRONMENT = "environment_not_built"


def unknown_model(model_id: str) -> TrueUpError:
    """Nobody serves such a model."""
    return BackendError(
        f"no model `{model_id}` is served here",
        retryable=False,
        code="model_not_found",
        status=404,
    )


def closing() -> TrueUpError:
    """The server is going down."""
    return CapacityError("the server is shutting down", code="shutting_down")


def queue_full(model: Model) -> TrueUpError:
    """Too many wait for the model already."""
    return CapacityError(
        f"{len(model.waiters)} requests wait for `{model.id}` already",
        status=429,
        code="queue_full",
        retry_after_seconds=QUEUE_RETRY_SECONDS,
    )


def worker_died(model: Model, reason: str) -> TrueUpError:
    """The worker of a ready model ended by itself."""
    return BackendError(
        f"the worker of `{model.id}` {reason}", retryable=True, code="worker_died", status=503
    )


def load_failed(model: Model, seconds: float, *, is_private: bool = False) -> TrueUpError:
    """The last load failed; another is tried after `seconds`.

    Its place and the worker's last words are about this host: they go to the server's log, and
    to the client only of a private server.
    """
    error = model.error
    cause, where = error.cause if error else f"`{model.id}` did not load", f"models.{model.id}"
    if is_private and error and error.where:
        if "\n" in error.where:  # the worker's last words
            cause = f"{cause}\n{error.where}"
        else:
            where = error.where
    is_unbuilt = isinstance(error, BackendError) and error.code == NO_ENVIRONMENT
    return BackendError(
        cause,
        retryable=False,
        code=error.code if isinstance(error, BackendError) else "model_load_failed",
        status=503,
        retry_after_seconds=seconds,
        where=where,
        hint=error.hint if error and (is_unbuilt or is_private) else "the server's log tells more",
    )


def does_not_fit(model: Model, missing: Shortage) -> TrueUpError:
    """There is not enough memory for the model now."""
    narrower = f"{NARROWER_HINT}, or " if model.plan.dtype == "float32" else ""
    return CapacityError(
        f"`{model.id}` {missing}",
        code="insufficient_memory",
        retry_after_seconds=CAPACITY_RETRY_SECONDS,
        where=f"models.{model.id}",
        hint=f"{narrower}stop other programs that hold memory",
    )
