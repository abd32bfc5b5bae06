"""What `trueup.load` gives back, in the hands of transformers and PEFT."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file

import trueup
from tests.checkpoints.build import Family, build_checkpoint

FAMILIES: tuple[Family, ...] = ("chatglm2", "chatglm3", "glm4")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_generation_pipeline_answers_texts_and_chats(family: Family, tmp_path: Path) -> None:
    model, tokenizer = trueup.load(str(build_checkpoint(family, tmp_path / family)))
    pipe = transformers.pipeline("text-generation", model=model, tokenizer=tokenizer)
    limits = {"max_new_tokens": 4, "do_sample": False}
    answers = pipe(["hello", "你好 world"], batch_size=2, **limits)
    assert all("generated_text" in each[0] for each in answers)
    chat = pipe([{"role": "user", "content": "hello"}], **limits)
    assert chat[0]["generated_text"][-1]["role"] == "assistant"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT's own
@pytest.mark.parametrize("family", FAMILIES)
def test_a_lora_adapter_trains_a_step(family: Family, tmp_path: Path) -> None:
    model, tokenizer = trueup.load(
        str(build_checkpoint(family, tmp_path / family)), dtype="float32"
    )
    torch.manual_seed(0)
    settings = peft.LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", r=4)
    adapted = peft.get_peft_model(model, settings)
    adapted.train()
    batch = tokenizer(["hello world", "你好"], return_tensors="pt", padding=True)
    optimizer = torch.optim.AdamW((p for p in adapted.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(3):
        loss = adapted(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    adapted.save_pretrained(str(tmp_path / "adapter"))
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert saved
    assert all("lora_" in name for name in saved)


def test_beams_samples_and_static_caches_work(tmp_path: Path) -> None:
    model, tokenizer = trueup.load(
        str(build_checkpoint("chatglm2", tmp_path / "model")), dtype="float32"
    )
    batch = tokenizer(["hello world"], return_tensors="pt")
    greedy = model.generate(**batch, max_new_tokens=8)
    uncached = model.generate(**batch, max_new_tokens=8, use_cache=False)
    assert torch.equal(greedy, uncached)
    assert model.generate(**batch, max_new_tokens=8, num_beams=2).shape[0] == 1
    sampled = model.generate(**batch, max_new_tokens=8, do_sample=True, num_return_sequences=3)
    assert sampled.shape[0] == 3
