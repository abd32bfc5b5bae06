"""From an exception to the response that tells the client: one place, which cannot fail."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Iterable
from difflib import get_close_matches

import orjson

from trueup.errors import BackendError, CapacityError, RequestError, TrueUpError
from trueup.gateway.exchange import Exchange
from trueup.protocol.errors import code_of, error_body, status_of

# A failed load may be tried again by the next request: not at once, it just failed.
RETRY_AFTER_SECONDS = 5
FALLBACK_BODY = (
    b'{"error":{"message":"a bug in TrueUp; the server\'s log tells more","type":"server_error",'
    b'"code":"internal_error","param":null,"source":"trueup","where":null,"hint":null}}'
)
MAX_LISTED = 8
# Paths of OpenAI's that clients ask for and that a near miss of another would explain wrongly.
UNSERVED = ("/v1/responses", "/v1/audio", "/v1/images")


async def answer_error(exchange: Exchange, error: Exception) -> None:
    """Answer with an error; an exception that is not ours is a bug and is told to stderr."""
    if not isinstance(error, TrueUpError):
        exchange.error_code = "internal_error"
        log_bug(exchange, error)
        await exchange.answer(500, FALLBACK_BODY)
        return
    status = status_of(error)
    exchange.error_code = code_of(error)
    try:
        body = orjson.dumps(error_body(error, exchange.source))
    except (TypeError, ValueError):  # a lone surrogate of the client's, for one
        body = FALLBACK_BODY
    await exchange.answer(status, body, _headers(error, status))


def log_bug(exchange: Exchange, error: Exception) -> None:
    """Tell stderr about an exception that is not ours."""
    sys.stderr.write(f"bug in {exchange.method} {exchange.path} {exchange.request_id}:\n")
    traceback.print_exception(error)


def unknown_model(name: str, served: Iterable[str]) -> RequestError:
    """The error for a model that is not served, with the names that are."""
    names = sorted(served)
    hint = None
    if near := get_close_matches(name, names, n=3, cutoff=0.6):
        hint = f"did you mean {' or '.join(f'`{each}`' for each in near)}"
    elif names:
        more = ", …" if len(names) > MAX_LISTED else ""
        hint = f"served here: {', '.join(f'`{each}`' for each in names[:MAX_LISTED])}{more}"
    return RequestError(
        f"the model `{name}` is not served",
        param="model",
        code="model_not_found",
        status=404,
        where="/v1/models",
        hint=hint or "`GET /v1/models` lists what is served",
    )


def unknown_path(path: str, known: Iterable[str]) -> RequestError:
    """The error for a path that is not served."""
    if path.startswith(UNSERVED):
        return RequestError(
            f"`{path}` is not served by this version",
            code="not_found",
            status=404,
            hint=f"served are {', '.join(f'`{each}`' for each in known if '/v1/' in each)}",
        )
    near = get_close_matches(path, list(known), n=1)
    return RequestError(
        f"there is no `{path}`",
        code="not_found",
        status=404,
        hint=f"the nearest path is `{near[0]}`" if near else "see `/v1/models` and `/openapi.json`",
    )


def wrong_method(method: str, path: str, allowed: str) -> RequestError:
    """The error for a method that a path does not answer."""
    return RequestError(
        f"`{path}` does not answer `{method}`, expected {allowed}",
        code="method_not_allowed",
        status=405,
    )


def _headers(error: TrueUpError, status: int) -> list[tuple[str, str]]:
    wait = error.retry_after_seconds if isinstance(error, CapacityError | BackendError) else None
    if wait is not None or status in (429, 503):
        seconds = RETRY_AFTER_SECONDS if wait is None else max(1, math.ceil(wait))
        return [("retry-after", str(seconds))]
    # What is left of the body would be taken for the next request.
    return [("connection", "close")] if status == 408 else []
