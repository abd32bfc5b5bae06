"""Keys with which a config makes some releases of transformers run code, wherever they stand.

CVE-2026-4372 (a kernel is code that is downloaded), CVE-2026-5241 (LightGlue reads
`trust_remote_code` from the file) and the like. Finds them; the doctor and the planner judge them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

KERNEL_KEYS = ("_attn_implementation_internal", "_attn_implementation")
TRUST = "trust_remote_code"
# Its author's kernels are what transformers itself trusts from 5.3.0 on.
TRUSTED_KERNEL = re.compile(r"(paged\|)?kernels-community/[\w-][\w.-]*(@[\w-][\w.-]*)?(:\w+)?")

Danger = Literal[
    "kernel",  # names a repository whose code becomes the attention
    "lightglue",  # read by LightGlue instead of what the caller says
    "backbone",  # handed on to the loading of a backbone
    "nested",  # somewhere inside, where no honest config has it
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DangerousKey:
    """A key that runs code; `place` is its dotted path in the file."""

    key: str
    place: str
    danger: Danger


def dangerous_keys(config: Any) -> list[DangerousKey]:
    """The dangerous keys of a JSON value, in the order of the file."""
    found: list[DangerousKey] = []
    pending: list[tuple[Any, str, str]] = [(config, "", "")]
    while pending:  # not by recursion: a file may be nested a thousand deep
        value, prefix, name = pending.pop()
        inner: list[tuple[Any, str, str]] = []
        if isinstance(value, dict):
            for key, below in value.items():
                danger = _danger(key, below, value, prefix, name)
                if danger is not None:
                    found.append(DangerousKey(key=key, place=f"{prefix}{key}", danger=danger))
                inner.append((below, f"{prefix}{key}.", key))
        elif isinstance(value, list):
            inner = [(below, f"{prefix}{index}.", name) for index, below in enumerate(value)]
        pending += [each for each in reversed(inner) if isinstance(each[0], dict | list)]
    return found


def _danger(key: str, value: Any, holder: Any, prefix: str, name: str) -> Danger | None:
    if key in KERNEL_KEYS:
        return "kernel" if any(map(_is_foreign_kernel, _texts(value))) else None
    if key != TRUST or not value:
        return None
    if holder.get("model_type") == "lightglue":
        return "lightglue"
    if name == "backbone_kwargs":
        return "backbone"
    return "nested" if prefix else None  # at the top it is a leftover that nothing reads


def _is_foreign_kernel(text: str) -> bool:
    return "/" in text and TRUSTED_KERNEL.fullmatch(text) is None


def _texts(value: Any) -> Iterator[str]:
    """The strings in a value: an implementation may be given for each part of a model."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, list):
            pending += each
