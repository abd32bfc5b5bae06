"""JSON that only Python writes and reads: NaN, infinities, halves of surrogate pairs."""

from __future__ import annotations

import json
import re
from typing import Any

HALF = re.compile("[\ud800-\udfff]")


def odd_json(data: bytes | str) -> Any:
    """The value, with null for what is no number; None where it is no JSON at all.

    Halves of surrogate pairs stay as they are (see `whole_text`).
    """
    try:
        return json.loads(data, parse_constant=lambda word: None)
    except (ValueError, RecursionError):
        return None


def whole_text(value: Any) -> Any:
    """The value with every text in it as Unicode knows it: U+FFFD for half a pair."""
    if isinstance(value, str):
        return HALF.sub("\ufffd", value) if HALF.search(value) else value
    if isinstance(value, list):
        return [whole_text(each) for each in value]
    if isinstance(value, dict):
        return {key: whole_text(each) for key, each in value.items()}
    return value


class PairJoiner:
    """Joins surrogate pairs whose halves come in two pieces of one text."""

    def __init__(self) -> None:
        self._half = ""

    def push(self, text: str) -> str:
        """The text so far, but for a first half at its end."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
