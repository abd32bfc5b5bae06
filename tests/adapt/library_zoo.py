"""Small random models of many classes of the library; `python -m tests.adapt.library_zoo` guards.

Saves each, loads it again in float32 and bfloat16, and prints what the guards find and where its
engine computes otherwise than one pass: nothing, where all is well. Runs beside any transformers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

# What every config gets: fields that it does not know do no harm.
SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "sliding_window": 8,
}
# Longer than a window and than several pieces.
PROMPT = "The quick brown fox jumps over the lazy dog. Hello there"
PIECE_TOKENS = 7
STEPS_BAR = 1e-3
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
OLD = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "rotary_dim": 4}
PLAIN: dict[str, Any] = {}
EXPERTS = {
    **GROUPED,
    "num_local_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 24,
}
CAUSAL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        ("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text", "phi", "phi3",
         "olmo", "olmo2", "stablelm", "starcoder2", "cohere", "glm", "glm4", "granite", "nemotron",
         "gpt_neox", "persimmon"),
        GROUPED,
    ),
    **dict.fromkeys(("gptj", "gpt2", "gpt_bigcode", "codegen"), OLD),
    **dict.fromkeys(("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "granitemoe"), EXPERTS),
    "gpt_oss": EXPERTS,
    "bloom": {"n_layer": 3, "n_head": 4},
    "falcon": {},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "mpt": {"d_model": 32, "n_layers": 3, "n_heads": 4, "max_seq_len": 64},
    "mamba": {"state_size": 8},
    "jamba": {
        **EXPERTS,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "use_mamba_kernels": False,
    },
    "bamba": {
        **GROUPED,
        "attn_layer_indices": [1],
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_chunk_size": 16,
    },
    "lfm2": {
        **GROUPED,
        "block_multiple_of": 8,
        "layer_types": ["conv", "full_attention", "conv"],
    },
    "recurrent_gemma": {**GROUPED, "lru_width": 32, "attention_window_size": 64},
    "rwkv": {"attention_hidden_size": 32, "context_length": 64},
}  # fmt: skip
ENCODERS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(
        ("bert", "roberta", "xlm-roberta", "mpnet", "deberta-v2", "electra", "camembert"),
        PLAIN,
    ),
    "modernbert": {"cls_token_id": 1, "sep_token_id": 2},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    "albert": {"embedding_size": 16},
    "qwen2": GROUPED,
}


def guarded(model_type: str, directory: Path, *, is_encoder: bool = False) -> list[str]:
    """What the guards find wrong with a saved and loaded model, in both dtypes."""
    import torch
    import transformers

    from trueup.adapt import guard
    from trueup.adapt.guard_buffers import check_buffers, rebuilder
    from trueup.adapt.guard_tensors import compare_tensors
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import Source

    torch.manual_seed(0)
    table = ENCODERS if is_encoder else CAUSAL
    auto: Any = transformers.AutoModel if is_encoder else transformers.AutoModelForCausalLM
    sizes = {**SIZES, **table[model_type]}
    model = auto.from_config(transformers.AutoConfig.for_model(model_type, **sizes)).eval()
    with torch.no_grad():  # as trained: no bias is zero, and tokens matter
        for each in model.parameters():
            each.mul_(4) if each.dim() > 1 else each.add_(torch.randn_like(each) * 0.05)
    model.save_pretrained(directory)
    source = Source(directory=directory, source=str(directory), revision=None, id=model_type)
    checkpoint = read_checkpoint(source)
    found: list[str] = []
    for dtype in (torch.float32, torch.bfloat16):
        loaded = type(model).from_pretrained(directory, dtype=dtype).eval().requires_grad_(False)
        whole = compare_tensors(loaded, checkpoint, None, dtype, 1.0)
        faults = [
            *guard.check_eval(loaded),
            *guard.check_tensors(loaded, checkpoint, None, dtype),
            *whole.faults,
            *guard.check_some_buffers(loaded),
            *check_buffers(loaded, rebuilder(loaded)),
            *guard.check_forward(loaded),
        ]
        found += [f"{dtype}: {each}" for each in faults]
        found += [f"{dtype}: nothing found for {each}" for each in whole.unexplained]
        if dtype == torch.float32 and not is_encoder:
            found += answered(loaded)
    return found


def answered(model: Any) -> list[str]:
    """Where an answer to a long prompt, resumed after some tokens, is not as in one pass.

    And where `generate` answers, though the model's plan has no caveat for that.
    """
    import torch

    from tests.engines.tiny import TinyLoaded, byte_level_tokenizer, run
    from trueup.adapt.library import BY_GENERATE
    from trueup.engines.generating import GeneratingEngine
    from trueup.engines.sampling import Sampler
    from trueup.protocol.completion import parse_completion_request
    from trueup.worker.process import chat_engine

    logits: list[torch.Tensor] = []
    choose = Sampler.choose

    def recorded(self: Sampler, scores: torch.Tensor, answer: Sequence[int]) -> int:
        logits.append(scores)
        return choose(self, scores, answer)

    loaded: Any = TinyLoaded(model=model, stop_token_ids=(), context_tokens=64)
    engine: Any = chat_engine(loaded, is_own_code=False)
    if isinstance(engine, GeneratingEngine) and model.config.model_type not in BY_GENERATE:
        return ["its plan does not say that `generate` answers"]
    engine._piece_tokens = PIECE_TOKENS
    given = [17, 300, 41]
    resumed = {"trueup": {"continue_token_ids": given}}
    request = parse_completion_request(
        {"model": "m", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, **resumed}
    )
    with mock.patch.object(Sampler, "choose", recorded), torch.inference_mode():
        made = [step.token_ids[0] for step in run(engine, request)]
        prompt = byte_level_tokenizer()(PROMPT)["input_ids"]
        whole = model(input_ids=torch.tensor([[*prompt, *given, *made]]), use_cache=False)[0][0]
    expected = whole[len(prompt) + len(given) - 1 : -1].float()
    off = float((torch.stack(logits) - expected).abs().max() / expected.std())
    return [f"an answer is off by {off:.2g} of the logits' size"] if off > STEPS_BAR else []


def main() -> None:
    import transformers

    transformers.logging.set_verbosity_error()
    found: dict[str, list[str]] = {}
    for model_type in (*CAUSAL, *(f"{each} encoder" for each in ENCODERS)):
        name, _, encoder = model_type.partition(" ")
        with tempfile.TemporaryDirectory() as directory:
            found[model_type] = guarded(name, Path(directory), is_encoder=bool(encoder))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
