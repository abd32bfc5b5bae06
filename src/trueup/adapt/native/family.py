"""What a native mapping is: data that turns one published layout into a class of the library.

A mapping lies in a module of its own and is listed in `NATIVE`. Nothing here loads anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trueup.adapt.plan import Caveat, Kind
from trueup.checkpoint.checkpoint import Checkpoint

Rows = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which rows of a source tensor make up a target tensor, in order; none means all of it."""

    target: str
    rows: tuple[Rows, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a checkpoint of the family cannot be mapped; `key` is the config key that says so."""

    reason: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeFamily:
    """One published layout, and how to run it as a class that transformers implements.

    `map_config(checkpoint, major)` gives the keywords of `config_class` for transformers
    `major`; `map_tensor(checkpoint)` gives a function from a tensor's name to its parts: none
    where it is dropped, None where the name is not of this layout. A family without
    `implementation` is refused always.
    """

    name: str
    title: str
    implementation: str | None
    config_class: str
    model_type: str
    kind: Kind
    recognise: Callable[[Checkpoint], bool]
    refusals: Callable[[Checkpoint], tuple[Refusal, ...]]
    map_config: Callable[[Checkpoint, int], dict[str, Any]]
    map_tensor: Callable[[Checkpoint], Callable[[str], tuple[Part, ...] | None]]
    describe: Callable[[Checkpoint], tuple[str, ...]]
    caveats: Callable[[Checkpoint, str], tuple[Caveat, ...]]


def ranges(starts: range, length: int) -> tuple[Rows, ...]:
    """Blocks of `length` rows, one from each start."""
    return tuple((start, start + length) for start in starts)


def whole_number(config: Mapping[str, Any], key: str) -> int | None:
    """A positive integer of a config, None where it is anything else."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return None
    return value
