"""Embedding engines on small random checkpoints, run as the worker runs them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.checkpoints.encoders import CORPUS
from trueup.adapt.plan import Plan
from trueup.adapt.planning import Wishes, plan_model
from trueup.engines.embedding import EmbeddingEngine
from trueup.engines.embedding_load import load_embedding_engine
from trueup.protocol.embedding import EmbeddingRequest, Input

# Of lengths from one token to some hundreds.
TEXTS = (
    "x",
    *CORPUS,
    "读取配置文件，检查每一个键。",
    "a\n\n\tb " * 9,
    "def mean(rows):\n    return sum(rows) / len(rows)\n" * 4,
)
Wide = NDArray[np.float64]


def load_engine(directory: Path, **wishes: Any) -> EmbeddingEngine:
    return load_embedding_engine(plan_of(directory, **wishes))


def plan_of(directory: Path, **wishes: Any) -> Plan:
    """A plan for the CPU, with the folder for artifacts that a worker makes before it loads."""
    plan = plan_model(str(directory), Wishes(**{"device": "cpu", **wishes}))
    assert plan.route == "native", plan.why
    assert plan.embedding is not None
    if plan.embedding.artifact is not None:
        Path(plan.embedding.artifact).mkdir(parents=True, exist_ok=True)
    return plan


def embed(
    engine: EmbeddingEngine, inputs: Sequence[Input], *, is_alone: bool = False, **fields: Any
) -> NDArray[np.float32]:
    """The vectors of a request, all rows in one padded batch or each alone."""
    request = EmbeddingRequest(model="m", inputs=tuple(inputs), **fields)
    rows = engine.prepare(request)
    batches = [[row] for row in rows.token_ids] if is_alone else [list(rows.token_ids)]
    vectors = np.concatenate([engine.encode(batch, threads=1) for batch in batches])
    return engine.finish(rows, vectors, request)


@cache
def plain(directory: Path) -> Any:
    """The library's own model of a checkpoint in float64, loaded without anything of ours."""
    import torch
    import transformers

    model = transformers.AutoModel.from_pretrained(directory, dtype=torch.float64)
    return model.eval().requires_grad_(False)


def token_ids_of(directory: Path, text: str, *, is_bare: bool = False) -> list[int]:
    """The tokens of a text by the tokenizers library alone."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    ids: list[int] = tokenizer.encode(text, add_special_tokens=not is_bare).ids
    return ids


def reference(directory: Path, token_ids: Sequence[int], pooling: str) -> Wide:
    """One pooled vector in float64 from a plain forward, not normalised."""
    import torch

    hidden = plain(directory)(
        input_ids=torch.tensor([list(token_ids)]),
        attention_mask=torch.ones(1, len(token_ids), dtype=torch.long),
    ).last_hidden_state[0]
    pooled = {"mean": hidden.mean(dim=0), "cls": hidden[0], "last": hidden[-1]}[pooling]
    vector: Wide = pooled.numpy()
    return vector


def unit(vector: Wide) -> Wide:
    scaled: Wide = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
    return scaled
