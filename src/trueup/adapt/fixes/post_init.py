"""The model's constructor ends with `post_init`."""

from __future__ import annotations

from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources


def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
    self._published___init__(*args, **kwargs)
    if not hasattr(self, "all_tied_weights_keys"):
        self.post_init()


class PostInit(Fix):
    """The model's constructor never calls `post_init`, and loading needs what it sets.

    Since 5.0: `object has no attribute 'all_tied_weights_keys'`.
    """

    name = "post-init"
    answers = ("LOAD102",)
    does = "`post_init` is called once the model is built"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the constructor, or one of its own bases, does not call it."""
        method = facts.code.method(facts.code.model, "__init__")
        if method is None:
            return False
        return not any(
            owner.name and "post_init()" in _text(owner.node)
            for owner in facts.code.ancestry(facts.code.model)
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put a constructor of ours before the model's."""
        method = facts.code.method(facts.code.model, "__init__")
        if method is not None:
            sources.wrap(method.owner, "__init__", __init__)


def _text(node: Any) -> str:
    import ast

    return ast.unparse(node)
