"""Small Qwen2 models for LlamaFactory: one of random weights, an adapter for it, one that recites.

All are the same at every run, and answer on a CPU in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tests.clients.checkpoint import write_checkpoint

# Room for a message of 6,000 characters of any script.
CONTEXT_TOKENS = 16384
RANK = 4
# LlamaFactory's name of the chat format of these models.
TEMPLATE = "qwen"


def write_base(folder: Path) -> Path:
    """A model that answers nonsense without an end: `max_new_tokens` ends it."""
    return write_checkpoint(folder, context_tokens=CONTEXT_TOKENS)


def write_adapter(folder: Path, base: Path) -> Path:
    """A LoRA adapter, in the files of peft, with which the base answers something else."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    config = json.loads((base / "config.json").read_text())
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    heads = config["num_attention_heads"]
    values = width // heads * config["num_key_value_heads"]
    shapes = {"v_proj": (width, values), "o_proj": (width, width)}
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for layer in range(layers):
        for name, (inputs, outputs) in shapes.items():
            stem = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            for part, shape in (("lora_A", (RANK, inputs)), ("lora_B", (outputs, RANK))):
                tensors[f"{stem}.{part}.weight"] = torch.randn(shape, generator=generator)
    save_file(tensors, str(folder / "adapter_model.safetensors"), {"format": "pt"})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": 4 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(shapes),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2))
    return folder


def write_reciting(folder: Path, pieces: Sequence[str]) -> Path:
    """A model that answers anything with these pieces, each of them one token, and then ends.

    Its layers add nothing, so that a token alone says which is next; no piece may come twice.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer
    from transformers import AutoModelForCausalLM

    write_base(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken(each, normalized=False) for each in pieces])
    tokenizer.save(str(folder / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    end = model.config.eos_token_id
    # The line feed is the end of every prompt: `<|im_start|>assistant\n`.
    chain = [*(tokenizer.encode(text).ids for text in ("\n", *pieces)), [end]]
    assert all(len(ids) == 1 for ids in chain)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        embedding, head = model.get_input_embeddings().weight, model.lm_head.weight
        embedding.copy_(torch.randn(embedding.shape, generator=generator))
        head.zero_()
        for (token,), (following,) in pairwise(chain):
            head[following] = embedding[token]
    model.save_pretrained(folder)
    return folder
