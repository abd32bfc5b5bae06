"""Generation: private parts of `generate` that a model's code calls or replaces."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace

from trueup.doctor.code import Method, first, is_self_attribute
from trueup.doctor.finding import Finding
from trueup.doctor.message import Message
from trueup.doctor.rule import Facts, Rule
from trueup.doctor.rules.walked import rule_of


def _call_of(method: Method, name: str) -> ast.AST | None:
    return first(
        method.node,
        lambda node: isinstance(node, ast.Call) and is_self_attribute(node.func, name),
    )


class OwnGenerationLoop(Rule):
    """The model's streaming loop calls private parts of `generate` with a config of its own.

    Since 4.43.0 they need what only `generate` prepares: `'GenerationConfig' object has no
    attribute '_eos_token_tensor'`; since 4.45.0 `_get_logits_warper` is gone as well.

    Stream with `generate(streamer=...)`.
    """

    code = "GEN102"
    messages = (
        Message(
            patterns=(
                r"no attribute '?_eos_token_tensor",
                r"no attribute '?_get_logits_warper",
                r"_get_logits_warper\(\) missing 1 required positional argument",
            ),
            seen_with=(
                r"stream_generate",
                r"stream_chat",
            ),
        ),
    )
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

    `generate` takes masks of two dimensions only: `attention_mask passed to generate must be 2D`.

    Let the tokenizer give ones and zeros, and the model make its mask of them.
    """

    code = "GEN104"
    messages = (
        Message(
            patterns=(r"attention_mask`? passed to `?generate`? must be 2D",),
        ),
    )
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
                hint="give a mask of ones and zeros, one for each token",
            )


def _is_triangle(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("tril", "tril_")
    )


class StreamWaitsForEver(Rule):
    """The model's own streaming waits without end where generation fails in its thread.

    The thread puts tokens into a queue, and nothing but its last one ends the waiting, so that
    what fails there shows as a chat that hangs.

    Give `get` a `timeout`, or put the last one in a `finally`.
    """

    code = "GEN107"
    stage = "chat"
    severity = "warning"
    blocks = ()

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not facts.code.speaks_of("Thread") or facts.walked is None:
            return
        met = facts.walked.failures
        stage = next((each for each in ("forward", "generate.cached") if each in met), None)
        if stage is None:
            return
        reason = rule_of(met[stage], stage).of(met[stage], stage, facts)
        for method in facts.code.methods_of_modeling():
            waits = first(method.node, _waits_for_ever)
            is_ended = first(method.node, lambda node: bool(getattr(node, "finalbody", None)))
            if waits is not None and is_ended is None and first(method.node, _starts_a_thread):
                found = self.found(
                    f"`{method.node.name}` waits for what its thread generates, and there "
                    f"{reason.code} is met: it hangs instead of failing",
                    where=method.at(waits),
                    hint="give `get` a `timeout`",
                )
                yield replace(found, since=reason.since, until=reason.until)
                return


def _starts_a_thread(node: ast.AST) -> bool:
    is_call = isinstance(node, ast.Call) and any(each.arg == "target" for each in node.keywords)
    return is_call and ast.unparse(getattr(node, "func", node)).endswith("Thread")


def _waits_for_ever(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "get"
        and not (node.args or node.keywords)
    )


RULES: tuple[Rule, ...] = (
    StreamWaitsForEver(),
    MaskOfThreeDimensions(),
    OwnGenerationLoop(),
)
