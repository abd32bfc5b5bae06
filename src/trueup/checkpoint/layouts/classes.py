"""The tensors of classes of the library whose layout is known, with what gives their shapes. Data.

Dimensions have names, which `wanted.py` takes from a config. What is not listed is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Dims = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor by its dimensions; there only where the config's `only_if` is true."""

    name: str
    dims: Dims
    only_if: str | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The classes of some model types.

    `base` stands before the names of `outside` and `layer`, unless the model was saved without
    its head; `keys` are the config's names for dimensions, `defaults` what its class has where
    the config says nothing. `head` is that of the class that generates text, which `causal` names
    where its name does not say so; `plain` are settings with whose other values the class has
    other tensors.
    """

    base: str
    layers: str
    outside: tuple[Tensor, ...]
    layer: tuple[Tensor, ...]
    head: tuple[Tensor, ...] = ()
    is_tied: bool = False
    keys: Mapping[str, str]
    defaults: Mapping[str, int] = field(default_factory=dict)
    has_one_key_head_a_query: bool = False
    causal: tuple[str, ...] = ()
    plain: Mapping[str, Any] = field(default_factory=dict)


def _linear(
    name: str, rows: str, columns: str, bias: bool | str = False, *, default: bool = False
) -> tuple[Tensor, ...]:
    weight = Tensor(name=f"{name}.weight", dims=(rows, columns))
    if bias is False:
        return (weight,)
    only_if = bias if isinstance(bias, str) else None
    return (weight, Tensor(name=f"{name}.bias", dims=(rows,), only_if=only_if, default=default))


def _norm(name: str, size: str = "hidden", *, bias: bool = False) -> tuple[Tensor, ...]:
    weight = Tensor(name=f"{name}.weight", dims=(size,))
    return (weight, Tensor(name=f"{name}.bias", dims=(size,))) if bias else (weight,)


def _attention(bias: bool | str, out: bool | str, *, default: bool = False) -> tuple[Tensor, ...]:
    return (
        *_linear("self_attn.q_proj", "queries", "hidden", bias, default=default),
        *_linear("self_attn.k_proj", "keys", "hidden", bias, default=default),
        *_linear("self_attn.v_proj", "keys", "hidden", bias, default=default),
        *_linear("self_attn.o_proj", "hidden", "queries", out, default=default),
    )


def _gated(bias: bool | str = False) -> tuple[Tensor, ...]:
    return (
        *_linear("mlp.gate_proj", "inner", "hidden", bias),
        *_linear("mlp.up_proj", "inner", "hidden", bias),
        *_linear("mlp.down_proj", "hidden", "inner", bias),
    )


def _norms(*names: str, bias: bool = False) -> tuple[Tensor, ...]:
    return tuple(each for name in names for each in _norm(name, bias=bias))


BEFORE = ("input_layernorm", "post_attention_layernorm")
JOINED = (
    *_linear("mlp.gate_up_proj", "two inner", "hidden"),
    *_linear("mlp.down_proj", "hidden", "inner"),
)
HEAD_NORMS = (*_norm("self_attn.q_norm", "head"), *_norm("self_attn.k_norm", "head"))
DECODER_KEYS = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "inner": "intermediate_size",
    "two inner": "intermediate_size",
    "queries": "num_attention_heads",
    "keys": "num_key_value_heads",
    "head": "head_dim",
    "packed": "num_key_value_heads",
    "layers": "num_hidden_layers",
}


def _decoder(
    *layer: tuple[Tensor, ...],
    tied: bool = False,
    head: int | None = None,
    equal: bool = False,
    norm_bias: bool = False,
) -> Family:
    return Family(
        base="model.",
        layers="layers.",
        outside=(
            Tensor(name="embed_tokens.weight", dims=("vocabulary", "hidden")),
            *_norm("norm", bias=norm_bias),
        ),
        layer=tuple(each for part in layer for each in part),
        head=_linear("lm_head", "vocabulary", "hidden"),
        is_tied=tied,
        keys=DECODER_KEYS,
        defaults={} if head is None else {"head": head},
        has_one_key_head_a_query=equal,
    )


ATTENTION_BIAS, MLP_BIAS, USE_BIAS = "attention_bias", "mlp_bias", "use_bias"
_LLAMA = _decoder(
    _attention(ATTENTION_BIAS, ATTENTION_BIAS), _gated(MLP_BIAS), _norms(*BEFORE), equal=True
)
_GLM_ATTENTION = _attention(ATTENTION_BIAS, False, default=True)
_GPTJ = Family(
    base="transformer.",
    layers="h.",
    outside=(
        Tensor(name="wte.weight", dims=("vocabulary", "hidden")),
        *_norm("ln_f", bias=True),
    ),
    layer=(
        *_norm("ln_1", bias=True),
        *(each for name in ("q", "k", "v", "out")
          for each in _linear(f"attn.{name}_proj", "hidden", "hidden")),
        *_linear("mlp.fc_in", "inner", "hidden", bias=True),
        *_linear("mlp.fc_out", "hidden", "inner", bias=True),
    ),
    head=_linear("lm_head", "vocabulary", "hidden", bias=True),
    keys={"vocabulary": "vocab_size", "hidden": "n_embd", "inner": "n_inner", "layers": "n_layer"},
)  # fmt: skip


def _encoder(base: str) -> Family:
    return Family(
        base=base,
        layers="encoder.layer.",
        outside=(
            Tensor(name="embeddings.word_embeddings.weight", dims=("vocabulary", "hidden")),
            Tensor(name="embeddings.position_embeddings.weight", dims=("positions", "hidden")),
            Tensor(name="embeddings.token_type_embeddings.weight", dims=("types", "hidden")),
            *_norm("embeddings.LayerNorm", bias=True),
        ),
        layer=(
            *(each for name in ("query", "key", "value")
              for each in _linear(f"attention.self.{name}", "hidden", "hidden", bias=True)),
            *_linear("attention.output.dense", "hidden", "hidden", bias=True),
            *_norm("attention.output.LayerNorm", bias=True),
            *_linear("intermediate.dense", "inner", "hidden", bias=True),
            *_linear("output.dense", "hidden", "inner", bias=True),
            *_norm("output.LayerNorm", bias=True),
        ),
        keys={
            "vocabulary": "vocab_size",
            "hidden": "hidden_size",
            "inner": "intermediate_size",
            "positions": "max_position_embeddings",
            "types": "type_vocab_size",
            "layers": "num_hidden_layers",
        },
        plain={"add_cross_attention": False, "is_decoder": False,
               "position_embedding_type": "absolute"},
    )  # fmt: skip


_CHATGLM = Family(
    base="transformer.",
    layers="encoder.layers.",
    outside=(
        Tensor(name="embedding.word_embeddings.weight", dims=("vocabulary", "hidden")),
        Tensor(name="encoder.final_layernorm.weight", dims=("hidden",)),
    ),
    layer=(
        *_norms(*BEFORE),
        *_linear("self_attention.query_key_value", "packed", "hidden", "add_qkv_bias"),
        *_linear("self_attention.dense", "hidden", "queries"),
        *_linear("mlp.dense_h_to_4h", "two inner", "hidden"),
        *_linear("mlp.dense_4h_to_h", "hidden", "inner"),
    ),
    head=_linear("transformer.output_layer", "vocabulary", "hidden"),
    keys={
        "vocabulary": "padded_vocab_size",
        "hidden": "hidden_size",
        "inner": "ffn_hidden_size",
        "two inner": "ffn_hidden_size",
        "queries": "num_attention_heads",
        "head": "kv_channels",
        "packed": "multi_query_group_num",
        "layers": "num_layers",
    },
    causal=("ChatGLMModel", "ChatGLMForConditionalGeneration"),
    # ChatGLM-6B, of the same model type, has the first two.
    plain={
        "position_encoding_2d": None, "inner_hidden_size": None, "rmsnorm": True,
        "post_layer_norm": True, "add_bias_linear": False, "quantization_bit": 0,
        "pre_seq_len": None,
    },
)  # fmt: skip


CLASSES: Mapping[str, Family] = {
    "llama": _LLAMA,
    "granite": _LLAMA,
    "mistral": _decoder(_attention(False, False), _gated(), _norms(*BEFORE)),
    "qwen2": _decoder(_attention(True, False), _gated(), _norms(*BEFORE)),
    "qwen3": _decoder(
        _attention(ATTENTION_BIAS, ATTENTION_BIAS), HEAD_NORMS, _gated(), _norms(*BEFORE), head=128
    ),
    "gemma": _decoder(
        _attention(ATTENTION_BIAS, ATTENTION_BIAS), _gated(), _norms(*BEFORE), tied=True, head=256
    ),
    "gemma2": _decoder(
        _attention(ATTENTION_BIAS, ATTENTION_BIAS),
        _gated(),
        _norms(*BEFORE, "pre_feedforward_layernorm", "post_feedforward_layernorm"),
        tied=True,
        head=256,
    ),
    "glm": _decoder(_GLM_ATTENTION, JOINED, _norms(*BEFORE), head=128),
    "glm4": _decoder(
        _GLM_ATTENTION,
        JOINED,
        _norms(*BEFORE, "post_self_attn_layernorm", "post_mlp_layernorm"),
        head=128,
    ),
    "phi3": _decoder(
        _linear("self_attn.qkv_proj", "packed", "hidden"),
        _linear("self_attn.o_proj", "hidden", "queries"),
        JOINED,
        _norms(*BEFORE),
        equal=True,
    ),
    "olmo2": _decoder(
        _attention(ATTENTION_BIAS, ATTENTION_BIAS),
        _norm("self_attn.q_norm", "queries"),
        _norm("self_attn.k_norm", "keys"),
        _gated(),
        _norms("post_attention_layernorm", "post_feedforward_layernorm"),
        equal=True,
    ),
    "starcoder2": _decoder(
        _attention(USE_BIAS, USE_BIAS, default=True),
        _linear("mlp.c_fc", "inner", "hidden", USE_BIAS, default=True),
        _linear("mlp.c_proj", "hidden", "inner", USE_BIAS, default=True),
        _norms(*BEFORE, bias=True),
        tied=True,
        norm_bias=True,
    ),
    "chatglm": _CHATGLM,
    "gptj": _GPTJ,
    "bert": _encoder("bert."),
    "roberta": _encoder("roberta."),
    "xlm-roberta": _encoder("roberta."),
}
