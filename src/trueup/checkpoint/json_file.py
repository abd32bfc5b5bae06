"""JSON files of a model directory: an object, or a Problem that says why there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Problem
from trueup.checkpoint.damage import HEAD_BYTES, mistaken_content

# The largest real ones are indexes of some MB; more than this is not a config.
LIMIT_BYTES = 64 * 1024 * 1024


def read_json(directory: Path, name: str) -> tuple[dict[str, Any], Problem | None]:
    """The object in the file `name`; empty, with a Problem, where it cannot be had."""
    path = directory / name
    try:
        if path.stat().st_size > LIMIT_BYTES:
            return {}, Problem(
                kind="not_json", path=name, detail=f"larger than {LIMIT_BYTES:,} bytes"
            )
        content = path.read_bytes()
    except OSError as error:
        return {}, Problem(kind="unreadable", path=name, detail=error.strerror or str(error))
    mistaken = mistaken_content(name, content[:HEAD_BYTES])
    if mistaken is not None:
        return {}, mistaken
    try:
        shape = json.loads(content.decode("utf-8"))
    except json.JSONDecodeError as error:
        detail = "the file is empty" if not content.strip() else f"not JSON: {error.msg}"
        return {}, Problem(kind="not_json", path=name, line=error.lineno, detail=detail)
    except RecursionError:
        return {}, Problem(kind="not_json", path=name, detail="nested too deeply to be read")
    except ValueError as error:  # not UTF-8, or an integer of thousands of digits
        return {}, Problem(kind="not_json", path=name, detail=f"not JSON: {error}")
    if not isinstance(shape, dict):
        kind = {list: "a list", str: "a string", type(None): "null"}.get(type(shape), "a number")
        return {}, Problem(kind="not_json", path=name, detail=f"{kind}, expected an object")
    return shape, None
