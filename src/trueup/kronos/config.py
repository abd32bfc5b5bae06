"""The arguments of a Kronos class: from config.json, else from the weights, checked against both.

Pure: a Checkpoint whose weights are known to be of the class in, arguments or an error out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.layouts import evidence_of, layout_of
from trueup.checkpoint.rebuild import rebuild
from trueup.errors import CheckpointError
from trueup.kronos.hints import fetch_again, listing, write_config
from trueup.kronos.part import LANGUAGE_MODEL, PARTS, TOKENIZER, Part

CONFIG = "config.json"
PAIRS = "Kronos-mini goes with Kronos-Tokenizer-2k, Kronos-small and -base with -Tokenizer-base"
# The cross-attention between the two tokens of a bar has always so many.
CROSS_ATTENTION_HEADS = 4
BITS_LIMIT = 24
SIZE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All arguments of a class, in its order, and no other key.

    `guessed` are those that nothing in the directory tells: they matter in training only. `notes`
    say what was not as published, and what was done about it.
    """

    arguments: Mapping[str, Any]
    guessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_config(checkpoint: Checkpoint, part: Part) -> Config:
    """What the class is made with.

    1. What config.json lacks is read off the weights, unless it is the config of the other class.
    2. A class can be made of the values. 3. The weights do not contradict them.

    Raises: CheckpointError.
    """
    missing = missing_arguments(part, checkpoint.config)  # 1
    if missing:
        _refuse_other_class(checkpoint, part, missing)
    arguments = {name: checkpoint.config[name] for name in part.arguments if name not in missing}
    guessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if missing:
        told, guessed = _told_by_weights(checkpoint, part, missing)
        arguments = {name: arguments.get(name, told.get(name)) for name in part.arguments}
        notes = (
            f"`{checkpoint.directory / CONFIG}` {_incomplete(checkpoint, part, missing)}: what it "
            f"lacks was read off the weights, and {write_config(checkpoint)} writes it",
        )
    for key, reason in _wrong_values(part, arguments):  # 2
        raise CheckpointError(
            f"config.json: `{key}` {reason}",
            where=f"{checkpoint.directory / CONFIG}: {key}",
            hint="copy config.json from where the weights came from, or rebuild it: "
            f"{write_config(checkpoint)}",
        )
    _refuse_contradicted(checkpoint, arguments)  # 3
    return Config(arguments=arguments, guessed=guessed, notes=notes)


def missing_arguments(part: Part, config: Mapping[str, Any]) -> list[str]:
    """The arguments of the class that a config does not hold, in the class's order."""
    return [name for name in part.arguments if name not in config]


def _refuse_other_class(checkpoint: Checkpoint, part: Part, missing: list[str]) -> None:
    for other in PARTS:
        if other is not part and not missing_arguments(other, checkpoint.config):
            raise CheckpointError(
                f"config.json is that of `{other.class_name}` and the weights are those of "
                f"`{part.class_name}`: it lacks {listing(missing)}",
                where=str(checkpoint.directory / CONFIG),
                hint="copy config.json and the weights from one repository, or rebuild it: "
                f"{write_config(checkpoint)}",
            )


def _told_by_weights(
    checkpoint: Checkpoint, part: Part, missing: list[str]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The values for what is missing, and which of them are guesses.

    Guessed are dropouts and the weights of losses, which a forecast does not use. The number of
    heads is told by a stored table of frequencies, and where there is none by nothing.
    """
    rebuilt = rebuild(checkpoint)
    still = [name for name in missing if name not in rebuilt.config]
    if still:
        raise CheckpointError(
            f"config.json {_incomplete(checkpoint, part, missing)}, and the weights do not tell "
            f"{listing(still)}",
            where=str(checkpoint.directory / CONFIG),
            hint=fetch_again(checkpoint, part),
        )
    guessed = tuple(name for name in rebuilt.guessed if name in missing)
    return {name: rebuilt.config[name] for name in missing}, guessed


def _incomplete(checkpoint: Checkpoint, part: Part, missing: list[str]) -> str:
    """What is the matter with config.json, after its name."""
    if CONFIG not in checkpoint.files:
        return f"is not there, with the {len(missing)} arguments of `{part.class_name}`"
    problem = next((each for each in checkpoint.problems if each.path == CONFIG), None)
    if problem is not None and not checkpoint.config:
        return f"cannot be read ({problem.detail})"
    if not checkpoint.config:
        return f"is empty and lacks all {len(missing)} arguments of `{part.class_name}`"
    others = [key for key in checkpoint.config if key not in part.arguments]
    spelled = {key.replace("_", "").replace("-", "").lower(): key for key in others[:200]}
    near = get_close_matches(missing[0].replace("_", ""), spelled, n=1, cutoff=0.75)
    meant = f" (`{spelled[near[0]]}` is there, which may be `{missing[0]}`)" if near else ""
    return f"lacks {listing(missing)}{meant}"


def _refuse_contradicted(checkpoint: Checkpoint, arguments: Mapping[str, Any]) -> None:
    evidence = evidence_of(checkpoint)
    layout = layout_of(evidence)
    wrong = [
        each
        for each in (layout.values(evidence) if layout is not None else ())
        if each.origin == "weights" and arguments.get(each.key, each.value) != each.value
    ]
    if wrong:
        told = "; ".join(
            f"`{each.key}` is {arguments[each.key]}, and the weights have {each.value} "
            f"({each.reason})"
            for each in wrong
        )
        pairs = f" ({PAIRS})" if any(each.key == "group_size" for each in wrong) else ""
        raise CheckpointError(
            f"config.json is not of these weights: {told}",
            where=f"{checkpoint.directory / CONFIG}: {wrong[0].key}",
            hint=f"copy config.json and the weights from one repository{pairs}, or rebuild it: "
            f"{write_config(checkpoint)}",
        )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= SIZE_LIMIT


def _is_bits(value: Any) -> bool:
    return type(value) is int and 0 < value <= BITS_LIMIT


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_probability(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1


def _is_truth(value: Any) -> bool:
    return type(value) is bool or value in (0, 1)


# By argument: whether a value is one, and what is expected in words.
KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **{
        name: (_is_count, f"a whole number from 1 to {SIZE_LIMIT:,}")
        for name in (
            "d_in", "d_model", "n_heads", "ff_dim", "n_layers", "n_enc_layers", "n_dec_layers",
            "group_size",
        )
    },
    **{
        name: (_is_bits, f"a whole number from 1 to {BITS_LIMIT}")
        for name in ("s1_bits", "s2_bits")
    },
    **{
        name: (_is_probability, "a number from 0 to below 1")
        for name in ("ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "token_dropout_p")
    },
    **{name: (_is_number, "a number") for name in ("beta", "gamma0", "gamma", "zeta")},
    "learn_te": (_is_truth, "true or false"),
}  # fmt: skip


def _wrong_values(part: Part, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and reason for each value that no model can be made of; the config has all keys."""
    for name in part.arguments:
        is_right, expected = KINDS[name]
        if not is_right(config[name]):
            yield name, f"is {_shown(config[name])}, expected {expected}"
            return
    yield from _wrong_together(part, config)


def _wrong_together(part: Part, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    width, heads = config["d_model"], config["n_heads"]
    if width % heads or (width // heads) % 2:
        yield (
            "n_heads",
            f"is {heads}, which does not divide `d_model` {width} into heads of an even width",
        )
    if part is LANGUAGE_MODEL and (width % CROSS_ATTENTION_HEADS or width // 4 % 2):
        yield (
            "d_model",
            f"is {width}, which {CROSS_ATTENTION_HEADS} heads cannot share in even widths",
        )
    if part is TOKENIZER:
        bits, group = config["s1_bits"] + config["s2_bits"], config["group_size"]
        if bits % group:
            yield "group_size", f"is {group}, which does not divide the {bits} bits of a bar"


def _shown(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"`{text}`"
