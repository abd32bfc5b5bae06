"""Native models against original-style remote code that runs under transformers 4.41.2."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trueup
from tests.checkpoints.build import DEMO, VOCABULARY_TOKENS, Family, build_checkpoint
from tests.environments import python_for
from tests.parity.comparison import (
    MISTAKES,
    ROPE_RATIO_MISREAD,
    Answers,
    distance,
    with_mistake,
)

pytestmark = pytest.mark.environment

REFERENCE = Path(__file__).with_name("reference.py")
LIMIT_SECONDS = 300
FAMILIES: Mapping[str, tuple[Family, int, dict[str, Any]]] = {
    "chatglm2": ("chatglm2", 301, {}),
    "chatglm2-multihead": ("chatglm2", 302, {"multi_query_attention": False}),
    "chatglm2-32k": ("chatglm2-32k", 303, {}),
    "chatglm3": ("chatglm3", 304, {}),
    "glm4": ("glm4", 305, {"kv_channels": 32}),
}
PROMPT_TOKENS = (1, 6, 40, 230)
DEMO_TEXTS = ["[Round 1]\n\n问：你好\n\n答：", "[Round 1]\n\n问：What is TrueUp?\n\n答：", "hello"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("checkpoints")
    built = {
        name: build_checkpoint(family, home / name, seed=seed, **overrides)
        for name, (family, seed, overrides) in FAMILIES.items()
    }
    return built | {"demo": Path(shutil.copytree(DEMO, home / "demo"))}


@pytest.fixture(scope="module")
def answers(
    checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answers]:
    """What the remote code of every checkpoint says, from one run of the old interpreter."""
    home = tmp_path_factory.mktemp("answers")
    np.savez(home / "prompts.npz", **_ragged_prompts())
    (home / "texts.json").write_text(json.dumps(DEMO_TEXTS))
    jobs = [
        {
            "checkpoint": str(directory),
            "prompts": str(home / ("texts.json" if name == "demo" else "prompts.npz")),
            "answers": str(home / f"{name}.npz"),
        }
        for name, directory in checkpoints.items()
    ]
    (home / "jobs.json").write_text(json.dumps(jobs))
    environment = os.environ | {"HF_MODULES_CACHE": str(home / "modules"), "HF_HUB_OFFLINE": "1"}
    # -I: neither this directory nor PYTHONPATH, so nothing of ours can be imported there.
    subprocess.run(
        [python_for("reference-4.41"), "-I", REFERENCE, home / "jobs.json"],
        env=environment,
        check=True,
        timeout=LIMIT_SECONDS,
    )
    return {name: Answers.load(home / f"{name}.npz") for name in checkpoints}


@pytest.fixture(scope="module")
def native(checkpoints: dict[str, Path]) -> Callable[[str], Any]:
    loaded: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in loaded:
            loaded[name], _ = trueup.load(str(checkpoints[name]), device="cpu", dtype="float32")
        return loaded[name]

    return load


@pytest.mark.parametrize("name", [*FAMILIES, "demo"])
def test_native_logits_and_greedy_tokens_equal_those_of_the_remote_code(
    name: str, native: Callable[[str], Any], answers: dict[str, Answers]
) -> None:
    assert type(native(name)).__name__ == "GlmForCausalLM"
    assert distance(native(name), answers[name]).is_parity


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["chatglm2", "chatglm3", "glm4"])
def test_a_mistake_in_the_mapping_fails_the_same_comparison(
    name: str, mistake: str, native: Callable[[str], Any], answers: dict[str, Answers]
) -> None:
    mistaken = with_mistake(native(name), MISTAKES[mistake])
    assert not distance(mistaken, answers[name]).is_parity


@pytest.mark.parametrize("name", ROPE_RATIO_MISREAD)
def test_rope_ratio_in_the_meaning_of_the_other_family_fails_the_same_comparison(
    name: str, native: Callable[[str], Any], answers: dict[str, Answers]
) -> None:
    misread = with_mistake(native(name), ROPE_RATIO_MISREAD[name])
    assert not distance(misread, answers[name]).is_parity


def _ragged_prompts() -> dict[str, Any]:
    drawn = np.random.PCG64(300).random_raw(sum(PROMPT_TOKENS)) >> np.uint64(40)
    tokens = np.split(drawn % VOCABULARY_TOKENS, np.cumsum(PROMPT_TOKENS)[:-1])
    longest = max(PROMPT_TOKENS)
    input_ids = np.zeros((len(PROMPT_TOKENS), longest), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(tokens):
        input_ids[row, longest - len(ids) :] = ids
        attention_mask[row, longest - len(ids) :] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}
