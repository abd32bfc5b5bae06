"""Models that the installed library implements under their own name, and what they may not need.

Pure look-ups in facts: the installed model types come from `Environment.library_models`.
"""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from trueup.adapt.native.family import Refusal
from trueup.adapt.plan import Caveat, Kind
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.dangerous_keys import dangerous_keys
from trueup.environment.causal_models import CAUSAL_CLASSES
from trueup.environment.environment import Environment
from trueup.environment.model_types import Presence, presence

CAUSAL_ENDINGS = ("ForCausalLM", "LMHeadModel")
# Whose classes are not stepped by keys and values (`key_value_cache.py`) in some release.
BY_GENERATE = frozenset(
    {"axk2", "bailing_hybrid", "bamba", "deepseek_v32", "deepseek_v4", "dots3_note",
     "dots3_note_text", "falcon_h1", "falcon_mamba", "gemma3n", "gemma3n_text",
     "gemma4_unified_assistant", "glm_moe_dsa", "granitemoehybrid", "hy_v4", "inkling2_text",
     "inkling_text", "jamba", "kimi_linear", "lfm2", "lfm3", "mamba", "mamba2", "minimax",
     "nemotron_h", "olmo_hybrid", "openai-gpt", "qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text",
     "qwen3_5_text", "qwen3_next", "qwen4_exp", "qwen4_exp_text", "recurrent_gemma", "reformer",
     "rwkv", "xlm", "xlnet", "xlstm", "zamba", "zamba2", "zaya"}
)  # fmt: skip
ONE_AT_A_TIME = Caveat(
    code="ONE-AT-A-TIME",
    text="keys and values are not all that the model keeps, so the library's own `generate` "
    "answers one request at a time; others wait",
)


def is_implemented(model_type: str | None, environment: Environment) -> bool:
    """Whether the installed transformers has a class for `model_type`."""
    return model_type is not None and model_type in environment.library_models


def implementation(checkpoint: Checkpoint, environment: Environment) -> str | None:
    """The causal language model class for the checkpoint, None where the library has none.

    A version that is only assumed has the classes of the read releases; beyond them a
    checkpoint without code of its own names its class itself.
    """
    if environment.is_assumed:
        if checkpoint.model_type in CAUSAL_CLASSES:
            return CAUSAL_CLASSES[checkpoint.model_type]
        named = [name for name in checkpoint.architectures if name.endswith(CAUSAL_ENDINGS)]
        return named[0] if named else None
    return environment.library_models.get(checkpoint.model_type or "")


def assumed_presence(checkpoint: Checkpoint, version: Version) -> Presence:
    """Whether a `version` without files implements the checkpoint's architecture."""
    told = presence(checkpoint.model_type, version, checkpoint.architectures)
    return "yes" if told == "unknown" and was_saved_by(checkpoint, version) else told


def was_saved_by(checkpoint: Checkpoint, version: Version) -> bool:
    """Whether `version` or an earlier one saved the checkpoint, without code of its own."""
    if checkpoint.auto_map or not checkpoint.architectures:
        return False
    try:
        saved_by = Version(str(checkpoint.config.get("transformers_version")))
    except InvalidVersion:
        return False
    return saved_by.release <= version.release


def kind(checkpoint: Checkpoint) -> Kind:
    """`chat` where a generating checkpoint brings a chat template, else `completion`."""
    has_file = "chat_template.jinja" in checkpoint.files or "chat_template.json" in checkpoint.files
    return "chat" if has_file or checkpoint.tokenizer_config.get("chat_template") else "completion"


def caveats(checkpoint: Checkpoint) -> tuple[Caveat, ...]:
    """What the user of a generating model of the library has to know."""
    return (ONE_AT_A_TIME,) if checkpoint.model_type in BY_GENERATE else ()


def refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    """What keeps a model of the library from being loaded here."""
    found = [
        Refusal(reason="a key that makes transformers run code that the config names", key=key)
        for key in sorted({each.key for each in dangerous_keys(checkpoint.config)})
    ]
    if checkpoint.config.get("quantization_config"):
        reason = "quantised weights need packages that this version does not work with"
        found.append(Refusal(reason=reason, key="quantization_config"))
    if checkpoint.weights.format == "gguf":
        found.append(Refusal(reason="GGUF files are for other engines; expected safetensors"))
    return tuple(found)
