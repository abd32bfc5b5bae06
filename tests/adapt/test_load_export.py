from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.adapt.library_checkpoints import build_library_checkpoint
from tests.checkpoints.build import Family, build_checkpoint
from trueup.adapt import load_export
from trueup.adapt.load import load_plan
from trueup.adapt.load_export import export_native
from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, plan_model
from trueup.errors import AdaptError

TOKEN_IDS = torch.tensor([[31, 7, 500, 12, 640, 3, 99]])
MESSAGES = [{"role": "user", "content": "hello 你好"}]


def plan_for(directory: Path) -> Plan:
    return plan_model(str(directory), Wishes(dtype="float32", device="cpu"))


@pytest.mark.parametrize("family", ["chatglm2", "chatglm2-32k", "chatglm3", "glm4"])
@pytest.mark.parametrize("shard_bytes", [100_000, 10**9])
def test_plain_transformers_loads_an_export_with_equal_logits(
    family: Family, shard_bytes: int, tmp_path: Path
) -> None:
    plan = plan_for(build_checkpoint(family, tmp_path / family))
    target = tmp_path / "deep" / "native"
    export_native(plan, target, shard_bytes=shard_bytes)
    ours = load_plan(plan)
    model = transformers.AutoModelForCausalLM.from_pretrained(target)
    tokenizer = transformers.AutoTokenizer.from_pretrained(target)
    with torch.no_grad():
        assert torch.equal(model(TOKEN_IDS).logits, ours.model(TOKEN_IDS).logits)
    texts = [
        each.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
        for each in (tokenizer, ours.tokenizer)
    ]
    assert texts[0] == texts[1]
    assert tokenizer("hello 你好")["input_ids"] == ours.tokenizer("hello 你好")["input_ids"]
    assert model.generation_config.eos_token_id == list(ours.stop_token_ids)
    assert not list(target.glob("*.py"))
    assert "auto_map" not in json.loads((target / "config.json").read_text(encoding="utf-8"))
    assert [each.name for each in target.parent.iterdir()] == ["native"]


@pytest.mark.parametrize(
    ("stored", "asked", "written"),
    [
        ("float16", "auto", "float16"),
        ("bfloat16", "auto", "bfloat16"),
        ("float16", "float32", "float32"),
    ],
)
def test_an_export_keeps_the_dtype_of_the_file_unless_asked(
    stored: str, asked: str, written: str, tmp_path: Path
) -> None:
    plan = plan_for(build_checkpoint("chatglm3", tmp_path / "model", dtype=stored))
    export_native(plan, tmp_path / "native", dtype=asked)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "native", dtype="auto")
    assert model.dtype == getattr(torch, written)


def test_an_exported_checkpoint_is_planned_as_a_model_of_the_library(tmp_path: Path) -> None:
    export_native(plan_for(build_checkpoint("glm4", tmp_path / "model")), tmp_path / "native")
    plan = plan_for(tmp_path / "native")
    assert (plan.route, plan.family, plan.kind) == ("native", "glm", "chat")
    assert load_plan(plan).stop_token_ids == load_plan(plan_for(tmp_path / "model")).stop_token_ids


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    plan = plan_for(build_checkpoint("chatglm2", tmp_path / "model"))
    target = tmp_path / "native"
    target.mkdir()
    (target / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(AdaptError, match="new or empty"):
        export_native(plan, target)
    assert [each.name for each in target.iterdir()] == ["mine.txt"]
    (target / "mine.txt").unlink()
    export_native(plan, target)
    assert (target / "model.safetensors").is_file()


def test_a_disk_that_is_too_small_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(build_checkpoint("chatglm2", tmp_path / "model"))
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(AdaptError, match=r"has 0\.0 MiB free"):
        export_native(plan, tmp_path / "native")
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_a_disk_that_fills_up_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(build_checkpoint("chatglm2", tmp_path / "model"))

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(load_export, "_write_shard", full)
    with pytest.raises(AdaptError, match="the disk is full"):
        export_native(plan, tmp_path / "native")
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_a_model_of_the_library_needs_no_export(tmp_path: Path) -> None:
    plan = plan_for(build_library_checkpoint("llama", tmp_path / "llama"))
    with pytest.raises(AdaptError, match="standard form already"):
        export_native(plan, tmp_path / "native")
    assert not (tmp_path / "native").exists()
