"""Runs remote code under old transformers and writes down its answers; imports nothing of ours.

`python reference.py JOBS.json`, a list of {"checkpoint", "prompts", "answers"}: prompts is an npz
with `input_ids` and `attention_mask`, or a JSON list of texts for the checkpoint's own tokenizer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer, GenerationConfig

GREEDY_STEPS = 64


def main(jobs: list[dict[str, str]]) -> None:
    torch.set_num_threads(1)
    for job in jobs:
        model = AutoModel.from_pretrained(
            job["checkpoint"], trust_remote_code=True, torch_dtype=torch.float32
        ).eval()
        input_ids, attention_mask = prompts(Path(job["prompts"]), job["checkpoint"])
        np.savez(job["answers"], **answers(model, input_ids, attention_mask))


def prompts(path: Path, checkpoint: str) -> tuple[torch.Tensor, torch.Tensor]:
    if path.suffix == ".npz":
        arrays = np.load(path)
        return (
            torch.from_numpy(arrays["input_ids"]).long(),
            torch.from_numpy(arrays["attention_mask"]).long(),
        )
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=True)
    batch = tokenizer(json.loads(path.read_text()), padding=True, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def answers(model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, Any]:
    # What the tokenizers of these families emit: positions from 0 at the first real token.
    position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    inputs = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "position_ids": position_ids,
    }
    settings = GenerationConfig(
        max_new_tokens=GREEDY_STEPS,
        do_sample=False,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    with torch.no_grad():
        prefill = model(**inputs).logits
        generated = model.generate(**inputs, generation_config=settings)
    positions = attention_mask.nonzero()
    return {
        "input_ids": input_ids.numpy().astype(np.int32),
        "attention_mask": attention_mask.numpy().astype(np.int8),
        "positions": positions.numpy().astype(np.int32),
        "logits": prefill[positions[:, 0], positions[:, 1]].numpy(),
        "greedy": generated.sequences[:, input_ids.shape[1] :].numpy().astype(np.int32),
        "steps": np.arange(GREEDY_STEPS, dtype=np.int32),
        "step_logits": torch.stack(generated.logits).numpy(),
    }


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
