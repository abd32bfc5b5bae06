"""Keys with which a config makes some releases of transformers run code, wherever they stand.

CVE-2026-4372 and CVE-2026-5241. Finds them; the doctor and the planner judge them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

INTERNAL_ATTENTION = "_attn_implementation_internal"
TRUST = "trust_remote_code"
DANGEROUS_KEYS = frozenset({INTERNAL_ATTENTION, TRUST})


def dangerous_keys(config: Any) -> list[tuple[str, str]]:
    """Each dangerous key of a JSON value with its dotted place, in the order of the file."""
    return list(_walk(config, ""))


def _walk(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in DANGEROUS_KEYS:
                yield key, f"{place}{key}"
            yield from _walk(inner, f"{place}{key}.")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _walk(inner, f"{place}{position}.")
