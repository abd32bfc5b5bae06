"""What running a model's own code takes: the class, its kind, and what no repair changes. Pure.

Shared by the routes that run it, `fixed` and `isolated`.
"""

from __future__ import annotations

import ast

from trueup.adapt import library
from trueup.adapt.plan import Caveat, Kind
from trueup.adapt.route import RouteFacts
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.modality import read_instead_of_text

# What auto_map calls classes that generate text; the first one that is there is run.
GENERATING = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM")
# Under `AutoModel` also stand models without a head.
GENERATING_ENDINGS = (*library.CAUSAL_ENDINGS, "ForConditionalGeneration")
OTHER_HEADS = ("Classification", "QuestionAnswering", "ForMaskedLM", "RewardModel")
# Methods by which published models of this kind write their own chat format.
CHAT_METHODS = frozenset({"chat", "build_inputs", "build_chat_input", "_build_chat_input"})
ONE_AT_A_TIME = Caveat(
    code="ONE-AT-A-TIME",
    text="the model's own code answers one request at a time; others wait",
)
WITHOUT_CODE = "the model brings no code of its own that the route `{route}` could run"


def own_implementation(checkpoint: Checkpoint) -> str | None:
    """`module.Class` of the model's own generating class, None where it brings none."""
    for name in GENERATING:
        reference = checkpoint.auto_map.get(name)
        if isinstance(reference, str) and reference:
            return reference
    other = checkpoint.auto_map.get("AutoModel")
    return other if isinstance(other, str) and other.endswith(GENERATING_ENDINGS) else None


def own_kind(facts: RouteFacts) -> Kind:
    """`chat` where the model says how a conversation is written down, else `completion`."""
    if facts.candidate.family is not None and facts.candidate.kind == "chat":
        return "chat"
    if library.kind(facts.checkpoint) == "chat":
        return "chat"
    return "chat" if _has_chat_method(facts.checkpoint) else "completion"


def against_own_code(facts: RouteFacts, route: str) -> tuple[str, ...]:
    """What speaks against running the model's own code, whatever the versions are."""
    checkpoint = facts.checkpoint
    reference = own_implementation(checkpoint)
    if reference is None:
        return (WITHOUT_CODE.format(route=route),)
    if "--" in reference:
        return (f"the code lies in another repository, `{reference.partition('--')[0]}`",)
    if f"{reference.partition('.')[0]}.py" not in checkpoint.remote_code:
        return (f"the file of `{reference}` is not there",)
    other_head = "".join(checkpoint.architectures[:1])
    if other_head.endswith(OTHER_HEADS):
        return (f"config.json names `{other_head}`, which generates no text",)
    if facts.is_embedding:
        return (f"the route `{route}` generates text; `kind: embedding` was asked for",)
    other = read_instead_of_text(checkpoint)
    if other is not None:
        return (f"the model takes {other}, not text, and TrueUp runs text models",)
    reasons = []
    for key in ("quantization_config", "quantization_bit"):
        if checkpoint.config.get(key):
            reasons.append(f"quantised weights (`{key}` in config.json) need code for GPUs")
    if checkpoint.weights.format == "gguf":
        reasons.append("GGUF files are for other engines; expected safetensors")
    return tuple(reasons)


def _has_chat_method(checkpoint: Checkpoint) -> bool:
    return any(
        isinstance(node, ast.FunctionDef) and node.name in CHAT_METHODS
        for module in checkpoint.remote_code.values()
        if module.tree is not None
        for owner in module.tree.body
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
    )
