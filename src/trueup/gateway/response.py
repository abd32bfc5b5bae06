"""What a backend's response says before any of it is sent on: status, type, a whole answer."""

from __future__ import annotations

import re

import orjson

from trueup.backends.base import BackendResponse
from trueup.errors import BackendError, TrueUpError
from trueup.gateway.contract import FAILED_REASONS, stated_error

# 2048 embeddings of 4096 dimensions, written out, are a little less.
MAX_ANSWER_BYTES = 2**27
MAX_ERROR_BYTES = 2**16

# A vector, as numbers or in base64, with its key; what stands for it once it was seen.
EMBEDDING = re.compile(rb'"embedding"\s*:\s*(?:\[[-+0-9.eE,\s]+\]|"[A-Za-z0-9+/=]+")')
SEEN = "(seen)"


async def check_stream(response: BackendResponse) -> None:
    """See that a stream follows.

    Raises:
        TrueUpError: the backend states an error or answers with something else.
    """
    if response.status != 200:
        raise _refusal(response, await read_all(response, MAX_ERROR_BYTES))
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "text/event-stream":
        raise BackendError(
            f"the backend answered a stream request with `{media or 'no content type'}`, "
            "expected `text/event-stream`",
            retryable=True,
            code="stream_malformed",
        )


def check_whole(response: BackendResponse, body: bytes) -> None:
    """See that the body is a whole answer of a chat or a completion.

    Raises:
        TrueUpError: the backend states an error, or the answer is not complete.
    """
    if response.status != 200:
        raise _refusal(response, body)
    try:
        shape = orjson.loads(body)
    except orjson.JSONDecodeError:
        shape = None
    choices = shape.get("choices") if isinstance(shape, dict) else None
    if isinstance(shape, dict) and shape.get("error"):
        raise stated_error(shape["error"], status=502)
    if not isinstance(choices, list) or not choices or not all(map(_is_finished, choices)):
        raise BackendError(
            "the backend answered with status 200 and no complete answer",
            retryable=True,
            code="answer_incomplete",
        )


def check_embeddings(response: BackendResponse, body: bytes, inputs: int) -> None:
    """See that the body has an embedding for each of `inputs` inputs.

    Their numbers are only looked at from outside: reading millions of them costs more than it
    finds. One that is `null`, which is how JSON has what is no number, is found.

    Raises:
        TrueUpError: the backend states an error, or the answer is not complete.
    """
    if response.status != 200:
        raise _refusal(response, body)
    try:
        shape = orjson.loads(EMBEDDING.sub(b'"embedding":"%b"' % SEEN.encode(), body))
    except orjson.JSONDecodeError:
        shape = None
    if isinstance(shape, dict) and shape.get("error"):
        raise stated_error(shape["error"], status=502)
    rows = shape.get("data") if isinstance(shape, dict) else None
    if not isinstance(rows, list) or len(rows) != inputs or not all(map(_is_embedded, rows)):
        raise BackendError(
            "the backend answered with status 200 and not with an embedding for every input",
            retryable=True,
            code="answer_incomplete",
        )


def _is_embedded(row: object) -> bool:
    return isinstance(row, dict) and row.get("embedding") == SEEN


def _is_finished(choice: object) -> bool:
    reason = choice.get("finish_reason") if isinstance(choice, dict) else None
    return bool(reason) and reason not in FAILED_REASONS


async def read_all(response: BackendResponse, limit: int = MAX_ANSWER_BYTES) -> bytes:
    """The whole body.

    Raises:
        BackendError: it is longer than `limit` bytes, or breaks off.
    """
    pieces = []
    length = 0
    async for piece in response.body:
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            raise BackendError(
                f"the backend's answer is longer than {limit} bytes", retryable=False
            )
    return b"".join(pieces)


def _refusal(response: BackendResponse, body: bytes) -> TrueUpError:
    try:
        shape = orjson.loads(body)
        stated = shape.get("error", shape) if isinstance(shape, dict) else shape
    except orjson.JSONDecodeError:
        stated = f"the backend answered with status {response.status}"
    wait = response.headers.get("retry-after", "")
    return stated_error(
        stated,
        # A redirect or a success without an answer is a fault of the backend, not the client's.
        status=response.status if response.status >= 400 else 502,
        retry_after_seconds=int(wait) if wait.isascii() and wait.isdigit() else None,
    )
