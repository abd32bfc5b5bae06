"""What a library raised in the model thread, as errors that a client can be told."""

from __future__ import annotations

import traceback

from trueup.adapt.plan import Plan
from trueup.errors import BackendError, TrueUpError


def engine_error(error: Exception) -> TrueUpError:
    """The error of a request at which the engine stopped; the traceback goes to the log."""
    traceback.print_exception(error)
    return BackendError(
        f"the engine stopped at `{type(error).__name__}: {error}`",
        retryable=True,
        code="engine_failed",
        status=500,
        where=_place(error),
    )


def load_error(plan: Plan, error: BaseException) -> TrueUpError:
    """The error of a load."""
    if isinstance(error, TrueUpError):
        return error
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return BackendError(
        f"loading `{plan.model.id}` stopped at `{type(error).__name__}: {error}`",
        retryable=False,
        code="model_load_failed",
        status=503,
        where=_place(error),
        hint="pip install torch transformers" if missing in ("torch", "transformers") else None,
    )


def _place(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
