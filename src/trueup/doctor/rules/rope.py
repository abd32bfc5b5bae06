"""Rotary positions: settings of config.json that a release of transformers does not read.

4.x has `rope_theta` and `rope_scaling`, 5.x one mapping `rope_parameters`, and saves no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE
from trueup.environment.config_class import config_class, default, parameters
from trueup.environment.symbols.facts import ClassFacts, Parameter
from trueup.environment.symbols.symbols import Symbols, lifetime, symbols_of

FIRST_V5 = "5.0.0"
NEW = "rope_parameters"
# How releases before 5.0.0 name what 5.x has in the mapping: the first that a class has.
OLD_NAMES: Mapping[str, tuple[str, ...]] = {
    "rope_theta": ("rope_theta", "rotary_emb_base", "global_rope_theta"),
    "partial_rotary_factor": ("partial_rotary_factor", "rotary_pct"),
}
OLD_NAMES_OF_SLIDING = {"rope_theta": ("rope_local_base_freq", "local_rope_theta")}
FULL, SLIDING = "full_attention", "sliding_attention"
VALIDATION = "_rope_scaling_validation"
# Types whose own validation takes other fields.
OF_OTHER_FIELDS = ("phi3", "phi4_multimodal", "phimoe", "hunyuan_v1_dense", "hunyuan_v1_moe")
LONGEST_VALUE = 200
TWO_FIELDS, KINDS = 2, ("linear", "dynamic")


class NewRopeParameters(Rule):
    """config.json has its rotary positions in `rope_parameters` alone, which 4.x does not read.

    5.x saves only that mapping; a 4.x looks for `rope_theta` and `rope_scaling`, and takes its own
    defaults without them: the model loads and answers wrongly, without an error, where they differ.

    Install a transformers of the 5.x line, or add the old keys to config.json: both lines read
    them.
    """

    code = "CFG107"
    stage = "forward"
    until = FIRST_V5
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for prefix, config, owner, symbols in library_configs(facts):
            given = config.get(NEW)
            known = parameters(symbols, owner)
            if not isinstance(given, dict) or NEW in known or NEW in owner.fields:
                continue
            lost = dict(_lost(given, config, known, owner))
            if not lost:
                continue
            what = ", ".join(f"`{name}` {told}" for name, (told, _) in lost.items())
            values = [f'"{name}": {value}' for name, (_, value) in lost.items() if value]
            place = f"`{prefix.rstrip('.')}` of config.json" if prefix else "config.json"
            # Without one of them the answers stay wrong.
            is_whole = len(values) == len(lost)
            added = f", or add to {place}: {', '.join(values)}" if is_whole else ""
            yield self.found(
                f"transformers {symbols.version} does not read `{prefix}{NEW}` and takes its own "
                f"values: {what}. Wrong answers without an error",
                where=Where(path="config.json", key=f"{prefix}{NEW}"),
                hint=f"use transformers {FIRST_V5} or newer{added}",
            )


class RefusedRopeScaling(Rule):
    """`rope_scaling` has fields or a kind that this release's configuration refuses.

    Before 4.43.0, for Llama and others, only `type` (`linear` or `dynamic`) and `factor` may be
    there, for some later on as well: `rope_scaling must be a dictionary with two fields`. Llama
    3.1 and newer models have a `rope_type` and more fields.

    Install a transformers that reads that kind; without the key the model answers as if its
    context were as long as before it was stretched.
    """

    code = "CFG108"
    messages = (
        Message(
            patterns=(
                r"rope_scaling`? must be a dictionary with (?:with )?(?:two|three) fields",
                r"rope_scaling`?'s (?:type|factor|name) field must be",
            ),
            cause="this transformers does not know that kind of `rope_scaling`, which "
            "config.json has",
        ),
    )
    stage = "config"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for prefix, config, owner, symbols in library_configs(facts):
            given = config.get("rope_scaling")
            if given is None or config.get("alibi") or config.get("model_type") in OF_OTHER_FIELDS:
                continue
            if VALIDATION not in owner.methods or "rope_scaling" not in parameters(symbols, owner):
                continue
            expected = _expected(given)
            if expected is None:
                continue
            life = lifetime(f"{owner.dotted}.{VALIDATION}", symbols.version)
            until = str(life.until) if life is not None and life.until is not None else None
            kind = _kind(given)
            of_kind = f" of the kind `{kind[:40]}`" if kind else ""
            finding = self.found(
                f"transformers {symbols.version} refuses this `{prefix}rope_scaling`{of_kind}: it "
                f"expects {expected}",
                where=Where(path="config.json", key=f"{prefix}rope_scaling"),
                hint=f"use transformers {until} or newer" if until else None,
            )
            yield replace(finding, until=until, exception="ValueError")


def library_configs(
    facts: Facts,
) -> Iterator[tuple[str, Mapping[str, Any], ClassFacts, Symbols]]:
    """The library's own configurations of a model, the whole one's and that of its text."""
    checkpoint = facts.checkpoint
    if not _is_of_library(checkpoint):
        return
    symbols = symbols_of(facts.environment)
    if symbols is None:
        return
    for prefix, config in (("", checkpoint.config), *_parts(checkpoint.config)):
        model_type = config.get("model_type")
        owner = config_class(symbols, model_type) if isinstance(model_type, str) else None
        if owner is not None:
            yield prefix, config, owner, symbols


def _is_of_library(checkpoint: Checkpoint) -> bool:
    return "AutoConfig" not in checkpoint.auto_map and checkpoint.hub_model is None


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    part = config.get("text_config")
    if isinstance(part, dict):
        yield "text_config.", part


def _lost(
    given: Mapping[str, Any],
    config: Mapping[str, Any],
    known: Mapping[str, Parameter],
    owner: ClassFacts,
) -> Iterator[tuple[str, tuple[str, str]]]:
    """Old names with what a release takes instead, and what it should be, if it can be that."""
    if isinstance(given.get(FULL), dict) or isinstance(given.get(SLIDING), dict):
        sliding = given.get(SLIDING)
        if isinstance(sliding, dict):
            yield from _values(sliding, OLD_NAMES_OF_SLIDING, config, known)
        full = given.get(FULL)
        given = full if isinstance(full, dict) else {}
    yield from _values(given, OLD_NAMES, config, known)
    kind = _kind(given)
    is_scaled = kind not in (None, "default") and config.get("rope_scaling") is None
    scaling = known.get("rope_scaling")
    if is_scaled and scaling is not None and scaling.default == "None":
        own = {name: value for name, value in given.items() if name not in OLD_NAMES}
        if VALIDATION in owner.methods:
            own = {"type": own.pop("rope_type", kind), **own}
        is_refused = VALIDATION in owner.methods and _expected(own) is not None
        yield (
            "rope_scaling",
            (f"none instead of `{str(kind)[:40]}`", "" if is_refused else _json(own)),
        )


def _values(
    given: Mapping[str, Any],
    names: Mapping[str, tuple[str, ...]],
    config: Mapping[str, Any],
    known: Mapping[str, Parameter],
) -> Iterator[tuple[str, tuple[str, str]]]:
    for new, candidates in names.items():
        value = given.get(new)
        old = next((name for name in candidates if name in known), None)
        if old is None or not _is_number(value) or config.get(old) is not None:
            continue
        taken = default(known[old].default)
        if _is_number(taken) and taken != value:
            yield old, (f"{taken} instead of {value}", _json(value))


def _expected(given: Any) -> str | None:
    """What the validation of two fields wants otherwise; None where it takes the setting."""
    if not isinstance(given, dict) or len(given) != TWO_FIELDS:
        return "two fields, `type` and `factor`"
    if given.get("type") not in KINDS:
        return "`type` to be `linear` or `dynamic`"
    factor = given.get("factor")
    if not isinstance(factor, float) or factor <= 1.0:
        return "`factor` to be a float above 1"
    return None


def _kind(given: Any) -> str | None:
    if not isinstance(given, dict):
        return None
    kind = given.get("rope_type", given.get("type"))
    return kind if isinstance(kind, str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(value: Any) -> str:
    """The value as config.json has it, where that fits in a hint."""
    text = json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else ""


RULES: tuple[Rule, ...] = (NewRopeParameters(), RefusedRopeScaling())
