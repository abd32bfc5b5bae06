"""What a native mapping is: data that turns one published layout into a class of the library.

A mapping lies in a module of its own and is listed in `NATIVE`. Nothing here loads anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.plan import Caveat, Kind
from trueup.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Rows = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which rows of a source tensor make up a target tensor, in order; none means all of it.

    `has_unit_rows`: in the model's dtype every row is then divided by its length.
    """

    target: str
    rows: tuple[Rows, ...] = ()
    has_unit_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a checkpoint of the family cannot be mapped; `key` is the config key that says so."""

    reason: str
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """How a family turns text and conversations into token ids; none of its code runs.

    `build_tokenizer(checkpoint, directory)`; `stop_token_ids(checkpoint, tokenizer)` end an
    answer, the end of text first; `encode_chat(checkpoint, tokenizer, messages, ...)` is None for
    a family that completes text only (for its arguments see `adapt.chat.EncodeChat`);
    `answers_after_space` says that white space at the start of an answer is format.
    """

    build_tokenizer: Callable[[Checkpoint, Path], PreTrainedTokenizerBase]
    stop_token_ids: Callable[[Checkpoint, PreTrainedTokenizerBase], tuple[int, ...]]
    encode_chat: Callable[..., list[int]] | None = None
    answers_after_space: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeFamily:
    """One published layout, and how to run it as a class that transformers implements.

    `map_config(checkpoint, major)` gives the keywords of `config_class` for transformers
    `major`; `map_tensor(checkpoint)` gives a function from a tensor's name to its parts: none
    where it is dropped, None where the name is not of this layout. A family without
    `implementation` is refused always, and has no `speech`.
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
    speech: Speech | None = None


def ranges(starts: range, length: int) -> tuple[Rows, ...]:
    """Blocks of `length` rows, one from each start."""
    return tuple((start, start + length) for start in starts)


def whole_number(config: Mapping[str, Any], key: str) -> int | None:
    """A positive integer of a config, None where it is anything else."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return None
    return value


def value_refusals(
    config: Mapping[str, Any], *, sizes: Sequence[str], epsilon: str, flags: Sequence[str]
) -> list[Refusal]:
    """What of a config is no positive integer, no number between 0 and 1, no boolean."""
    found = [
        Refusal(reason=f"expected a positive number, found `{config.get(key)!r}`", key=key)
        for key in sizes
        if whole_number(config, key) is None
    ]
    value = config.get(epsilon)
    if not isinstance(value, float) or not 0 < value < 1:
        reason = f"expected a number between 0 and 1, found `{value!r}`"
        found.append(Refusal(reason=reason, key=epsilon))
    for key in flags:
        if not isinstance(config.get(key, False), bool):
            reason = f"expected true or false, found `{config[key]!r}`"
            found.append(Refusal(reason=reason, key=key))
    return found
