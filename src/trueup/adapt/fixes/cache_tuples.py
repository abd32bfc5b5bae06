"""The cache stays the tuples that the model's own code makes of it."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources
from trueup.doctor.finding import Finding

NAME = "_supports_default_dynamic_cache"
# Code that speaks of the library's cache objects expects them.
OBJECTS = ("DynamicCache", "get_seq_length", "get_usable_length", "Cache")


def _supports_default_dynamic_cache(cls: Any) -> bool:
    return False


class CacheTuples(Fix):
    """The model's code indexes its cache, and `generate` gives it an object that is empty.

    Since 4.54 its layers are there before they hold anything, since 5.0 it cannot be indexed. The
    places that index it stay: no cache object reaches any of them.
    """

    name = "cache-tuples"
    answers = unseen = ("CACHE101", "CACHE102", "CACHE103")
    does = "`generate` makes no cache object: the tuples of the model's own code are passed on"
    since = "4.54.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the code passes tuples on and knows no cache objects."""
        code = facts.code
        if code.model is None or code.method(code.model, NAME) is not None:
            return False
        if not code.speaks_of("past_key_values"):
            return False
        return not _knows_objects(facts)

    def mends(self, finding: Finding, facts: FixFacts) -> bool:
        """Whether tuples reach the place."""
        return finding.code in self.answers and self.applies(facts)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Tell the library that the model does without its cache."""
        from trueup.adapt.fixes.source import function_text

        owner = facts.code.model
        if owner is not None:
            text = function_text(_supports_default_dynamic_cache)
            sources.add_member(owner, f"@classmethod\n{text}")


def _knows_objects(facts: FixFacts) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in OBJECTS)
        or (isinstance(node, ast.Attribute) and node.attr in OBJECTS)
        for module in facts.code.modules.values()
        for node in module.nodes
    )
