"""What is measured of a model that gives vectors: time, stability, and telling code apart."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import struct
import time
from collections.abc import Sequence
from operator import mul
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.errors import BackendError
from trueup.suite.case import Figure, Place, Problem, Verdict
from trueup.suite.criteria import Criteria
from trueup.suite.service import Service

if TYPE_CHECKING:
    from trueup.similarity.embedder import Vectors

FP32_BYTES = 4
REPEATS = 3
# The same text alone, again and again; and beside others, where the sums are in another order.
LEAST_REPEATED, LEAST_BATCHED = 0.99999, 0.999
EMBEDDING_PATIENCE_SECONDS = 120.0
SIMILARITY_PATIENCE_SECONDS = 3600.0
SEED = 0
PAIRS = Path(__file__).with_name("pairs.jsonl")
TEXT = """def merge(left, right):
    \"\"\"Merge two sorted lists into one.\"\"\"
    merged = []
    while left and right:
        merged.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
    return merged + left + right
"""
OTHERS = (
    "x = 1",
    "SELECT name, total FROM orders WHERE total > 100 ORDER BY total DESC;",
    "class Stack:\n" + "".join(f"    def method_{i}(self): return {i}\n" for i in range(12)),
)


async def embeds(service: Service, name: str, criteria: Criteria) -> Verdict:
    """Every one of a few requests for a piece of code is answered within the time."""
    limit = criteria.embedding_seconds
    slowest, dimensions = 0.0, 0
    for _ in range(REPEATS):
        started = time.monotonic()
        try:
            async with asyncio.timeout(EMBEDDING_PATIENCE_SECONDS):
                (vector,) = await service.embed(name, [TEXT])
        except TimeoutError:
            waited = EMBEDDING_PATIENCE_SECONDS
            return Verdict(
                problem=Problem(cause=f"no embedding within {waited:.0f} s, expected {limit:g} s"),
                figures=(Figure(name="slowest of 3", value=waited, unit="s", limit=limit),),
            )
        slowest = max(slowest, time.monotonic() - started)
        dimensions = len(vector) // FP32_BYTES
    figure = Figure(name=f"slowest of {REPEATS}", value=slowest, unit="s", limit=limit)
    problem = None
    if not figure.is_met:
        cause = f"an embedding took {slowest:.2f} s, expected {limit:g} s or less"
        problem = Problem(cause=cause)
    return Verdict(problem=problem, figures=(figure,), notes=(f"{dimensions:,} dimensions",))


async def is_stable(service: Service, name: str) -> Verdict:
    """The same text gives the same vector: again and again, and beside other texts."""
    alone = [(await service.embed(name, [TEXT]))[0] for _ in range(REPEATS)]
    batched = (await service.embed(name, [*OTHERS, TEXT]))[-1]
    numbers = [_numbers(each) for each in (*alone, batched)]
    if not any(numbers[0]):
        return Verdict(problem=Problem(cause="the vector is all zeros, expected one with a length"))
    repeated = min(_cosine(numbers[0], each) for each in numbers[1:REPEATS])
    beside = _cosine(numbers[0], numbers[REPEATS])
    figures = (
        _cosine_figure("repeated, least cosine", repeated, LEAST_REPEATED),
        _cosine_figure("beside others, cosine", beside, LEAST_BATCHED),
    )
    is_same = len(set(alone)) == 1
    notes = (f"repeated vectors are {'' if is_same else 'not '}the same bit for bit",)
    missed = [each for each in figures if not each.is_met]
    problem = None
    if missed:
        told = "; ".join(
            f"{each.name} {each.value:.6f}, expected {each.limit:g}" for each in missed
        )
        problem = Problem(
            cause=f"the same text gives different vectors: {told} or more",
            hint="run the model in float32: `dtype: float32`",
        )
    return Verdict(problem=problem, figures=figures, notes=notes)


def _cosine_figure(name: str, value: float, least: float) -> Figure:
    return Figure(name=name, value=value, unit="cosine", limit=least, is_floor=True)


async def tells_apart(
    service: Service, name: str, criteria: Criteria, source: str | None = None
) -> Verdict:
    """The share of labelled pairs of code that the model's similarity tells rightly."""
    if lacking := [each for each in ("numpy", "sklearn") if not importlib.util.find_spec(each)]:
        return Verdict(
            unable=Problem(
                cause=f"`{lacking[0]}` is not installed, and this measurement needs it",
                hint="pip install 'trueup[similar]'",
            )
        )
    from trueup.similarity.clone_formats import load_pairs
    from trueup.similarity.evaluate import evaluate
    from trueup.similarity.split import split_pairs

    path = criteria.pairs or PAIRS
    pairs = load_pairs(path, seed=SEED)
    split = split_pairs(pairs.pairs, folds=None, seed=SEED)
    try:
        async with asyncio.timeout(SIMILARITY_PATIENCE_SECONDS):
            report = await evaluate(pairs, split, _Embedding(service, name))
    except TimeoutError:
        waited = SIMILARITY_PATIENCE_SECONDS
        return Verdict(problem=Problem(cause=f"the pairs were not embedded within {waited:.0f} s"))
    measure, least = report["measures"]["accuracy"], criteria.similarity_accuracy
    accuracy = float(measure["value"])
    figure = Figure(name="accuracy", value=accuracy, unit="share", limit=least, is_floor=True)
    tokens = report["baselines"]["shared_tokens"]["accuracy"]["value"]
    notes = (
        f"{len(pairs.pairs)} pairs; counting shared words alone tells {tokens:.0%} of them",
        f"threshold {report['threshold']['value']:.4f}",
    )
    problem = None
    if not figure.is_met:
        problem = Problem(
            cause=f"{accuracy:.1%} of {len(pairs.pairs)} pairs are told rightly as alike or not, "
            f"expected {least:.0%} or more",
            where=None if criteria.pairs is None else Place(text=str(path), path=str(path)),
            hint=f"trueup similar --evaluate {path} --model {source or name}",
        )
    return Verdict(problem=problem, figures=(figure,), notes=notes)


class _Embedding:
    """The service as similarity asks for vectors."""

    def __init__(self, service: Service, name: str) -> None:
        self.identity = name
        self._service = service
        self._name = name

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 for each text."""
        import numpy as np

        rows = await self._service.embed(self._name, texts)
        if len({len(row) for row in rows}) > 1:
            raise BackendError("the embeddings differ in their dimensions", retryable=False)
        vectors = np.stack([np.frombuffer(row, dtype="<f4") for row in rows]).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
        return unit


def _numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // FP32_BYTES}f", vector)


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    if len(left) != len(right):
        return 0.0
    lengths = math.hypot(*left) * math.hypot(*right)
    # Rounding must not put equal vectors beyond 1.
    return min(1.0, sum(map(mul, left, right)) / lengths) if lengths else 0.0
