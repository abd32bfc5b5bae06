"""Kronos, the forecasting model: its tokenizer and its language model, from tensor shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trueup.checkpoint.layouts.layout import Evidence, Layout, Value, from_weights, guess

TOKENIZER_ARGUMENTS = (
    "d_in", "d_model", "n_heads", "ff_dim", "n_enc_layers", "n_dec_layers", "ffn_dropout_p",
    "attn_dropout_p", "resid_dropout_p", "s1_bits", "s2_bits", "beta", "gamma0", "gamma", "zeta",
    "group_size",
)  # fmt: skip
MODEL_ARGUMENTS = (
    "s1_bits", "s2_bits", "n_layers", "d_model", "n_heads", "ff_dim", "ffn_dropout_p",
    "attn_dropout_p", "resid_dropout_p", "token_dropout_p", "learn_te",
)  # fmt: skip
# Of a block; `rotary.inv_freq` is computed anew and may be absent.
BLOCK = (
    "norm1.weight", "norm2.weight", "ffn.w1.weight", "ffn.w2.weight", "ffn.w3.weight",
    *(
        f"self_attn.{name}_proj.{part}"
        for name in ("q", "k", "v", "out")
        for part in ("weight", "bias")
    ),
)  # fmt: skip
TOKENIZER_MODULES = ("embed", "head", "quant_embed", "post_quant_embed_pre", "post_quant_embed")
TOKENIZER_SIGNS = tuple(f"{name}.weight" for name in TOKENIZER_MODULES[2:])
MODEL_SIGNS = ("embedding.emb_s1.weight", "embedding.emb_s2.weight", "head.proj_s1.weight")
TIME_PARTS = ("minute", "hour", "weekday", "day", "month")
PUBLISHED_TOKENIZER = "as in both published tokenizers"
# Layers and width of the published models, and their dropouts: ffn, attention, residual, token.
PUBLISHED = {
    (4, 256): ("Kronos-mini", (0.2, 0.0, 0.2, 0.0)),
    (8, 512): ("Kronos-small", (0.25, 0.1, 0.25, 0.1)),
    (12, 832): ("Kronos-base", (0.2, 0.0, 0.2, 0.0)),
}
DROPOUTS = ("ffn_dropout_p", "attn_dropout_p", "resid_dropout_p", "token_dropout_p")


def _is_tokenizer(evidence: Evidence) -> bool:
    return all(name in evidence.tensors for name in TOKENIZER_SIGNS)


def _is_model(evidence: Evidence) -> bool:
    return all(name in evidence.tensors for name in MODEL_SIGNS)


def _block_values(evidence: Evidence, prefix: str, width: int) -> Iterator[Value]:
    """Heads and inner width, from the first block under `prefix`."""
    number = min(evidence.layer_numbers(prefix), default=None)
    if number is None:
        return
    block = f"{prefix}{number}."
    half = evidence.rows(f"{block}self_attn.rotary.inv_freq")
    if half and width % (2 * half) == 0:
        name = f"{block}self_attn.rotary.inv_freq"
        yield from_weights("n_heads", width // (2 * half), name, f"heads of {2 * half}")
    inner = evidence.rows(f"{block}ffn.w1.weight")
    if inner is not None:
        yield from_weights("ff_dim", inner, f"{block}ffn.w1.weight", f"{inner} rows")


def _tokenizer_values(evidence: Evidence) -> Iterable[Value]:
    width, inputs = evidence.rows("embed.weight"), evidence.columns("embed.weight")
    if width is not None and inputs is not None:
        yield from_weights("d_in", inputs, "embed.weight", f"{inputs} columns")
        yield from_weights("d_model", width, "embed.weight", f"{width} rows")
        found = {each.key: each for each in _block_values(evidence, "decoder.", width)}
        found.update({each.key: each for each in _block_values(evidence, "encoder.", width)})
        yield from found.values()
    for key, prefix in (("n_enc_layers", "encoder."), ("n_dec_layers", "decoder.")):
        count = evidence.layers(prefix)
        yield from_weights(key, count + 1, f"{prefix}*", f"{count} blocks, and the class adds one")
    coarse = evidence.columns("post_quant_embed_pre.weight")
    both = evidence.rows("quant_embed.weight")
    if coarse is not None:
        yield from_weights("s1_bits", coarse, "post_quant_embed_pre.weight", f"{coarse} columns")
        if both is not None:
            yield from_weights("s2_bits", both - coarse, "quant_embed.weight", f"{both} rows")
    group = evidence.rows("tokenizer.bsq.group_basis")
    if group is not None:
        yield from_weights("group_size", group, "tokenizer.bsq.group_basis", f"{group} numbers")
    else:
        yield guess("group_size", 4, "as in Tokenizer-base; Tokenizer-2k has 5")
    for key in DROPOUTS[:3]:
        yield guess(key, 0.0, PUBLISHED_TOKENIZER)
    for key, value in (("beta", 0.05), ("gamma0", 1.0), ("gamma", 1.1), ("zeta", 0.05)):
        yield guess(key, value, PUBLISHED_TOKENIZER)


def _bits(rows: int) -> int | None:
    """`n` where there are two to the power of `n` rows."""
    return rows.bit_length() - 1 if rows > 0 and rows & (rows - 1) == 0 else None


def _model_values(evidence: Evidence) -> Iterable[Value]:
    for key, name in (("s1_bits", MODEL_SIGNS[0]), ("s2_bits", MODEL_SIGNS[1])):
        rows = evidence.rows(name) or 0
        bits = _bits(rows)
        if bits is not None:
            yield from_weights(key, bits, name, f"{rows} = 2^{bits} rows")
    layers, width = evidence.layers("transformer."), evidence.columns(MODEL_SIGNS[0])
    yield from_weights("n_layers", layers, "transformer.*", f"{layers} blocks")
    if width is not None:
        yield from_weights("d_model", width, MODEL_SIGNS[0], f"{width} columns")
        yield from _block_values(evidence, "transformer.", width)
    learned = "time_emb.minute_embed.weight"
    if learned in evidence.tensors:
        yield from_weights("learn_te", True, learned, "a learned table")
    elif any(name.startswith("time_emb.minute_embed.") for name in evidence.tensors):
        yield from_weights("learn_te", False, "time_emb.minute_embed.*", "a fixed table")
    else:
        yield guess("learn_te", True, "as in all published models")
    name, dropouts = PUBLISHED.get((layers, width or 0), ("", PUBLISHED[12, 832][1]))
    reason = f"as in {name}" if name else "as in Kronos-base, which is another size"
    for key, value in zip(DROPOUTS, dropouts, strict=True):
        yield guess(key, value, f"{reason}; it matters in training only")


def _tokenizer_names(evidence: Evidence) -> Iterable[str]:
    for name in TOKENIZER_MODULES:
        yield from (f"{name}.weight", f"{name}.bias")
    for prefix in ("encoder.", "decoder."):
        for number in range(evidence.layers(prefix)):
            yield from (f"{prefix}{number}.{name}" for name in BLOCK)


def _model_names(evidence: Evidence) -> Iterable[str]:
    yield from MODEL_SIGNS
    yield from ("embedding.fusion_proj.weight", "norm.weight", "head.proj_s2.weight")
    yield "dep_layer.norm.weight"
    for name in ("q", "k", "v", "out"):
        yield f"dep_layer.cross_attn.{name}_proj.weight"
    if "time_emb.minute_embed.weight" in evidence.tensors:
        yield from (f"time_emb.{part}_embed.weight" for part in TIME_PARTS)
    for number in range(evidence.layers("transformer.")):
        yield from (f"transformer.{number}.{name}" for name in BLOCK)


LAYOUTS = (
    Layout(
        name="kronos-tokenizer",
        title="a Kronos tokenizer",
        recognise=_is_tokenizer,
        values=_tokenizer_values,
        expected=_tokenizer_names,
        class_name="KronosTokenizer",
    ),
    Layout(
        name="kronos",
        title="a Kronos language model",
        recognise=_is_model,
        values=_model_values,
        expected=_model_names,
        class_name="Kronos",
    ),
)
