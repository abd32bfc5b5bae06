"""Decoders named as the library names Llama's tensors: Llama, Mistral, Qwen2, Qwen3, GLM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trueup.checkpoint.layouts.layout import Evidence, Layout, Value, from_weights, guess
from trueup.checkpoint.layouts.published import FAMILY, Published, published

EMBEDDING, LAYERS, HEAD = "model.embed_tokens.weight", "model.layers.", "lm_head.weight"
FIRST = f"{LAYERS}0."
ATTENTION = {f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")}
NORMS = {"input_layernorm", "post_attention_layernorm"}
OPTIONAL = {"self_attn.rotary_emb"}
SEPARATE = {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}
JOINED = {"mlp.gate_up_proj", "mlp.down_proj"}
GLM4_NORMS = {"post_self_attn_layernorm", "post_mlp_layernorm"}
CLASSES = {
    "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM", "glm": "GlmForCausalLM", "glm4": "Glm4ForCausalLM",
}  # fmt: skip
SPECIAL_IDS: dict[str, dict[str, Any]] = {
    "qwen2": {"bos_token_id": 151643, "eos_token_id": 151643},
    "qwen3": {"bos_token_id": 151643, "eos_token_id": 151645},
    "glm": {"eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329},
    "glm4": {"eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329},
    "llama": {"bos_token_id": 1, "eos_token_id": 2},
    "mistral": {"bos_token_id": 1, "eos_token_id": 2},
}
HEAD_DIMS = (128, 64, 96, 80, 256, 32, 16, 8)
WIDE = 2048  # from this width on heads have 128 as a rule


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measures:
    """What every decoder's tensors show."""

    vocabulary: int
    hidden: int
    layers: int
    inner: int
    queries: int
    keys: int


def _modules(evidence: Evidence) -> set[str]:
    """The modules of the first layer, without the layer's own name."""
    return {
        name.removeprefix(FIRST).rpartition(".")[0]
        for name in evidence.tensors
        if name.startswith(FIRST)
    }


def _has_modules(evidence: Evidence, wanted: set[str], optional: set[str]) -> bool:
    # Packed weights, as GPTQ's, have no `weight` of the shape that is meant.
    matrices = (EMBEDDING, f"{FIRST}self_attn.q_proj.weight", f"{FIRST}mlp.down_proj.weight")
    if not all(len(evidence.shape(name)) == 2 for name in matrices):
        return False
    found = _modules(evidence)
    return wanted <= found and found <= wanted | optional


def _is_llama(evidence: Evidence) -> bool:
    norms = {"self_attn.q_norm", "self_attn.k_norm"}
    wanted = ATTENTION | NORMS | SEPARATE
    return _has_modules(evidence, wanted, norms | OPTIONAL)


def _is_glm(evidence: Evidence) -> bool:
    wanted = ATTENTION | NORMS | JOINED
    return _has_modules(evidence, wanted, GLM4_NORMS | OPTIONAL)


def _model_type(evidence: Evidence, measures: _Measures) -> Value:
    q_bias, o_bias = f"{FIRST}self_attn.q_proj.bias", f"{FIRST}self_attn.o_proj.bias"
    q_norm = f"{FIRST}self_attn.q_norm.weight"
    if "mlp.gate_up_proj" in _modules(evidence):
        sign = f"{FIRST}post_mlp_layernorm.weight"
        is_newer = sign in evidence.tensors
        name = sign if is_newer else f"{FIRST}mlp.gate_up_proj.weight"
        return from_weights("model_type", "glm4" if is_newer else "glm", name)
    if q_norm in evidence.tensors:
        return from_weights("model_type", "qwen3", q_norm)
    if q_bias in evidence.tensors and o_bias not in evidence.tensors:
        return from_weights("model_type", "qwen2", q_bias, "and none of `o_proj`")
    like = _published(("llama", "mistral"), measures)
    kind = like.model_type if like is not None else "llama"
    told = f"these measures are {like.name}'s" if like is not None else "the names are Llama's"
    return guess("model_type", kind, f"{told}; Llama and Mistral name their tensors alike")


def _published(model_types: tuple[str, ...], measures: _Measures) -> Published | None:
    return published(
        model_types, measures.hidden, measures.inner, measures.layers, measures.vocabulary
    )


def _measures(evidence: Evidence) -> _Measures:
    inner = evidence.rows(f"{FIRST}mlp.gate_proj.weight")
    return _Measures(
        vocabulary=evidence.rows(EMBEDDING) or 0,
        hidden=evidence.columns(EMBEDDING) or 0,
        layers=evidence.layers(LAYERS),
        inner=inner or (evidence.rows(f"{FIRST}mlp.gate_up_proj.weight") or 0) // 2,
        queries=evidence.rows(f"{FIRST}self_attn.q_proj.weight") or 0,
        keys=evidence.rows(f"{FIRST}self_attn.k_proj.weight") or 0,
    )


def _values(evidence: Evidence) -> Iterable[Value]:
    measures = _measures(evidence)
    model_type = _model_type(evidence, measures)
    kind = str(model_type.value)
    like = _published((kind,), measures) or FAMILY[kind]
    is_same = like.hidden == measures.hidden and like.layers == measures.layers
    reason = f"as in the published {like.name}" + ("" if is_same else ", which is another size")
    yield model_type
    yield guess("architectures", [CLASSES[kind]], "the class that generates text")
    yield from_weights("vocab_size", measures.vocabulary, EMBEDDING, "its rows")
    yield from_weights("hidden_size", measures.hidden, EMBEDDING, "its columns")
    yield from_weights(
        "num_hidden_layers", measures.layers, f"{LAYERS}*", f"{measures.layers} layers"
    )
    inner = "gate_up_proj" if kind.startswith("glm") else "gate_proj"
    yield from_weights("intermediate_size", measures.inner, f"{FIRST}mlp.{inner}.weight")
    yield from _head_values(evidence, measures, like, reason)
    yield from _bias_values(evidence, kind)
    has_head = HEAD in evidence.tensors
    told = f"`{HEAD}` is there" if has_head else f"there is no `{HEAD}`"
    yield Value(key="tie_word_embeddings", value=not has_head, origin="weights", reason=told)
    yield guess("hidden_act", "silu", reason)
    yield guess("rms_norm_eps", like.eps, reason)
    yield guess("rope_theta", like.rope_theta, reason)
    yield guess("max_position_embeddings", like.context, reason)
    if kind.startswith("glm"):
        yield guess("partial_rotary_factor", 0.5, reason)
    yield from special_ids(evidence, SPECIAL_IDS[kind], measures.vocabulary, reason)
    dtype = evidence.dtype()
    if dtype is not None:
        yield Value(key="torch_dtype", value=dtype, origin="weights", reason="the tensors' dtype")


def _head_values(
    evidence: Evidence, measures: _Measures, like: Published, reason: str
) -> Iterator[Value]:
    head, told, is_known = _head_dim(evidence, measures, like)
    make = from_weights if is_known else guess
    source = told if is_known else f"{told} ({reason})" if head == like.head_dim else told
    for key, size, name in (
        ("num_attention_heads", measures.queries, "q_proj"),
        ("num_key_value_heads", measures.keys, "k_proj"),
    ):
        if is_known:
            told_here = f"{size} rows of `{name}` in heads of {head}"
            yield from_weights(key, size // head, source, told_here)
        else:
            yield guess(key, size // head, f"{size} rows of `{name}`, {source}")
    yield make("head_dim", head, source)


def _head_dim(evidence: Evidence, measures: _Measures, like: Published) -> tuple[int, str, bool]:
    """The size of a head, why, and whether a tensor determines it."""
    norm = f"{FIRST}self_attn.q_norm.weight"
    table = f"{FIRST}self_attn.rotary_emb.inv_freq"
    if evidence.rows(norm):
        return evidence.rows(norm) or 1, norm, True
    if evidence.rows(table):
        return 2 * (evidence.rows(table) or 1), table, True
    usual = HEAD_DIMS if measures.hidden >= WIDE else HEAD_DIMS[1:]
    for size in (like.head_dim, *usual) if like.hidden == measures.hidden else usual:
        if measures.queries % size == 0 and measures.keys % size == 0 and measures.keys:
            return size, f"if a head has {size}", False
    return max(measures.keys, 1), "if there is one head of keys", False


def _bias_values(evidence: Evidence, kind: str) -> Iterator[Value]:
    if kind in ("qwen2", "mistral"):
        return  # their classes have no such setting
    name = f"{FIRST}self_attn.{'q' if kind.startswith('glm') else 'o'}_proj.bias"
    present = name in evidence.tensors
    yield from_weights("attention_bias", present, name, "there" if present else "not there")
    if kind == "llama":
        name = f"{FIRST}mlp.gate_proj.bias"
        present = name in evidence.tensors
        yield from_weights("mlp_bias", present, name, "there" if present else "not there")


def special_ids(
    evidence: Evidence, family: Mapping[str, Any], rows: int, reason: str
) -> Iterator[Value]:
    """The ids of special tokens: the tokenizer's own, else those of the family where they fit."""
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        own = evidence.token_ids.get(key.removesuffix("_id"))
        if own is not None:
            told = "the tokenizer's files"
            yield Value(key=key, value=own, origin="tokenizer", reason=told)
            continue
        value = family.get(key)
        numbers = value if isinstance(value, list) else [value]
        if value is not None and all(isinstance(each, int) and each < rows for each in numbers):
            yield guess(key, value, reason)
        elif value is not None:  # the class's default would be as wrong
            yield guess(key, None, f"`{value}`, {reason}, is not in this vocabulary")


LAYOUTS = (
    Layout(name="llama", title="a decoder with Llama's names", recognise=_is_llama, values=_values),
    Layout(name="glm", title="a decoder with GLM's names", recognise=_is_glm, values=_values),
)
