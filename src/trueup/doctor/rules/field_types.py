"""Values of config.json that transformers 5 refuses for their type."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from trueup.doctor.finding import Finding, Where
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.directory import EVERY_ROUTE
from trueup.doctor.rules.rope import library_configs
from trueup.environment.config_class import default

# Fields whose default is a number and which take a text as well.
TAKE_TEXT = frozenset({"gating", "scaling", "sliding_window_pattern"})
KINDS = {int: "a whole number", float: "a number", bool: "true or false"}


class TextForANumber(Rule):
    """A key of config.json is a text where the library's configuration wants a number.

    Releases of 5.x whose configurations are strict dataclasses check the type of each field:
    `Field 'hidden_size' expected int, got str`. A 4.x takes the text, and fails where it counts.

    Write the value without quotes.
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
                kind = KINDS.get(type(wanted))
                if not isinstance(value, str) or kind is None or name in TAKE_TEXT:
                    continue
                finding = self.found(
                    f"`{prefix}{name}` is the text {value[:40]!r}, transformers {symbols.version} "
                    f"expects {kind}",
                    where=Where(path="config.json", key=f"{prefix}{name}"),
                    hint=f"write `{prefix}{name}` without quotes in config.json",
                )
                yield replace(finding, exception="StrictDataclassFieldValidationError")


RULES: tuple[Rule, ...] = (TextForANumber(),)
