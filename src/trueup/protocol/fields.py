"""Readers of single request fields: each returns a checked value or raises RequestError.

Every reader takes the field's name (as the client wrote it) and its value, which is not null.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from trueup.errors import RequestError

Reader = Callable[[str, Any], Any]

MAX_SHOWN_CHARACTERS = 80
# What each reader takes, as JSON schema; a reader that is not here takes what its own code says.
# Weak: a reader that somebody makes for one request goes with it.
_SCHEMAS: WeakKeyDictionary[Reader, Mapping[str, Any]] = WeakKeyDictionary()


def described(reader: Reader, **schema: Any) -> Reader:
    """The reader itself, known to take what the JSON schema says."""
    _SCHEMAS[reader] = schema
    return reader


def schema_of(reader: Reader) -> Mapping[str, Any] | None:
    """What a reader takes, as JSON schema; None where only its code says."""
    return _SCHEMAS.get(reader)


def shown(value: object) -> str:
    """The value as a client would recognise it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    if len(text) > MAX_SHOWN_CHARACTERS:
        text = text[:MAX_SHOWN_CHARACTERS] + "…"
    return f"`{text}`"


def refuse(param: str, value: object, expected: str) -> NoReturn:
    """Refuse a value.

    Raises:
        RequestError: always, with `param` and the value found.
    """
    raise RequestError(f"`{param}` is {shown(value)}, expected {expected}", param=param)


def number(low: float, high: float) -> Reader:
    """A reader of numbers from `low` to `high`, both included."""

    def read(param: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            refuse(param, value, f"a number from {low:g} to {high:g}")
        if not low <= value <= high:
            refuse(param, value, f"a number from {low:g} to {high:g}")
        return float(value)

    return described(read, type="number", minimum=low, maximum=high)


def integer(low: int, high: int | None = None) -> Reader:
    """A reader of integers from `low` to `high`, both included."""
    expected = f"an integer from {low} to {high}" if high is not None else f"an integer >= {low}"

    def read(param: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            refuse(param, value, expected)
        if value < low or (high is not None and value > high):
            refuse(param, value, expected)
        return value

    most = {} if high is None else {"maximum": high}
    return described(read, type="integer", minimum=low, **most)


def boolean(param: str, value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        refuse(param, value, "`true` or `false`")
    return value


def text(param: str, value: Any) -> str:
    """Read a string that is not empty."""
    if not isinstance(value, str) or not value:
        refuse(param, value, "a string that is not empty")
    return value


def token_ids(param: str, value: Any) -> tuple[int, ...]:
    """Read a list of token ids."""
    if not isinstance(value, list):
        refuse(param, value, "a list of token ids")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int) or item < 0:
            refuse(param, item, "token ids, integers >= 0")
    return tuple(value)


def anything(param: str, value: Any) -> None:
    """Read a field that says nothing about the answer."""


def unless(*neutral: Any) -> Reader:
    """A reader of a field that is not supported, but for the values that change nothing."""

    def read(param: str, value: Any) -> None:
        # `0 == False` in Python: the type must fit as well.
        if any(type(value) is type(each) and value == each for each in neutral):
            return
        raise RequestError(
            f"`{param}` is not supported",
            param=param,
            code="unsupported_parameter",
            hint=f"leave `{param}` out of the request",
        )

    return described(read)


def read_fields(
    body: Mapping[str, Any], readers: Mapping[str, Reader], *, place: str = ""
) -> dict[str, Any]:
    """Every field of `body` that is not null, read; `place` is the path of `body` itself.

    Raises:
        RequestError: a field is unknown, not supported or out of range.
    """
    if not isinstance(body, Mapping):
        refuse(place or "body", body, "an object")
    values = {}
    for name, value in body.items():
        reader = readers.get(name)
        if reader is None:
            raise unknown(f"{place}.{name}" if place else name, name, readers)
        if value is not None:
            values[name] = reader(f"{place}.{name}" if place else name, value)
    return values


def unknown(param: str, name: str, known: Iterable[str]) -> RequestError:
    """The error for a field that nobody knows, with the nearest known name."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return RequestError(
        f"`{param}` is not a parameter of this request",
        param=param,
        code="unknown_parameter",
        hint=f"the nearest known name is `{nearest[0]}`" if nearest else None,
    )


described(boolean, type="boolean")
described(text, type="string", minLength=1)
described(token_ids, type="array", items={"type": "integer", "minimum": 0})
described(anything)
