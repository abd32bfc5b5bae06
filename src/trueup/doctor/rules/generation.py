"""Generation: private parts of `generate` that a model's code calls or replaces."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from trueup.doctor.code import Method, first, is_self_attribute
from trueup.doctor.finding import Finding
from trueup.doctor.rule import Facts, Rule


def _call_of(method: Method, name: str) -> ast.AST | None:
    return first(
        method.node,
        lambda node: isinstance(node, ast.Call) and is_self_attribute(node.func, name),
    )


class OwnGenerationLoop(Rule):
    """The model's streaming loop calls private parts of `generate` with a config of its own.

    Since 4.43.0 they need what only `generate` prepares: `'GenerationConfig' object has no
    attribute '_eos_token_tensor'`; since 4.45.0 `_get_logits_warper` is gone as well. Stream with
    `generate(streamer=...)`.
    """

    code = "GEN102"
    stage = "chat"
    since = "4.43.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code = facts.code
        if not code.speaks_of("_get_stopping_criteria"):
            return
        for method in code.methods_of_modeling():
            if method.node.name == "generate":
                continue
            call = _call_of(method, "_get_stopping_criteria")
            if call is not None:
                yield self.found(
                    f"`{method.node.name}` calls `_get_stopping_criteria` itself; it reads "
                    "`_eos_token_tensor`, which only `generate` sets",
                    where=method.at(call),
                    hint="stream with `generate(streamer=...)` instead",
                )
                return


class MaskOfThreeDimensions(Rule):
    """The tokenizer makes attention masks of its own shape, as that of ChatGLM-6B does.

    `generate` takes masks of two dimensions only: `attention_mask` passed to `generate` must be
    2D. Let the tokenizer give ones and zeros, and the model make its mask of them.
    """

    code = "GEN104"
    stage = "chat"
    since = "4.45.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not facts.code.speaks_of("tril"):
            return
        pad = facts.code.method(facts.code.tokenizer, "_pad")
        mask = first(pad.node, _is_triangle) if pad else None
        if pad is not None and mask is not None:
            yield self.found(
                "the tokenizer's `_pad` makes an attention mask with a triangle in it, and "
                "`generate` takes one of two dimensions",
                where=pad.at(mask),
            )


def _is_triangle(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("tril", "tril_")
    )


RULES: tuple[Rule, ...] = (
    MaskOfThreeDimensions(),
    OwnGenerationLoop(),
)
