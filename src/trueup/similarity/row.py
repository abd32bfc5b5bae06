"""The values of a row of a data set, checked: each fault names the key, the value and the place."""

from __future__ import annotations

from trueup.errors import ConfigError
from trueup.similarity.json_lines import shown

MAX_CODE_BYTES = 4 * 2**20
LABELS = {"1": 1, "0": 0}


def label_of(value: object, where: str) -> int:
    """1 or 0, also where they are written as texts or as true and false.

    Raises:
        ConfigError: the value is anything else.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and value in (0, 1):
        return value
    if isinstance(value, str) and value in LABELS:
        return LABELS[value]
    raise ConfigError(
        f"`label` is {shown(value)}, expected `1` (does the same) or `0` (does not)", where=where
    )


def index_of(value: object, key: str, where: str) -> str:
    """A name or number of a row, as a text.

    Raises:
        ConfigError: the value is anything else, or empty.
    """
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ConfigError(f"`{key}` is {shown(value)}, expected a text or a number", where=where)
    return str(value)


def code_of(value: object, key: str, where: str) -> str:
    """A piece of code that can be sent to a model; it may be empty.

    Raises:
        ConfigError: the value is no text, no Unicode, or longer than MAX_CODE_BYTES.
    """
    if not isinstance(value, str):
        raise ConfigError(f"`{key}` is {shown(value)}, expected a text", where=where)
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"`{key}` is no Unicode text: half a character at position {error.start}", where=where
        ) from error
    if size > MAX_CODE_BYTES:
        raise ConfigError(
            f"`{key}` has {size:,} bytes, expected at most {MAX_CODE_BYTES:,}", where=where
        )
    return value
