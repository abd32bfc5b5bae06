"""Generation: private parts of `generate` that a model's code calls or replaces."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from trueup.doctor.code import Method, first, is_self_attribute
from trueup.doctor.finding import Finding
from trueup.doctor.rule import Facts, Rule

UPDATE = "_update_model_kwargs_for_generation"
EXTRACT = "_extract_past_from_model_output"


def _call_of(method: Method, name: str) -> ast.AST | None:
    return first(
        method.node,
        lambda node: isinstance(node, ast.Call) and is_self_attribute(node.func, name),
    )


class ExtractPastGone(Rule):
    """The model's code calls `_extract_past_from_model_output`.

    4.42.0 made it return a pair, 4.44.0 took its `standardize_cache_format` away, 4.49.0 removed
    it: `object has no attribute '_extract_past_from_model_output'`, also with `use_cache=False`.
    Read `outputs.past_key_values` instead.
    """

    code = "GEN101"
    stage = "generate"
    since = "4.42.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code = facts.code
        if code.model is None or code.method(code.model, EXTRACT) is not None:
            return
        for method in code.methods_of_modeling():
            call = _call_of(method, EXTRACT)
            if call is not None:
                yield self.found(
                    f"`self.{EXTRACT}` is called, {_fate(facts)}",
                    where=method.at(call),
                    hint=f"replace the call by `outputs.past_key_values` in `{method.node.name}`",
                )
                return


def _fate(facts: Facts) -> str:
    version = facts.environment.transformers
    if version is not None and version.release < (4, 44):
        return "which returns a pair since 4.42"
    if version is not None and version.release < (4, 49):
        return "changed in 4.42 (a pair) and 4.44 (no `standardize_cache_format`)"
    return "which transformers changed in 4.42 and removed in 4.49"


class MaskMayBeNone(Rule):
    """The model's code extends `attention_mask` between tokens without asking whether it is None.

    Since 5.18.0 `generate` passes None where nothing is padded: `'NoneType' object has no
    attribute 'new_ones'`, or `pad(): argument 'input' must be Tensor, not NoneType`. Test for
    None before extending it.
    """

    code = "GEN103"
    stage = "generate"
    since = "5.18.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
        code = facts.code
        update = code.method(code.model, UPDATE)
        test = first(update.node, _extends_blindly) if update else None
        if update is not None and test is not None:
            yield self.found(
                "`attention_mask` is extended whenever its key is there, and `generate` passes "
                "None for a batch without padding since 5.18",
                where=update.at(test),
                hint='test `model_kwargs.get("attention_mask") is not None`',
            )


def _extends_blindly(node: ast.AST) -> bool:
    """An `if "attention_mask" in model_kwargs:` and nothing about None in it."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and len(node.test.ops) == 1
        and isinstance(node.test.ops[0], ast.In)
        and isinstance(node.test.left, ast.Constant)
        and node.test.left.value == "attention_mask"
        and not any(isinstance(part, ast.Is | ast.IsNot) for part in ast.walk(node))
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
    stage = "generate"
    since = "4.45.0"

    def check(self, facts: Facts) -> Iterable[Finding]:
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
    ExtractPastGone(),
    MaskMayBeNone(),
    MaskOfThreeDimensions(),
    OwnGenerationLoop(),
)
