"""Tokenizers that a newer transformers saved, on releases before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from packaging.version import Version

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE, shown
from trueup.environment.symbols.symbols import Symbols, lifetime, symbols_of

FILE = "tokenizer_config.json"
FIRST_V5 = "5.0.0"
# The first that requires tokenizers 0.20.
FIRST_WITH_PAIRS = "4.45.0"
BASE = "transformers.tokenization_utils_base.SpecialTokensMixin"
# What takes the tokens of `extra_special_tokens` by name.
TAKES_NAMES = "_set_model_specific_special_tokens"


class UnknownTokenizerClass(Rule):
    """`tokenizer_class` names a class that the transformers that is asked about does not have.

    5.x writes `TokenizersBackend` there, which no 4.x has, and before 5.0.0 `AutoTokenizer` has
    nothing else to take: `Tokenizer class TokenizersBackend does not exist or is not currently
    imported`.

    Install the release that it was saved with, or set `tokenizer_class` to
    `PreTrainedTokenizerFast` where there is a tokenizer.json.
    """

    code = "TOK113"
    messages = (
        Message(
            patterns=(
                r"Tokenizer class (?!ChatGLM)(?P<name>\w+) does not exist or is not currently",
            ),
            cause="this transformers has no tokenizer class `{name}`, which tokenizer_config.json "
            "names: 5.x writes `TokenizersBackend`, and a model's own class is in its own code",
        ),
    )
    stage = "tokenizer"
    until = FIRST_V5
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        symbols = _symbols(facts)
        named = _class_of(checkpoint)
        if symbols is None or named is None:
            return
        name, path = named
        others = () if name.endswith("Fast") else (f"{name}Fast",)
        if not name.isidentifier() or any(_has(symbols, each) for each in (name, *others)):
            return
        lives = [lifetime(f"transformers.{each}", symbols.version) for each in (name, *others)]
        ends = [life.until for life in lives if life is not None and life.until is not None]
        until = min([*ends, Version(FIRST_V5)])
        is_fast = "tokenizer.json" in checkpoint.files and not (
            checkpoint.tokenizer.has_pairs and symbols.version < Version(FIRST_WITH_PAIRS)
        )
        instead = (
            f', or set `"tokenizer_class": "PreTrainedTokenizerFast"` in {path}' if is_fast else ""
        )
        finding = self.found(
            f"transformers {symbols.version} has no tokenizer class `{shown(name)[:60]}`",
            where=Where(path=path, key="tokenizer_class"),
            hint=f"use transformers {until} or newer{instead}",
        )
        yield replace(finding, until=str(until), exception="ValueError")


class ListOfSpecialTokens(Rule):
    """`extra_special_tokens` of tokenizer_config.json is a list, which 5.x writes.

    Releases from 4.47.0 to before 5.0.0 take a mapping of names to tokens there and ask it for its
    keys: an AttributeError, for an empty list as well.

    Install a transformers of the 5.x line, or rename the key to `additional_special_tokens`.
    """

    code = "TOK114"
    messages = (
        Message(
            patterns=(r"'list' object has no attribute '?keys",),
            seen_with=(r"tokenization_utils_base\.py", TAKES_NAMES),
            is_broad=True,
            cause="`extra_special_tokens` of tokenizer_config.json is a list, and this "
            "transformers takes a mapping there",
        ),
    )
    stage = "tokenizer"
    until = FIRST_V5
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        checkpoint = facts.checkpoint
        symbols = _symbols(facts)
        given = checkpoint.tokenizer_config.get("extra_special_tokens")
        if symbols is None or not isinstance(given, list):
            return
        if symbols.member(BASE, TAKES_NAMES) is None:
            return
        finding = self.found(
            f"{FILE} has a list as `extra_special_tokens`; transformers {symbols.version} expects "
            "a mapping of names to tokens",
            where=Where(path=FILE, key="extra_special_tokens"),
            hint=f"use transformers {FIRST_V5} or newer, or rename the key to "
            "`additional_special_tokens`",
        )
        yield replace(finding, exception="AttributeError")


class PairsOfMerges(Rule):
    """tokenizer.json has its merges as pairs, which tokenizers before 0.20 does not read.

    transformers before 4.45.0 requires an older tokenizers: `data did not match any variant of
    untagged enum ModelWrapper`.

    Install a transformers of 4.45.0 or newer.
    """

    code = "TOK115"
    messages = (
        Message(patterns=(r"data did not match any variant of untagged enum (?:Model|PyPre)",)),
    )
    stage = "tokenizer"
    until = FIRST_WITH_PAIRS
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        symbols, named = _symbols(facts), _class_of(facts.checkpoint)
        if symbols is None or not facts.checkpoint.tokenizer.has_pairs:
            return
        if named is not None and not _has(symbols, f"{named[0].removesuffix('Fast')}Fast"):
            return  # of a class without tokenizer.json, or of none
        finding = self.found(
            "the merges of tokenizer.json are pairs of texts, which tokenizers 0.20 and newer "
            f"write; transformers {symbols.version} requires an older one",
            where=Where(path="tokenizer.json", key="model.merges"),
            hint=f"use transformers {FIRST_WITH_PAIRS} or newer",
        )
        yield replace(finding, exception="Exception")


def _symbols(facts: Facts) -> Symbols | None:
    """The names of the release; None where the tokenizer is not the library's."""
    checkpoint = facts.checkpoint
    if "AutoTokenizer" in checkpoint.auto_map or checkpoint.hub_model is not None:
        return None
    return symbols_of(facts.environment)


def _class_of(checkpoint: Checkpoint) -> tuple[str, str] | None:
    """The class that AutoTokenizer is to take, with the file that names it."""
    for settings, path in ((checkpoint.tokenizer_config, FILE), (checkpoint.config, "config.json")):
        name = settings.get("tokenizer_class")
        if name is not None:
            return (name, path) if isinstance(name, str) else None
    return None


def _has(symbols: Symbols, name: str) -> bool:
    modules = ("transformers", "transformers.tokenization_mistral_common")
    return any(symbols.has(f"{module}.{name}") for module in modules)


RULES: tuple[Rule, ...] = (UnknownTokenizerClass(), ListOfSpecialTokens(), PairsOfMerges())
