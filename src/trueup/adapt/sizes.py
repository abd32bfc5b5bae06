"""How much memory a model will need, from weight headers and config keys. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueup.adapt.native.family import whole_number
from trueup.adapt.plan import Memory
from trueup.checkpoint.checkpoint import Checkpoint

DTYPE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
FILE_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float32"}
# Measured: an interpreter with torch, transformers and a model class imported; the CUDA context
# is what PyTorch's users report for current drivers.
HOST_OVERHEAD_BYTES = 340 * 1024 * 1024
CUDA_OVERHEAD_BYTES = 500 * 1024 * 1024
KV_TOKENS = 1000
# Of a forecast: each has a cache of its own. A request may ask for another number.
USUAL_SAMPLES = 30
# The first key that is there gives the size: each family has names of its own.
LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads")
KV_HEADS = ("num_key_value_heads", "multi_query_group_num", "num_kv_heads")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
HEAD_SIZE = ("head_dim", "kv_channels")
VOCABULARY = ("padded_vocab_size", "vocab_size")
# The head's weights are widened to fp32 block by block (`engines/head.py`).
HOST_HEAD_BLOCK_BYTES = 4 * 2**20
CUDA_HEAD_BLOCK_BYTES = 4 * 2**26
LARGEST_CONTEXT_TOKENS = 2**31
CONTEXT = (
    "max_position_embeddings",
    "seq_length",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",  # the first ChatGLM-6B
    "model_max_length",  # Baichuan's 13B models
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastSizes:
    """What a forecasting model takes beside its own weights."""

    tokenizer: Checkpoint | None
    context_bars: int


def file_dtype(checkpoint: Checkpoint) -> str:
    """The dtype that most bytes of the weights have, else what the config says, else float32."""
    sizes: Counter[str] = Counter()
    for tensor in checkpoint.weights.tensors.values():
        sizes[tensor.dtype] += tensor.size_bytes
    if sizes:
        known = FILE_DTYPES.get(sizes.most_common(1)[0][0])
        if known is not None:
            return known
    for key in ("dtype", "torch_dtype"):
        named = str(checkpoint.config.get(key, "")).removeprefix("torch.")
        if named in DTYPE_BYTES:
            return named
    return "float32"


def context_tokens(checkpoint: Checkpoint) -> int | None:
    """The longest sequence that the config says the model was made for."""
    return first_number(checkpoint.config, CONTEXT)


def against_context(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Why the config's context cannot be meant, by its key; nothing where it can."""
    key = next((each for each in CONTEXT if whole_number(checkpoint.config, each)), None)
    tokens = context_tokens(checkpoint)
    if key is None or tokens is None or tokens <= LARGEST_CONTEXT_TOKENS:
        return ()
    return (
        f"`{key}` in config.json is {tokens}, expected the model's longest sequence, "
        f"{LARGEST_CONTEXT_TOKENS} tokens at most",
    )


def estimate_memory(
    checkpoint: Checkpoint, dtype: str, device: str, *, is_embedding: bool = False
) -> Memory:
    """Weights and KV cache in `dtype`, and what torch and the head in fp32 take besides.

    An embedding model has no cache and no head.
    """
    if is_embedding:
        return _embedding_memory(checkpoint, dtype, device)
    # A chat model in int8 is refused; the refusal need not know how large it would be.
    item_bytes = DTYPE_BYTES.get(dtype, 1)
    config = checkpoint.config
    weights_bytes = _weights_bytes(checkpoint, item_bytes)
    overhead = HOST_OVERHEAD_BYTES if device == "cpu" else CUDA_OVERHEAD_BYTES
    if dtype != "float32":  # the language-model head computes in fp32
        whole = 4 * (first_number(config, VOCABULARY) or 0) * (first_number(config, HIDDEN) or 0)
        block = HOST_HEAD_BLOCK_BYTES if device == "cpu" else CUDA_HEAD_BLOCK_BYTES
        overhead += min(whole, block)
    return Memory(
        weights_bytes=weights_bytes,
        kv_bytes_per_1k_tokens=_kv_bytes(config, item_bytes) * KV_TOKENS,
        overhead_bytes=overhead,
    )


def _embedding_memory(checkpoint: Checkpoint, dtype: str, device: str) -> Memory:
    """The first load of anything but fp32 has the fp32 weights beside it, to measure by."""
    narrow = _weights_bytes(checkpoint, DTYPE_BYTES.get(dtype, 1))
    wide = 0 if dtype == "float32" else _weights_bytes(checkpoint, DTYPE_BYTES["float32"])
    overhead = HOST_OVERHEAD_BYTES if device == "cpu" else CUDA_OVERHEAD_BYTES
    return Memory(weights_bytes=narrow, kv_bytes_per_1k_tokens=0, overhead_bytes=overhead + wide)


def forecast_memory(
    checkpoint: Checkpoint, sizes: ForecastSizes, dtype: str, device: str
) -> Memory:
    """Weights of model and tokenizer, and the caches of as many samples as are usual."""
    item_bytes = DTYPE_BYTES.get(dtype, 1)
    each = _kv_bytes(checkpoint.config, item_bytes)
    # The tokenizer stays in fp32.
    wide = DTYPE_BYTES["float32"]
    tokenizer = 0 if sizes.tokenizer is None else _weights_bytes(sizes.tokenizer, wide)
    overhead = HOST_OVERHEAD_BYTES if device == "cpu" else CUDA_OVERHEAD_BYTES
    return Memory(
        weights_bytes=_weights_bytes(checkpoint, item_bytes) + tokenizer,
        kv_bytes_per_1k_tokens=each * KV_TOKENS,
        overhead_bytes=overhead + each * sizes.context_bars * USUAL_SAMPLES,
    )


def _weights_bytes(checkpoint: Checkpoint, item_bytes: int) -> int:
    tensors = checkpoint.weights.tensors.values()
    if not tensors:
        return checkpoint.weights.size_bytes * item_bytes // DTYPE_BYTES[file_dtype(checkpoint)]
    count = 0
    for tensor in tensors:
        numbers = 1
        for length in tensor.shape:
            numbers *= length
        count += numbers
    return count * item_bytes


def _kv_bytes(config: Mapping[str, Any], item_bytes: int) -> int:
    """Bytes of keys and values for one token; 0 where the config does not tell."""
    layers, heads = first_number(config, LAYERS), first_number(config, HEADS)
    hidden = first_number(config, HIDDEN)
    if layers is None or heads is None or hidden is None:
        return 0
    kv_heads = first_number(config, KV_HEADS) or heads
    if config.get("multi_query_attention") is False:
        kv_heads = heads
    size = first_number(config, HEAD_SIZE) or hidden // heads
    return 2 * layers * kv_heads * size * item_bytes


def first_number(config: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    """The whole number of the first of `keys` that has one."""
    return next((number for key in keys if (number := whole_number(config, key))), None)
