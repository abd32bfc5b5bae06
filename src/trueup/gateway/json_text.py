"""JSON for the wire, of whatever was read from it."""

from __future__ import annotations

import json
from typing import Any

import orjson

from trueup.errors import RequestError


def written(value: Any) -> bytes:
    """The value as JSON.

    orjson reads deeper than it writes, and what only Python reads has longer integers and halves
    of surrogate pairs: those are written by Python, as escapes.

    Raises:
        RequestError: it is nested deeper than anybody writes.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError as error:
        raise RequestError(
            "the JSON is nested too deeply to be passed on", code="invalid_json"
        ) from error
