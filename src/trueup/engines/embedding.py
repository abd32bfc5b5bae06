"""The embedding engine: rows of a request in, its finished vectors out.

It reads inputs, runs batches of rows and joins windows; which rows go together, and in which
threads, is its caller's decision (`engines/batching.py`, `worker/embedding_turns.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from trueup.adapt.plan import EmbeddingPlan, Plan
from trueup.engines.embedding_input import InputReader, Rows
from trueup.engines.encoder import Encoder, TokenIds, Vectors
from trueup.errors import BackendError, RequestError
from trueup.protocol.embedding import EmbeddingRequest


class EmbeddingEngine:
    """Answers requests of embeddings with one loaded model."""

    def __init__(
        self, encoder: Encoder, tokenizer: Any, plan: Plan, *, vocabulary_tokens: int
    ) -> None:
        if plan.embedding is None:
            raise ValueError(f"the plan of `{plan.model.id}` is not for embeddings")
        self._encoder = encoder
        self._plan: EmbeddingPlan = plan.embedding
        self._reader, self._reader_apart = (
            InputReader(
                each,
                plan.embedding,
                context_tokens=plan.context_tokens,
                vocabulary_tokens=vocabulary_tokens,
            )
            # A fast tokenizer serves one thread at a time.
            for each in (tokenizer, copy.deepcopy(tokenizer))
        )

    @property
    def budget_tokens(self) -> int:
        """How many tokens a batch should have."""
        return self._encoder.budget_tokens

    @property
    def lanes(self) -> int:
        """How many batches are computed best at the same time, with one thread each."""
        return max(1, self._encoder.lanes)

    def prepare(self, request: EmbeddingRequest) -> Rows:
        """Tokenize and check a request.

        Raises:
            RequestError: see `InputReader.read`; or more dimensions than the model has.
        """
        return self._prepare(request, self._reader)

    def prepare_apart(self, request: EmbeddingRequest) -> Rows:
        """The same, for one other thread at the same time."""
        return self._prepare(request, self._reader_apart)

    def _prepare(self, request: EmbeddingRequest, reader: InputReader) -> Rows:
        wanted = request.dimensions
        if wanted is not None and wanted > self._plan.dimensions:
            raise RequestError(
                f"`dimensions` is {wanted}, expected at most the model's {self._plan.dimensions}",
                param="dimensions",
            )
        return reader.read(request)

    def encode(self, batch: Sequence[TokenIds], *, threads: int) -> Vectors:
        """The vectors of a batch, unfinished; `lanes` calls may run at the same time.

        Each thread that calls it says how many threads of the processor it is to use.
        """
        return self._encoder.encode(batch, threads=threads)

    def finish(self, rows: Rows, vectors: Vectors, request: EmbeddingRequest) -> Vectors:
        """One vector for each input: windows joined, cut to `dimensions`, normalised.

        Raises:
            BackendError: a vector has something that is no number.
        """
        count = len(rows.starts) - 1
        if len(vectors) != count:
            weights = np.asarray(rows.weights, dtype=np.float32)[:, None]
            starts = np.asarray(rows.starts[:-1])
            total = np.add.reduceat(weights, starts, axis=0)
            joined = np.add.reduceat(vectors * weights, starts, axis=0) / total
            vectors = joined.astype(np.float32)
        if request.dimensions is not None:
            vectors = vectors[:, : request.dimensions]
        self._check(vectors)
        if self._plan.normalize:
            vectors = unit_length(vectors)
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def _check(self, vectors: Vectors) -> None:
        is_sound = np.isfinite(vectors).all(axis=1)
        if is_sound.all():
            return
        broken = np.flatnonzero(~is_sound)
        raise BackendError(
            f"the model's vector for `input[{broken[0]}]` has something that is no number "
            f"({len(broken)} of {len(vectors)} inputs)",
            retryable=False,
            code="not_a_number",
            status=500,
            hint="the weights are damaged, or overflow in this dtype: try `dtype: float32`",
        )


def unit_length(vectors: Vectors) -> Vectors:
    """The rows with length 1; a row of zeros stays."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: Vectors = (wide / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled
