"""Whose error it is: what a backend said is told with its name, and what the operator can do."""

from __future__ import annotations

from trueup.backends.base import Backend
from trueup.errors import BackendError, RequestError, TrueUpError

# A backend's own key is the operator's affair: the client's was right.
KEY_STATUSES = frozenset({401, 403})
NOBODY = "the backend"


def blamed_on(error: TrueUpError, backend: Backend) -> TrueUpError:
    """The error as a client is to have it; only what speaks against the backend is changed.

    What is wrong with the request goes on in the backend's words.
    """
    name = backend.name
    error.cause = backend.conceal(error.cause)
    error.hint = backend.conceal(error.hint) if error.hint else None
    if isinstance(error, RequestError) and error.status in KEY_STATUSES:
        return BackendError(
            f"`{name}` refuses the key that it is asked with: {error.cause}",
            retryable=False,
            code="backend_unauthorized",
            where=name,
            hint=f"set `api_key` in `backends.{name}`, or see that it may use this model",
        )
    if isinstance(error, BackendError) and error.where is None:
        named = f"`{name}`"
        if error.cause.startswith(NOBODY):
            error.cause = named + error.cause.removeprefix(NOBODY)
        elif named not in error.cause:
            error.cause = f"{named} says: {error.cause}"
        error.where = name
        if error.hint is None and not backend.capabilities.queues:
            error.hint = f"see what it can do: trueup backends check {name}"
    return error
