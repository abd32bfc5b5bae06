"""JSON Lines as people have them: one object a line, every fault told with its file and line.

Knows nothing of pairs: `pairs.py` and `clone_formats.py` say what an object must hold.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueup.errors import ConfigError

MAX_LINE_BYTES = 16 * 2**20
SHOWN_CHARACTERS = 60
KINDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def text_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that holds something, as `file:line` and its text without the line's end.

    A byte order mark at the start and CRLF line ends are accepted.

    Raises:
        ConfigError: the file cannot be read, or a line is not UTF-8 or longer than
            MAX_LINE_BYTES.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError("this is no regular file, expected a file of pairs", where=str(path))
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                text = _decoded(raw, f"{path}:{number}", is_first=number == 1)
                if text.strip():
                    yield f"{path}:{number}", text
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the file cannot be read: {reason}", where=str(path)) from error


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's `file:line` and object.

    Raises:
        ConfigError: as `text_lines`, or a line is no JSON object or has a key twice.
    """
    for where, text in text_lines(path):
        yield where, _object(text, where)


def shown(value: Any) -> str:
    """A value as JSON for a message, shortened, without what would start a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > SHOWN_CHARACTERS:
        text = f"{text[:SHOWN_CHARACTERS]}…"
    return f"`{text}`" if text.isprintable() else f"`{ascii(text)[1:-1]}`"


def _decoded(raw: bytes, where: str, *, is_first: bool) -> str:
    if len(raw) > MAX_LINE_BYTES:
        raise ConfigError(f"the line is longer than {MAX_LINE_BYTES:,} bytes", where=where)
    try:
        return raw.decode("utf-8-sig" if is_first else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the line is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            where=where,
        ) from error


def _object(text: str, where: str) -> dict[str, Any]:
    def without_doubles(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"the key {shown(twice)} is there twice", where=where)
        return found

    try:
        value = json.loads(text, object_pairs_hook=without_doubles)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"the line is not JSON: {error.msg} at column {error.colno}", where=where
        ) from error
    except RecursionError as error:
        raise ConfigError("the line is nested too deeply to be read", where=where) from error
    except ValueError as error:  # an integer of thousands of digits
        raise ConfigError(f"the line is not JSON: {error}", where=where) from error
    if not isinstance(value, dict):
        raise ConfigError(f"the line holds {KINDS[type(value)]}, expected an object", where=where)
    return value
