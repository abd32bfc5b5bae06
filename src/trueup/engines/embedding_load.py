"""From an embedding plan to an engine: loads, converts to int8, measures the deviation once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trueup.adapt.deviation import RECORD_FILE, read_deviation, write_deviation
from trueup.adapt.load import LoadedEncoder, load_encoder_plan, torch_dtype
from trueup.adapt.plan import EmbeddingPlan, Plan
from trueup.engines.deviation import measure_deviation
from trueup.engines.embedding import EmbeddingEngine
from trueup.engines.embedding_input import InputReader
from trueup.engines.encoder import Encoder, TorchEncoder
from trueup.engines.encoder_int8 import int8_encoder
from trueup.errors import AdaptError


def load_embedding_engine(
    plan: Plan, progress: Callable[[float], None] | None = None
) -> EmbeddingEngine:
    """Load what `plan` describes; blocks until the engine can answer.

    Raises: as `trueup.adapt.load.load_plan`.
    """
    embedding = plan.embedding
    if embedding is None:
        raise AdaptError(f"the plan of `{plan.model.id}` is not for embeddings")
    loaded = load_encoder_plan(plan, progress, dtype=torch_dtype(plan))
    vocabulary_tokens = int(loaded.model.get_input_embeddings().weight.shape[0])
    encoder = _encoder(plan, embedding, loaded)
    _measure(plan, embedding, loaded, encoder, vocabulary_tokens)
    return EmbeddingEngine(encoder, loaded.tokenizer, plan, vocabulary_tokens=vocabulary_tokens)


def _encoder(plan: Plan, embedding: EmbeddingPlan, loaded: LoadedEncoder) -> Encoder:
    pad_id = loaded.tokenizer.pad_token_id
    if plan.dtype != "int8":
        return TorchEncoder(loaded.model, embedding.pooling, pad_id=pad_id)
    return int8_encoder(
        loaded.model,
        _folder(plan, embedding),
        embedding.pooling,
        pad_id=pad_id,
        threads=torch.get_num_threads(),
    )


def _measure(
    plan: Plan,
    embedding: EmbeddingPlan,
    loaded: LoadedEncoder,
    encoder: Encoder,
    vocabulary_tokens: int,
) -> None:
    """Compare with fp32 and keep the record, where that was not done before."""
    if embedding.artifact is None or embedding.deviation is not None:
        return
    folder = _folder(plan, embedding)
    if read_deviation(folder) is not None:
        return
    model: Any = loaded.model
    if plan.dtype != "int8":
        model = load_encoder_plan(plan, dtype="float32").model
    reader = InputReader(
        loaded.tokenizer,
        embedding,
        context_tokens=plan.context_tokens,
        vocabulary_tokens=vocabulary_tokens,
    )
    reference = TorchEncoder(model, embedding.pooling, pad_id=loaded.tokenizer.pad_token_id)
    deviation = measure_deviation(
        reference, encoder, reader, dtype=plan.dtype, where=plan.model.directory
    )
    try:
        write_deviation(folder, deviation)
    except OSError as error:  # measured again at the next load
        print(f"{folder / RECORD_FILE}: {error.strerror}", file=sys.stderr)  # noqa: T201 (the log)


def _folder(plan: Plan, embedding: EmbeddingPlan) -> Path:
    folder = Path(embedding.artifact or "")
    if embedding.artifact is None or not folder.is_dir():
        raise AdaptError(
            f"the folder for what {plan.dtype} needs is not there",
            where=embedding.artifact or plan.model.directory,
            hint="see that TRUEUP_HOME can be written",
        )
    return folder
