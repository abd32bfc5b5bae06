"""What the base class reads before the model's parts are there is a plain attribute."""

from __future__ import annotations

import ast

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.code import CodeClass

NAMES = ("_supports_sdpa", "_supports_flash_attn", "_supports_flash_attn_2")


def _properties(facts: FixFacts) -> list[tuple[CodeClass, str]]:
    return [
        (owner, node.name)
        for owner in facts.code.ancestry(facts.code.model)
        for node in owner.node.body
        if isinstance(node, ast.FunctionDef) and node.name in NAMES and node.decorator_list
    ]


class AttentionSupport(Fix):
    """`_supports_sdpa` is a property that asks a part of the model, and is read before it is there.

    Since 4.54: `object has no attribute '_supports_sdpa'`.
    """

    name = "attention-support"
    answers = ("LOAD107",)
    does = "`_supports_sdpa` and its like are False: the model computes attention itself"
    since = "4.54.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether one of them is a property."""
        return bool(_properties(facts))

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Set the attribute after the property, which it replaces."""
        for owner, name in _properties(facts):
            sources.add_member(owner, f"{name} = False\n")
