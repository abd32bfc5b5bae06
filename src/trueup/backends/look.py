"""What a foreign server says of itself, read from what it answers to harmless GETs: pure.

Every server has its own words for the same facts; what is not there stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_VERSION_CHARACTERS = 64
# Of a row of /v1/models: vLLM and SGLang; Xinference; LiteLLM and others.
CONTEXT_KEYS = (
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "context_tokens",
)
# Objects of a row that hold such a number: llama.cpp's meta, our own plan.
CONTEXT_PLACES = (("meta",), ("trueup", "plan"), ("model_info",))
NESTED_KEYS = (*CONTEXT_KEYS, "n_ctx", "n_ctx_train", "max_input_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The models that a server lists, and the context of those that tell it."""

    contexts: Mapping[str, int | None]

    def name_for(self, wanted: str) -> str | None:
        """The only model's name where none is called `wanted`; None leaves the caller's."""
        names = tuple(self.contexts)
        return names[0] if len(names) == 1 and names[0] != wanted else None

    def context_of(self, name: str) -> int | None:
        """The context of a model, or of the only one."""
        if name in self.contexts:
            return self.contexts[name]
        return next(iter(self.contexts.values())) if len(self.contexts) == 1 else None


def listed(body: bytes) -> Listed | None:
    """The answer to GET /v1/models; None where it is none."""
    shape = _parsed(body)
    rows = shape.get("data") if isinstance(shape, dict) else None
    if not isinstance(rows, list):
        return None
    return Listed(
        contexts={
            row["id"]: _context(row)
            for row in rows
            if isinstance(row, dict) and isinstance(row.get("id"), str)
        }
    )


def version(body: bytes, key: str) -> str | None:
    """What stands under `key` in a server's word on itself, where that can be a version."""
    shape = _parsed(body)
    found = shape.get(key) if isinstance(shape, dict) else shape if key == "version" else None
    if not isinstance(found, str) or not found.isprintable():
        return None
    return found.strip()[:MAX_VERSION_CHARACTERS] or None


def _context(row: Mapping[str, Any]) -> int | None:
    for place in CONTEXT_PLACES:
        inner: Any = row
        for step in place:
            inner = inner.get(step) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and (found := _number(inner, NESTED_KEYS)):
            return found
    return _number(row, CONTEXT_KEYS)


def _number(row: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        value = row.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
