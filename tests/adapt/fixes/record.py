"""Writes down what a model's own code answers where it works; imports nothing of ours.

`python record.py DIRECTORY ANSWERS.npz` in an environment of the reference: the tokenizer's ids of
two texts, logits of the first, and greedy and beam answers, alone and in a padded batch.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoTokenizer

TEXTS = ("the quick brown", "a longer text than the first one")
TOKENS = 12


def main(directory: str, answers: str) -> None:
    torch.set_num_threads(1)
    config = AutoConfig.from_pretrained(directory, trust_remote_code=True)
    has_causal = "AutoModelForCausalLM" in config.auto_map
    auto = transformers.AutoModelForCausalLM if has_causal else transformers.AutoModel
    model = auto.from_pretrained(directory, trust_remote_code=True).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
    tokenizer.padding_side = "left"
    np.savez_compressed(answers, version=transformers.__version__, **recorded(model, tokenizer))


def recorded(model: Any, tokenizer: Any) -> dict[str, Any]:
    one = only(tokenizer([TEXTS[0]], return_tensors="pt"))
    both = only(tokenizer(list(TEXTS), return_tensors="pt", padding=True))
    settings = {"do_sample": False, "max_new_tokens": TOKENS}
    with torch.no_grad():
        return {
            "ids": one["input_ids"].numpy(),
            "batch_ids": both["input_ids"].numpy(),
            "logits": model(**one).logits.numpy(),
            "greedy": model.generate(**one, **settings).numpy(),
            "uncached": model.generate(**one, **settings, use_cache=False).numpy(),
            "beam": model.generate(**one, **settings, num_beams=3).numpy(),
            "batch": model.generate(**both, **settings).numpy(),
        }


def only(encoded: Any) -> dict[str, Any]:
    return {name: each for name, each in encoded.items() if name != "token_type_ids"}


if __name__ == "__main__":
    main(*sys.argv[1:])
