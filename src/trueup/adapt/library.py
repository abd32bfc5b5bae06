"""Models that the installed library implements under their own name, and what they may not need.

Pure look-ups in facts: the installed model types come from `Environment.library_models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from trueup.adapt.native.family import Refusal
from trueup.adapt.plan import Kind
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.environment.environment import Environment

# Keys with which a config makes some releases run code, wherever in it they stand
# (CVE-2026-4372, CVE-2026-5241).
DANGEROUS_KEYS = frozenset({"_attn_implementation_internal", "trust_remote_code"})
CAUSAL_ENDINGS = ("ForCausalLM", "LMHeadModel")
EMBEDDING_LATER = (
    "`{model_type}` has no language model head: embedding models come with a later release"
)


def is_implemented(model_type: str | None, environment: Environment) -> bool:
    """Whether the installed transformers has a class for `model_type`."""
    return model_type is not None and model_type in environment.library_models


def implementation(checkpoint: Checkpoint, environment: Environment) -> str | None:
    """The causal language model class for the checkpoint, None where the library has none.

    A version that is only assumed has no known classes; a checkpoint without code of its own
    names its class itself.
    """
    if environment.is_assumed:
        named = [name for name in checkpoint.architectures if name.endswith(CAUSAL_ENDINGS)]
        return named[0] if named else None
    return environment.library_models.get(checkpoint.model_type or "")


def is_assumed_to_have(checkpoint: Checkpoint, environment: Environment) -> bool:
    """Whether an assumed version can be expected to implement the checkpoint's own class.

    It is, where the checkpoint was saved without remote code by that version or an earlier one.
    """
    if not environment.is_assumed or checkpoint.auto_map or not checkpoint.architectures:
        return False
    version = environment.transformers
    saved_by = checkpoint.config.get("transformers_version")
    try:
        return version is not None and Version(str(saved_by)).release <= version.release
    except InvalidVersion:
        return False


def kind(checkpoint: Checkpoint) -> Kind:
    """`chat` where the checkpoint brings a chat template, else `completion`."""
    has_file = "chat_template.jinja" in checkpoint.files or "chat_template.json" in checkpoint.files
    return "chat" if has_file or checkpoint.tokenizer_config.get("chat_template") else "completion"


def refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    """What keeps a model of the library from being loaded here."""
    found = [
        Refusal(reason="a key that makes transformers run code that the config names", key=key)
        for key in sorted(DANGEROUS_KEYS & set(_keys(checkpoint.config)))
    ]
    if checkpoint.config.get("quantization_config"):
        reason = "quantised weights need packages that this version does not work with"
        found.append(Refusal(reason=reason, key="quantization_config"))
    if checkpoint.weights.format == "gguf":
        found.append(Refusal(reason="GGUF files are for other engines; expected safetensors"))
    return tuple(found)


def _keys(shape: Mapping[str, Any]) -> list[str]:
    nested = [value for value in shape.values() if isinstance(value, dict)]
    return [*shape, *(key for inner in nested for key in _keys(inner))]
