"""Values that no configuration of the library can have: of a wrong type, or of no size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.config_hint import config_hint
from trueup.doctor.rules.directory import EVERY_ROUTE
from trueup.doctor.rules.rope import library_configs
from trueup.environment.config_class import default

# Fields whose default is a number and which take a text as well.
TAKE_TEXT = frozenset({"gating", "scaling", "sliding_window_pattern"})
KINDS = {int: "a whole number", float: "a number", bool: "true or false"}
# Their defaults are null in many configurations, and they are numbers in all.
TOKEN_ID = "_token_id"
# What the library divides by, or makes tensors of.
SIZES = ("hidden_size", "vocab_size", "num_attention_heads")


class TextForANumber(Rule):
    """A key of config.json is a text where the library's configuration wants a number.

    Releases of 5.x whose configurations are strict dataclasses check the type of each field:
    `Field 'hidden_size' expected int, got str`. A 4.x takes the text, and fails where it counts.

    Write the value as a number, without quotes.
    """

    code = "CFG109"
    messages = (
        Message(
            patterns=(
                r"Field '(?P<name>\w+)' expected (?P<kind>\w+), got (?P<given>\w+)",
                r"[Vv]alidation error for field '(?P<name>\w+)'",
            ),
            cause="config.json has a value of the wrong type as `{name}`",
        ),
    )
    stage = "config"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for prefix, config, owner, symbols in library_configs(facts):
            if not any(name.rpartition(".")[2] == "strict" for name in owner.decorators):
                continue
            for name in owner.fields:
                value, wanted = config.get(name), default(owner.attributes.get(name))
                kind = KINDS[int] if name.endswith(TOKEN_ID) else KINDS.get(type(wanted))
                if not isinstance(value, str) or kind is None or name in TAKE_TEXT:
                    continue
                finding = self.found(
                    f"`{prefix}{name}` is the text {value[:40]!r}, transformers {symbols.version} "
                    f"expects {kind}",
                    where=Where(path="config.json", key=f"{prefix}{name}"),
                    hint=f"write `{prefix}{name}` as {kind}, without quotes, in config.json",
                )
                yield replace(finding, exception="StrictDataclassFieldValidationError")


class NoSize(Rule):
    """A size of config.json is zero or below.

    The library divides by it, or makes a tensor of it, and says only that.

    Copy config.json from where the weights came from.
    """

    code = "CFG110"
    stage = "config"
    evidence = "index"
    blocks = EVERY_ROUTE

    def check(self, facts: Facts) -> Iterable[Finding]:
        for prefix, config, _, _ in library_configs(facts):
            for name in SIZES:
                value = config.get(name)
                if type(value) is int and value < 1:
                    yield self.found(
                        f"`{prefix}{name}` is {value}, expected 1 or more",
                        where=Where(path="config.json", key=f"{prefix}{name}"),
                        hint=config_hint(facts.checkpoint),
                    )


RULES: tuple[Rule, ...] = (TextForANumber(), NoSize())
