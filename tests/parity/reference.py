"""Runs remote code under old transformers and writes down its answers; imports nothing of ours.

`python reference.py JOBS.json`, a list of {"checkpoint", "prompts", "answers"}: prompts is an npz
with `input_ids` and `attention_mask`, or a JSON list of texts for the checkpoint's own tokenizer.
A job with `makes_positions` is for code that makes positions of the mask when it generates; one
with `texts`, `chats` and `tokens` writes to the last what the checkpoint's own tokenizer and chat
functions make of the first two. `dtype` is float32 unless given.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.dynamic_module_utils import get_class_from_dynamic_module

GREEDY_STEPS = 64


def main(jobs: list[dict[str, str]]) -> None:
    torch.set_num_threads(1)
    for job in jobs:
        dtype = getattr(torch, job.get("dtype", "float32"))
        model = AutoModelForCausalLM.from_pretrained(
            job["checkpoint"], trust_remote_code=True, torch_dtype=dtype
        ).eval()
        if "tokens" in job:
            Path(job["tokens"]).write_text(json.dumps(tokens(model, job)))
        input_ids, attention_mask = prompts(Path(job["prompts"]), job["checkpoint"])
        makes_positions = "makes_positions" in job
        np.savez(job["answers"], **answers(model, input_ids, attention_mask, makes_positions))


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


def answers(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    makes_positions: bool,
) -> dict[str, Any]:
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
        if makes_positions:
            del inputs["position_ids"]
        generated = model.generate(**inputs, generation_config=settings)
    positions = attention_mask.nonzero()
    return {
        "input_ids": input_ids.numpy().astype(np.int32),
        "attention_mask": attention_mask.numpy().astype(np.int8),
        "positions": positions.numpy().astype(np.int32),
        "logits": prefill[positions[:, 0], positions[:, 1]].float().numpy(),
        "greedy": generated.sequences[:, input_ids.shape[1] :].numpy().astype(np.int32),
        "steps": np.arange(GREEDY_STEPS, dtype=np.int32),
        "step_logits": torch.stack(generated.logits).float().numpy(),
    }


def tokens(model: Any, job: dict[str, str]) -> dict[str, Any]:
    """Ids, decoded text and prompts that the checkpoint's own code makes."""
    tokenizer = own_tokenizer(Path(job["checkpoint"]))
    texts = json.loads(Path(job["texts"]).read_text())
    chats = json.loads(Path(job["chats"]).read_text())
    rows = [tokenizer.encode(text) for text in texts]
    return {
        "ids": rows,
        "plain": [tokenizer.encode(text, add_special_tokens=False) for text in texts],
        "decoded": [tokenizer.decode(row, skip_special_tokens=True) for row in rows],
        "chats": [chat(model, tokenizer, messages) for messages in chats],
    }


def own_tokenizer(checkpoint: Path) -> Any:
    """The checkpoint's tokenizer, its vocabulary set before the base class asks for it (4.34)."""
    import sentencepiece

    settings = json.loads((checkpoint / "tokenizer_config.json").read_text())
    reference = settings["auto_map"]["AutoTokenizer"][0]
    published = get_class_from_dynamic_module(reference, str(checkpoint))

    class Early(published):  # type: ignore[misc, valid-type]
        def __init__(self, vocab_file: str, **options: Any) -> None:
            self.sp_model = sentencepiece.SentencePieceProcessor(model_file=str(vocab_file))
            super().__init__(vocab_file, **options)

    return Early.from_pretrained(checkpoint)


def chat(model: Any, tokenizer: Any, messages: list[dict[str, str]]) -> Any:
    """The prompt of the model's own chat functions; None where they cannot write it down."""
    if hasattr(model, "build_inputs"):
        system = messages[0]["content"] if messages[0]["role"] == "system" else ""
        rest = [each["content"] for each in messages if each["role"] != "system"]
        history = list(zip(rest[:-1:2], rest[1::2], strict=True))
        try:
            more = {"meta_instruction": system} if system else {}
            inputs = model.build_inputs(tokenizer, rest[-1], history, **more)
        except TypeError:
            return None
        return inputs["input_ids"][0].tolist()
    module = sys.modules[type(model).__module__]
    if not hasattr(module, "build_chat_input"):
        return None
    return module.build_chat_input(model, tokenizer, messages, 64)[0].tolist()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
