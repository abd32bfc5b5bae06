"""`_pad` of a tokenizer takes `padding_side`."""

from __future__ import annotations

from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources


def _pad(self: Any, *args: Any, padding_side: Any = None, **kwargs: Any) -> Any:
    if padding_side is None or padding_side == self.padding_side:
        return self._published__pad(*args, **kwargs)
    before = self.padding_side
    self.padding_side = padding_side
    try:
        return self._published__pad(*args, **kwargs)
    finally:
        self.padding_side = before


class PadSignature(Fix):
    """The library passes `padding_side` to `_pad` since 4.45, and the tokenizer's own takes none.

    It stops at the first text that is padded.
    """

    name = "pad-signature"
    answers = ("TOK104",)
    does = "the tokenizer's `_pad` takes `padding_side`"
    since = "4.45.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether the tokenizer defines a `_pad` without the parameter."""
        method = facts.code.method(facts.code.tokenizer, "_pad")
        if method is None or method.node.args.kwarg is not None:
            return False
        arguments = (*method.node.args.args, *method.node.args.kwonlyargs)
        return all(each.arg != "padding_side" for each in arguments)

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put our `_pad` before the tokenizer's."""
        method = facts.code.method(facts.code.tokenizer, "_pad")
        if method is not None:
            sources.wrap(method.owner, "_pad", _pad)
