"""Caches, private parts of `generate`, and memory that is too small. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import CHAT, CHECK, PLAN, Known

CACHE = r"(?:Dynamic|Static|Encoder\w*|Hybrid)?Cache"
NATIVE_HINT = "TrueUp's native route runs the GLM family without that code"

ROWS = (
    Known(
        code="CACHE101",
        is_broad=True,
        patterns=(r"'NoneType' object has no attribute '?(?:shape|size)\b",),
        seen_with=(r"get_masks", r"past_key_values?\[0\]", r"modeling_\w+\.py", r"_prefill"),
        cause="the model's code takes its cache for a tuple of tensors; `generate` passes a cache "
        "object whose first entry is None until a token has gone through",
        hint="treat a cache whose first entry is None as no cache, or pass `use_cache=False`; "
        f"{NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="CACHE101",
        patterns=(r"Cache only has 0 layers",),
        since="4.54.0",
        until="4.56.0",
        cause="the model's code takes its cache for a tuple of tensors; `generate` passes a cache "
        "object that has no layers until a token has gone through",
        hint=f"ask whether the cache is true before it is indexed; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="CACHE102",
        patterns=(r"expected Tensor as element \d+ in argument \d+, but got NoneType",),
        seen_with=(r"torch\.cat\(\(cache_k", r"past_key", r"modeling_\w+\.py"),
        cause="the model's attention joins its cached keys to the new ones, and in the new cache "
        "object they are None at the first token",
        hint=f"join only where there is something to join; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="CACHE103",
        patterns=(rf"'{CACHE}' object is not subscriptable",),
        cause="`generate` passes a cache object that cannot be indexed, and the model's code "
        "takes it for a tuple",
        hint=f"convert the cache where `generate` hands it over; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="CACHE104",
        patterns=(rf"'{CACHE}' object has no attribute '?seen_tokens",),
        since="4.54.0",
        cause="`seen_tokens` of the cache was removed",
        hint="replace it by `get_seq_length()`",
        command=CHECK,
    ),
    Known(
        code="CACHE105",
        patterns=(rf"'{CACHE}' object has no attribute '?get_max_length",),
        since="4.49.0",
        cause="`get_max_length` of the cache was renamed (some 5.x have the name again)",
        hint="replace it by `get_max_cache_shape()`",
        command=CHECK,
    ),
    Known(
        code="CACHE106",
        patterns=(rf"'{CACHE}' object has no attribute '?get_usable_length",),
        since="4.54.0",
        cause="`get_usable_length` of the cache was removed",
        hint="replace it by `get_seq_length()`",
        command=CHECK,
    ),
    Known(
        code="CACHE107",
        patterns=(rf"'?{CACHE}'? (?:object )?has no attribute '?(?:to|from)_legacy_cache",),
        since="5.0.0",
        cause="transformers 5 no longer converts between cache objects and tuples",
        hint="keep the cache object",
        command=CHECK,
    ),
    Known(
        code="GEN101",
        patterns=(
            r"no attribute '?_extract_past_from_model_output",
            r"_extract_past_from_model_output\(\) got an unexpected keyword argument",
        ),
        seen_with=(r"_update_model_kwargs_for_generation",),
        cause="the model's code calls `_extract_past_from_model_output`, a private part of "
        "transformers that 4.44 took an argument of, and 4.49 removed",
        hint="replace the call by `outputs.past_key_values`; TrueUp's native route runs the GLM "
        "family without that code",
        command=CHAT,
    ),
    Known(
        code="GEN101",
        is_broad=True,
        patterns=(
            r"too many values to unpack \(expected 2\)",
            r"'str' object has no attribute '?shape",
        ),
        seen_with=(r"cache_k, cache_v = kv_cache", r"get_masks", r"past_key_values\[0\]"),
        until="4.44.0",
        cause="`_extract_past_from_model_output` returns a pair since 4.42, and the model's code "
        "keeps the pair as its cache",
        hint="replace the call by `outputs.past_key_values`",
        command=CHAT,
    ),
    Known(
        code="GEN102",
        patterns=(
            r"no attribute '?_eos_token_tensor",
            r"no attribute '?_get_logits_warper",
            r"_get_logits_warper\(\) missing 1 required positional argument",
        ),
        seen_with=(r"stream_generate", r"stream_chat"),
        cause="the model's own streaming loop calls private parts of `generate` that need what "
        "only `generate` prepares",
        hint="stream with `generate(streamer=...)`; a TrueUp server streams the GLM family",
        command=CHAT,
    ),
    Known(
        code="GEN103",
        patterns=(
            r"'NoneType' object has no attribute '?new_ones",
            r"pad\(\): argument 'input' \(position 1\) must be Tensor, not NoneType",
        ),
        seen_with=(r"_update_model_kwargs_for_generation",),
        cause="the model's code extends `attention_mask`, and `generate` passes None for a batch "
        "without padding",
        hint="test for None before extending it",
        command=CHAT,
    ),
    Known(
        code="GEN104",
        patterns=(r"attention_mask`? passed to `?generate`? must be 2D",),
        cause="the tokenizer makes attention masks of its own shape, as ChatGLM-6B's does",
        hint="pass a mask of ones and zeros, or none",
        command=CHECK,
    ),
    Known(
        code="GEN106",
        patterns=(r"is not compatible with `?\.generate\(\)",),
        cause="the model's class does not prepare inputs for `generate`",
        hint="load it with the Auto class of its head, or give the class a "
        "`prepare_inputs_for_generation`",
        command=CHECK,
    ),
    Known(
        code="MEM101",
        patterns=(
            r"CUDA out of memory",
            r"torch\.(?:cuda\.)?OutOfMemoryError",
            r"DefaultCPUAllocator: can't allocate memory",
        ),
        cause="the memory does not hold the model and its cache",
        hint="the plan says what the model needs; choose a smaller dtype or context",
        command=PLAN,
    ),
    Known(
        code="ENV103",
        patterns=(r"operator torchvision::nms does not exist",),
        cause="the installed torchvision does not match torch, and every import of transformers "
        "or LlamaFactory's code then fails",
        hint="install the torchvision of that torch, or remove torchvision",
    ),
    Known(
        code="ENV104",
        patterns=(
            r"Torch not compiled with CUDA enabled",
            r"Found no NVIDIA driver on your system",
        ),
        cause="the code asks for CUDA, and this torch or this machine has none",
        hint="run on the CPU: `--device cpu`",
        command="trueup chat MODEL --device cpu",
    ),
)
