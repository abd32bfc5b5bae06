"""What Baichuan and InternLM share: sizes, config keys and refusals in terms of Llama.

What the config does not tell is read from the shipped code's syntax trees (`llama_code.py`);
nothing of that code runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.adapt.native.family import Refusal, value_refusals
from trueup.adapt.native.llama_code import mentions, read_code
from trueup.checkpoint.checkpoint import Checkpoint

SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
)
# Keys that the code reads without changing what it computes in evaluation.
NEUTRAL = frozenset(
    (
        *SIZES,
        *("rms_norm_eps", "hidden_act", "tie_word_embeddings", "model_type", "architectures"),
        *("auto_map", "transformers_version", "_name_or_path", "torch_dtype", "dtype"),
        *("use_cache", "return_dict", "use_return_dict", "output_hidden_states"),
        *("output_attentions", "eos_token_id", "pad_token_id", "bos_token_id"),
        *("initializer_range", "gradient_checkpointing", "z_loss_weight", "model_max_length"),
        *("attn_implementation", "_attn_implementation", "num_labels", "problem_type"),
        *("tokenizer_class", "_from_model_config", "id2label", "label2id", "pretraining_tp"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """A rope in the library's words; `scaling` is empty where there is none."""

    base: float
    scaling: Mapping[str, Any] = field(default_factory=dict)


def shared_refusals(
    checkpoint: Checkpoint, classes: tuple[str, ...], known: Iterable[str] = ()
) -> tuple[Refusal, ...]:
    """Everything that Llama does not compute the same way; `known` keys are the family's own."""
    return (
        *_size_refusals(checkpoint),
        *_value_refusals(checkpoint, classes),
        *_unknown_refusals(checkpoint, frozenset(known) | NEUTRAL),
    )


def code_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    """Why the rope or the head of the shipped code is not known."""
    code = read_code(checkpoint)
    if not code.has_code:
        reason = (
            "the directory has no modeling code, which alone tells what its config means: fetch "
            "the Python files of the checkpoint as well (none of them runs)"
        )
        return (Refusal(reason=reason),)
    if code.rope_base is None:
        reason = "the shipped code has no rotary embedding that is understood, so its rope is not"
        return (Refusal(reason=reason),)
    if code.odd_head is not None:
        reason = f"the shipped code makes its head of `{code.odd_head}`, which is not understood"
        return (Refusal(reason=reason),)
    return ()


def _size_refusals(checkpoint: Checkpoint) -> tuple[Refusal, ...]:
    config = checkpoint.config
    found = value_refusals(
        config, sizes=SIZES, epsilon="rms_norm_eps", flags=("tie_word_embeddings",)
    )
    if not found and config["hidden_size"] % (2 * config["num_attention_heads"]):
        reason = (
            f"expected heads of an even size, found {config['hidden_size']} for "
            f"{config['num_attention_heads']} heads"
        )
        found.append(Refusal(reason=reason, key="hidden_size"))
    return tuple(found)


def _value_refusals(checkpoint: Checkpoint, classes: tuple[str, ...]) -> tuple[Refusal, ...]:
    config = checkpoint.config
    found = []
    activation = config.get("hidden_act", "silu")
    if activation != "silu":
        found.append(Refusal(reason=f"expected `silu`, found `{activation!r}`", key="hidden_act"))
    if config.get("quantization_config"):
        reason = "quantised weights of the model's own format"
        found.append(Refusal(reason=reason, key="quantization_config"))
    architectures = checkpoint.architectures
    if architectures and not set(architectures) & set(classes):
        reason = f"`{architectures[0]}` is not the language model; expected {classes[0]}"
        found.append(Refusal(reason=reason, key="architectures"))
    return tuple(found)


def _unknown_refusals(checkpoint: Checkpoint, known: frozenset[str]) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(reason="the shipped code reads this key, which the mapping does not know", key=key)
        for key, value in checkpoint.config.items()
        if key not in known
        and key != "quantization_config"
        and value not in (None, False)
        and mentions(checkpoint, key)
    )


def llama_config(
    checkpoint: Checkpoint, major: int, rope: Rope, *, has_bias: bool, kv_heads: int | None = None
) -> dict[str, Any]:
    """The keywords of LlamaConfig; eos and pad come from the tokenizer, later."""
    config = checkpoint.config
    heads: int = config["num_attention_heads"]
    mapped: dict[str, Any] = {
        **{key: config[key] for key in SIZES},
        "num_key_value_heads": kv_heads or heads,
        "head_dim": config["hidden_size"] // heads,
        "rms_norm_eps": config["rms_norm_eps"],
        "attention_bias": has_bias,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "hidden_act": "silu",
        "tie_word_embeddings": is_tied(checkpoint),
    }
    if major >= 5:
        scaling = rope.scaling or {"rope_type": "default"}
        return {**mapped, "rope_parameters": {**scaling, "rope_theta": rope.base}}
    mapped["rope_theta"] = rope.base
    if rope.scaling:
        mapped["rope_scaling"] = dict(rope.scaling)
    return mapped


def is_tied(checkpoint: Checkpoint) -> bool:
    """Whether the head is the embedding: all these codes have `get_output_embeddings`."""
    return checkpoint.config.get("tie_word_embeddings") is True


def sizes_line(checkpoint: Checkpoint) -> str:
    """What the plan says of the sizes, whose names are Llama's already."""
    config = checkpoint.config
    return (
        f"sizes as they are: {config['num_hidden_layers']} layers of {config['hidden_size']}, "
        f"{config['num_attention_heads']} heads, `intermediate_size` "
        f"{config['intermediate_size']}, `vocab_size` {config['vocab_size']}, "
        f"`max_position_embeddings` {config['max_position_embeddings']}"
    )
