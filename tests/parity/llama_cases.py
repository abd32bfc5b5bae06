"""Checkpoints of the Baichuan and InternLM kinds, and what their remote code says of them.

The remote code runs under transformers 4.41.2 in an environment of its own; that side imports
nothing of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.checkpoints.llama_kinds import Kind, build_llama_kind
from tests.checkpoints.vocabularies import SENTENCEPIECE_TOKENS
from tests.environments import python_for
from tests.parity.llama_texts import CHATS, TEXTS

REFERENCE = Path(__file__).with_name("reference.py")
LIMIT_SECONDS = 300
KINDS: Mapping[str, tuple[Kind, int, dict[str, Any]]] = {
    "baichuan-7b": ("baichuan-7b", 401, {}),
    "baichuan2-7b": ("baichuan2-7b", 402, {}),
    "internlm": ("internlm", 403, {}),
    "internlm-without-bias": ("internlm", 404, {"bias": False, "rms_norm_eps": 1e-05}),
    "internlm2": ("internlm2", 405, {}),
    "internlm2-one-group": ("internlm2", 406, {"groups": 1, "bias": True}),
    "internlm2-linear": (
        "internlm2",
        407,
        {"groups": 4, "rope_scaling": {"type": "linear", "factor": 4.0}},
    ),
    "internlm2-sharded": ("internlm2", 408, {"weights_format": "sharded-pickle"}),
}
PROMPT_TOKENS = (1, 6, 40, 430)


def write_answers(
    home: Path, dtypes: Sequence[str] = ("float32",), names: Sequence[str] = tuple(KINDS)
) -> None:
    """Writes checkpoints NAME, answers NAME.DTYPE.npz and tokens NAME.json into `home`."""
    np.savez(home / "prompts.npz", **ragged_prompts())
    (home / "texts.json").write_text(json.dumps(TEXTS))
    (home / "chats.json").write_text(json.dumps(CHATS))
    jobs = []
    for name in names:
        kind, seed, overrides = KINDS[name]
        build_llama_kind(kind, home / name, seed=seed, **overrides)
        jobs += [
            {
                "checkpoint": str(home / name),
                "prompts": str(home / "prompts.npz"),
                "answers": str(home / f"{name}.{dtype}.npz"),
                "makes_positions": "yes",
                "texts": str(home / "texts.json"),
                "chats": str(home / "chats.json"),
                "tokens": str(home / f"{name}.json"),
                "dtype": dtype,
            }
            for dtype in dtypes
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


def ragged_prompts() -> dict[str, Any]:
    """Prompts of several lengths, padded on the left to one batch."""
    drawn = np.random.PCG64(400).random_raw(sum(PROMPT_TOKENS)) >> np.uint64(40)
    tokens = np.split(drawn % SENTENCEPIECE_TOKENS, np.cumsum(PROMPT_TOKENS)[:-1])
    longest = max(PROMPT_TOKENS)
    input_ids = np.zeros((len(PROMPT_TOKENS), longest), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(tokens):
        input_ids[row, longest - len(ids) :] = ids
        attention_mask[row, longest - len(ids) :] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}
