"""What an answer that is no text has to be before it is sent on: embeddings, a forecast."""

from __future__ import annotations

import re

import orjson

from trueup.gateway.refusal import stated_error
from trueup.gateway.whole import error_in, incomplete

# A vector, as numbers or in base64, with its key; what stands for it once it was seen.
EMBEDDING = re.compile(rb'"embedding"\s*:\s*(?:\[[-+0-9.eE,\s]+\]|"[A-Za-z0-9+/=]+")')
SEEN = "(seen)"
# A forecast begins and ends with these; its bars between them are not looked at.
FORECAST = b'"object":"forecast"'
HEAD_BYTES, TAIL_BYTES = 256, 256
USAGE = re.compile(rb'"usage":(\{[^{}]*\})\}$')


def check_embeddings(body: bytes, inputs: int) -> None:
    """See that the body has an embedding for each of `inputs` inputs.

    Their numbers are only looked at from outside: reading millions of them costs more than it
    finds. One that is `null`, which is how JSON has what is no number, is found.

    Raises:
        TrueUpError: the backend states an error, or the answer is not complete.
    """
    try:
        shape = orjson.loads(EMBEDDING.sub(b'"embedding":"%b"' % SEEN.encode(), body))
    except orjson.JSONDecodeError:
        shape = None
    rows = shape.get("data") if isinstance(shape, dict) else None
    if isinstance(shape, dict) and not rows and (stated := error_in(shape)) is not None:
        raise stated_error(stated, status=502)
    if not isinstance(rows, list) or len(rows) != inputs or not all(map(_is_embedded, rows)):
        raise incomplete("answered with status 200 and not with an embedding for every input")


def _is_embedded(row: object) -> bool:
    return isinstance(row, dict) and row.get("embedding") == SEEN


def check_forecast(body: bytes) -> dict[str, int]:
    """See that the body is a whole forecast; what it says of the number of bars.

    Raises:
        TrueUpError: it is none.
    """
    usage = USAGE.search(body[-TAIL_BYTES:])
    if FORECAST not in body[:HEAD_BYTES] or usage is None:
        raise incomplete("answered with status 200 and not with a forecast")
    found: dict[str, int] = orjson.loads(usage[1])
    return found
