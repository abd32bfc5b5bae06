"""What a worker uses of orjson, by the standard library: for environments that lack it.

Lent under that name. Slower, and otherwise the same.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

OPT_SERIALIZE_NUMPY = 16


class JSONDecodeError(ValueError):
    """The text is not JSON."""


def loads(text: bytes | str) -> Any:
    """The value of a JSON text in UTF-8.

    Raises: JSONDecodeError where it is none.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise JSONDecodeError(str(error)) from error


def dumps(value: Any, option: int = 0) -> bytes:
    """A value as JSON in UTF-8; arrays of numpy as lists where `option` says so.

    Raises: TypeError for what JSON has no word for.
    """
    lists = _as_list if option & OPT_SERIALIZE_NUMPY else None
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=lists)
    return text.encode("utf-8", "replace")


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"`{type(value).__name__}` cannot be written as JSON")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"`{constant}` is not JSON")
