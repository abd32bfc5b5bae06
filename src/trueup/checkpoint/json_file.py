"""JSON files of a model directory: an object, or a Problem that says why there is none."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Problem
from trueup.checkpoint.damage import HEAD_BYTES, mistaken_content
from trueup.checkpoint.regular import open_regular

# The largest real ones are indexes of some MB; more than this is not a config.
LIMIT_BYTES = 64 * 1024 * 1024
# No real file of a model comes near; what walks a value by recursion may rely on it.
DEPTH_LIMIT = 100
BYTE_ORDER_MARK = (
    "begins with the byte order mark that some editors of Windows write, which JSON readers refuse"
)


def read_json(directory: Path, name: str) -> tuple[dict[str, Any], Problem | None]:
    """The object in the file `name`; empty, with a Problem, where it cannot be had.

    What stands behind a byte order mark is given with the Problem that no loader reads it.
    """
    path = directory / name
    try:
        with open_regular(path) as file:
            content = file.read(LIMIT_BYTES + 1)
        if len(content) > LIMIT_BYTES:
            return {}, Problem(
                kind="not_json", path=name, detail=f"larger than {LIMIT_BYTES:,} bytes"
            )
    except OSError as error:
        return {}, Problem(kind="unreadable", path=name, detail=error.strerror or str(error))
    mistaken = mistaken_content(name, content[:HEAD_BYTES])
    if mistaken is not None:
        return {}, mistaken
    is_marked = content.startswith(codecs.BOM_UTF8)
    try:
        shape = json.loads(content.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        detail = "the file is empty" if not content.strip() else f"not JSON: {error.msg}"
        return {}, Problem(kind="not_json", path=name, line=error.lineno, detail=detail)
    except RecursionError:
        return {}, Problem(kind="not_json", path=name, detail="nested too deeply to be read")
    except ValueError as error:  # not UTF-8, or an integer of thousands of digits
        return {}, Problem(kind="not_json", path=name, detail=f"not JSON: {error}")
    if _is_deep(shape, content):
        detail = f"nested more than {DEPTH_LIMIT} deep"
        return {}, Problem(kind="not_json", path=name, detail=detail)
    if not isinstance(shape, dict):
        kind = {list: "a list", str: "a string", type(None): "null"}.get(type(shape), "a number")
        return {}, Problem(kind="not_json", path=name, detail=f"{kind}, expected an object")
    if is_marked:
        return shape, Problem(kind="byte_order_mark", path=name, detail=BYTE_ORDER_MARK)
    return shape, None


def _is_deep(shape: Any, content: bytes) -> bool:
    """Whether the value is nested deeper than the limit; walks no deeper than that."""
    if content.count(b"{") + content.count(b"[") <= DEPTH_LIMIT:
        return False
    level = [shape]
    for _ in range(DEPTH_LIMIT):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
