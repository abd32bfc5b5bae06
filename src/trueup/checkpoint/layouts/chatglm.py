"""ChatGLM2, ChatGLM3 and GLM-4 as they were published, with code of their own; and GPT-J."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trueup.checkpoint.layouts.decoder import special_ids
from trueup.checkpoint.layouts.layout import Evidence, Layout, Value, from_weights, guess

EMBEDDING = "transformer.embedding.word_embeddings.weight"
LAYERS = "transformer.encoder.layers."
FIRST = f"{LAYERS}0."
QKV, DENSE = f"{FIRST}self_attention.query_key_value", f"{FIRST}self_attention.dense.weight"
ROTARY = "transformer.rotary_pos_emb.inv_freq"
GPTJ_EMBEDDING, GPTJ_FIRST = "transformer.wte.weight", "transformer.h.0."
AUTO_CLASSES = {
    "AutoConfig": "ChatGLMConfig",
    "AutoModel": "ChatGLMForConditionalGeneration",
    "AutoModelForCausalLM": "ChatGLMForConditionalGeneration",
    "AutoModelForSeq2SeqLM": "ChatGLMForConditionalGeneration",
}


def _is_chatglm(evidence: Evidence) -> bool:
    return all(
        len(evidence.shape(name)) == 2
        for name in (EMBEDDING, f"{QKV}.weight", DENSE, f"{FIRST}mlp.dense_4h_to_h.weight")
    )


def _chatglm_values(evidence: Evidence) -> Iterable[Value]:
    rows, hidden = evidence.shape(EMBEDDING)
    layers = evidence.layers(LAYERS)
    projection = evidence.columns(DENSE) or hidden
    keys = ((evidence.rows(f"{QKV}.weight") or projection) - projection) // 2
    yield from_weights("model_type", "chatglm", f"{QKV}.weight")
    yield guess("architectures", ["ChatGLMModel"], "as in all published models")
    yield from _auto_map(evidence)
    yield from_weights("padded_vocab_size", rows, EMBEDDING, "its rows")
    yield from_weights("vocab_size", rows, EMBEDDING, "its rows")
    yield from_weights("hidden_size", hidden, EMBEDDING, "its columns")
    yield from_weights("num_layers", layers, f"{LAYERS}*", f"{layers} layers")
    down = f"{FIRST}mlp.dense_4h_to_h.weight"
    yield from_weights("ffn_hidden_size", evidence.columns(down), down, "its columns")
    quarter = evidence.rows(ROTARY)
    head = 4 * quarter if quarter else 128
    if quarter:
        yield from_weights("kv_channels", head, ROTARY, f"four times its {quarter} numbers")
        yield from_weights("num_attention_heads", projection // head, DENSE, f"heads of {head}")
        yield from_weights("multi_query_group_num", max(keys // head, 1), f"{QKV}.weight")
    else:
        reason = "if a head has 128, as in all published models"
        yield guess("kv_channels", head, "as in all published models")
        yield guess("num_attention_heads", max(projection // head, 1), reason)
        yield guess("multi_query_group_num", max(keys // head, 1), reason)
    is_grouped = keys != projection
    yield from_weights("multi_query_attention", is_grouped, f"{QKV}.weight", "its rows")
    for key, name in (
        ("add_qkv_bias", f"{QKV}.bias"),
        ("add_bias_linear", f"{FIRST}self_attention.dense.bias"),
        ("post_layer_norm", "transformer.encoder.final_layernorm.weight"),
    ):
        present = name in evidence.tensors
        yield from_weights(key, present, name, "there" if present else "not there")
    is_rms = "transformer.encoder.final_layernorm.bias" not in evidence.tensors
    yield from_weights("rmsnorm", is_rms, "transformer.encoder.final_layernorm.*")
    tied = "transformer.output_layer.weight" not in evidence.tensors
    yield from_weights("tie_word_embeddings", tied, "transformer.output_layer.weight")
    yield from _chatglm_guesses(rows)
    yield from special_ids(evidence, {"eos_token_id": 2, "pad_token_id": 0}, rows, "ChatGLM2's")
    dtype = evidence.dtype()
    if dtype is not None:
        yield Value(key="torch_dtype", value=dtype, origin="weights", reason="the tensors' dtype")


def _chatglm_guesses(rows: int) -> Iterator[Value]:
    is_glm4 = rows > 100_000
    reason = f"as in the published {'glm-4-9b-chat' if is_glm4 else 'chatglm2-6b'}"
    yield guess("layernorm_epsilon", 1.5625e-07 if is_glm4 else 1e-5, reason)
    yield guess("seq_length", 131072 if is_glm4 else 32768, reason)
    if is_glm4:
        yield guess("rope_ratio", 500, reason)
    for key in ("original_rope", "apply_query_key_layer_scaling", "bias_dropout_fusion"):
        yield guess(key, True, reason)
    for key in ("attention_softmax_in_fp32", "fp32_residual_connection"):
        yield guess(key, key.startswith("attention"), reason)
    yield guess("apply_residual_connection_post_layernorm", False, reason)
    for key in ("attention_dropout", "hidden_dropout"):
        yield guess(key, 0.0, reason)


def _auto_map(evidence: Evidence) -> Iterator[Value]:
    """Where the directory has the model's own classes, the names of their files."""
    found = {
        auto: f"{evidence.classes[name].removesuffix('.py')}.{name}"
        for auto, name in AUTO_CLASSES.items()
        if name in evidence.classes
    }
    if found:
        files = sorted({evidence.classes[name] for name in AUTO_CLASSES.values()
                        if name in evidence.classes})  # fmt: skip
        told = "the classes in " + ", ".join(f"`{name}`" for name in files)
        yield Value(key="auto_map", value=found, origin="code", reason=told)


def _is_gptj(evidence: Evidence) -> bool:
    return len(evidence.shape(GPTJ_EMBEDDING)) == 2 and all(
        f"{GPTJ_FIRST}{name}.weight" in evidence.tensors
        for name in ("attn.q_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out", "ln_1")
    )


def _gptj_values(evidence: Evidence) -> Iterable[Value]:
    rows, width = evidence.shape(GPTJ_EMBEDDING)
    layers, inner = evidence.layers("transformer.h."), f"{GPTJ_FIRST}mlp.fc_in.weight"
    reason = "as in the published gpt-j-6b"
    yield from_weights("model_type", "gptj", f"{GPTJ_FIRST}attn.q_proj.weight")
    yield guess("architectures", ["GPTJForCausalLM"], "the class that generates text")
    yield from_weights("vocab_size", rows, GPTJ_EMBEDDING, "its rows")
    yield from_weights("n_embd", width, GPTJ_EMBEDDING, "its columns")
    yield from_weights("n_layer", layers, "transformer.h.*", f"{layers} layers")
    yield from_weights("n_inner", evidence.rows(inner), inner, "its rows")
    mask = next(iter(evidence.shape(f"{GPTJ_FIRST}attn.bias")[-1:]), None)
    if mask:
        yield from_weights("n_positions", mask, f"{GPTJ_FIRST}attn.bias", "its width")
    else:
        yield guess("n_positions", 2048, reason)
    heads = next((n for n in (16, 8, 4, 2) if width % n == 0 and width // n >= 8), 1)
    yield guess("n_head", heads, reason if heads == 16 else "no tensor shows it")
    yield guess("rotary_dim", min(64, width // heads), reason)
    yield guess("activation_function", "gelu_new", reason)
    yield guess("layer_norm_epsilon", 1e-5, reason)
    tied = "lm_head.weight" not in evidence.tensors
    yield from_weights("tie_word_embeddings", tied, "lm_head.weight")
    family = {"bos_token_id": 50256, "eos_token_id": 50256}
    yield from special_ids(evidence, family, rows, reason)
    dtype = evidence.dtype()
    if dtype is not None:
        yield Value(key="torch_dtype", value=dtype, origin="weights", reason="the tensors' dtype")


LAYOUTS = (
    Layout(
        name="chatglm",
        title="ChatGLM2, ChatGLM3 or GLM-4 as published",
        recognise=_is_chatglm,
        values=_chatglm_values,
    ),
    Layout(name="gptj", title="GPT-J", recognise=_is_gptj, values=_gptj_values),
)
