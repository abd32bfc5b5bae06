"""generation_config.json: what ends an answer, and values that transformers refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.version import Version

from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE

FILE = "generation_config.json"
# Only read while sampling, with the value that says nothing.
SAMPLING = {
    "temperature": 1.0, "top_p": 1.0, "top_k": 50, "typical_p": 1.0, "min_p": None,
    "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
}  # fmt: skip
BEAMS = {"early_stopping": False, "length_penalty": 1.0}
REFUSED_SINCE, WARNED_SINCE = "4.37.0", "5.23.0"


def _ids(value: Any) -> frozenset[int] | None:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int for number in numbers):
        return None
    return frozenset(numbers)


def _is_copy(settings: Mapping[str, Any]) -> bool:
    """Whether the file was made from config.json, which transformers then asks anew."""
    return settings.get("_from_model_config") is True


class NoEnd(Rule):
    """generation_config.json names no `eos_token_id`, though config.json or the tokenizer does.

    transformers asks that file alone where it is there, so answers go on to the limit of tokens.

    Add the key.
    """

    code = "GCF101"
    stage = "generate"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        settings = checkpoint.generation_config
        if not settings or settings.get("eos_token_id") is not None or _is_copy(settings):
            return
        own, source = _ids(checkpoint.config.get("eos_token_id")), "config.json"
        if own is None:
            number = checkpoint.tokenizer.special_ids.get("eos_token")
            own, source = _ids(number) if number is not None else None, "the tokenizer"
        if own is not None:
            yield self.found(
                f"{FILE} names no `eos_token_id`, and it is asked instead of config.json: answers "
                f"end at the limit of tokens only. {source} has {_listing(own)}",
                where=Where(path=FILE, key="eos_token_id"),
                hint=f'add `"eos_token_id": {_listing(own)}` to {FILE}',
            )


class AnotherEnd(Rule):
    """generation_config.json ends answers at other tokens than config.json or the tokenizer.

    The file wins in transformers; servers that read config.json or the tokenizer end elsewhere.

    Make them name the same tokens.
    """

    code = "GCF102"
    stage = "generate"
    severity = "warning"
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        ends = _ids(checkpoint.generation_config.get("eos_token_id"))
        if ends is None or _is_copy(checkpoint.generation_config):
            return
        number = checkpoint.tokenizer.special_ids.get("eos_token")
        for own, source in (
            (_ids(checkpoint.config.get("eos_token_id")), "config.json"),
            (_ids(number) if number is not None else None, "the tokenizer's `eos_token`"),
        ):
            if own is not None and not own & ends:
                yield self.found(
                    f"{FILE} ends answers at {_listing(ends)}, {source} at {_listing(own)}: they "
                    "have no token in common, and the file wins",
                    where=Where(path=FILE, key="eos_token_id"),
                    hint="look which token ends an answer, and name it in both",
                )
                return


class RefusedOnSaving(Rule):
    """generation_config.json has values that transformers refuses to save.

    Since 4.37.0 `save_pretrained` raises a ValueError for settings of sampling without
    `do_sample`, and of beams without `num_beams`, after a training run, which is late: `The
    generation config instance is invalid`, on 5.x `GenerationConfig is invalid`. Since 5.23.0 what
    was loaded unchanged is only warned about.

    Set `do_sample`, or take the values out.
    """

    code = "GCF103"
    messages = (
        Message(
            patterns=(
                r"generation config instance is invalid",
                r"GenerationConfig is invalid",
                r"Fix these issues to save the configuration",
            ),
        ),
    )
    stage = "generate"
    severity = "warning"
    since = REFUSED_SINCE
    evidence = "index"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        settings = facts.checkpoint.generation_config
        version = facts.environment.transformers
        impossible = {key for key, _ in _impossible(settings)}  # which is not even loaded
        found = [each for each in _without_effect(settings) if each[0] not in impossible]
        if not found or version is None:
            return
        is_newest = Version(version.base_version) >= Version(WARNED_SINCE)
        what = "warns about" if is_newest else "refuses to save"
        keys = ", ".join(f"`{key}`: {settings[key]!r}"[:80] for key, _ in found)
        needed = " and ".join(dict.fromkeys(need for _, need in found))
        yield self.found(
            f"transformers {version} {what} these generation settings, which do nothing without "
            f"{needed}: {keys}",
            where=Where(path=FILE, key=found[0][0]),
            hint=f"set {needed} in {FILE}, or take the keys out",
            severity="info" if is_newest else None,
        )


def _without_effect(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys that say something to no one, with what they would need."""
    if settings.get("do_sample") is not True:
        for key, silent in SAMPLING.items():
            if settings.get(key) is not None and settings[key] != silent:
                yield key, "`do_sample: true`"
    if settings.get("num_beams") in (None, 1):
        for key, silent in BEAMS.items():
            if settings.get(key) is not None and settings[key] != silent:
                yield key, "`num_beams` above 1"


class RefusedOnLoading(Rule):
    """generation_config.json has a value with which transformers does not load the model.

    `GenerationConfig` raises a ValueError for it: `max_new_tokens must be greater than 0, but is
    0`, `Greedy methods without beam search do not support num_return_sequences different than 1`.

    Correct the value.
    """

    code = "GCF104"
    messages = (
        Message(
            patterns=(
                r"(?P<key>early_stopping)`? must be a boolean or 'never'",
                r"(?P<key>max_new_tokens)`? must be greater than 0",
                r"Greedy methods .*do not support `?(?P<key>num_return_sequences)",
                r"(?P<key>num_return_sequences)`? \(\d+\) has to be smaller or equal to "
                r"`?num_beams",
            ),
            cause="generation_config.json, or the call, has a `{key}` that transformers refuses",
        ),
    )
    stage = "load"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        settings = facts.checkpoint.generation_config
        for key, expected in _impossible(settings):
            yield self.found(
                f"{FILE}: `{key}` is `{settings[key]!r}`"[:160] + f", expected {expected}",
                where=Where(path=FILE, key=key),
                hint=f"correct `{key}` in {FILE}, or take it out",
            )


def _impossible(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    stopping = settings.get("early_stopping")
    if stopping not in (None, True, False, "never"):
        yield "early_stopping", "true, false or `never`"
    limit = settings.get("max_new_tokens")
    if isinstance(limit, int | float) and limit <= 0:
        yield "max_new_tokens", "more than 0"
    count, beams = settings.get("num_return_sequences"), settings.get("num_beams")
    if type(count) is int and count > 1:
        if beams in (None, 1) and not settings.get("do_sample"):
            yield "num_return_sequences", "1 without `do_sample` and without beams"
        elif type(beams) is int and beams > 1 and count > beams:
            yield "num_return_sequences", f"no more than `num_beams`, {beams}"


def _listing(ids: frozenset[int]) -> str:
    numbers = sorted(ids)
    return str(numbers[0]) if len(numbers) == 1 else str(numbers[:8])


RULES: tuple[Rule, ...] = (NoEnd(), AnotherEnd(), RefusedOnSaving(), RefusedOnLoading())
