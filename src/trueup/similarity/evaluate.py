"""How well a model's similarity tells alike from different: from labelled pairs to a report.

Embeds every distinct snippet once; the figures are `judgement.py`'s. The report is plain data,
ready for JSON; nothing is printed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trueup.errors import BackendError
from trueup.similarity.embedder import Embedder
from trueup.similarity.interval import intervals
from trueup.similarity.judgement import judgement
from trueup.similarity.pair import Pair, PairSet
from trueup.similarity.retrieval import average_precisions
from trueup.similarity.split import Membership, Split
from trueup.similarity.threshold import Floats

# Few enough for a progress that moves on a CPU; the embedder's side makes the batches.
TEXTS_PER_CALL = 64
TOKEN = re.compile(r"\w+|[^\w\s]")

Progress = Callable[[int, int], None]


async def evaluate(
    pairs: PairSet, split: Split, embedder: Embedder, *, progress: Progress | None = None
) -> dict[str, Any]:
    """The report on the pairs; `progress` is told how many snippets of how many are embedded.

    `split` is what `split_pairs` makes of these pairs. The same pairs, split and vectors give
    the same report.

    Raises:
        BackendError: the model cannot be asked, or gives no usable vector.
    """
    numbers = _numbered(pairs, split)
    vectors = await _vectors(list(numbers), embedder, pairs.pairs, progress)
    left, right = vectors[split.sides[:, 0]], vectors[split.sides[:, 1]]
    scores = np.clip(np.einsum("ij,ij->i", left, right), -1.0, 1.0)
    report = judgement(pairs.pairs, split, scores, _token_overlaps(split))
    return {
        "schema_version": 1,
        "kind": "evaluation",
        "data": {
            "source": pairs.source,
            "format": pairs.format,
            "drawn": pairs.drawn,
            "notes": list(pairs.notes),
            "pairs": len(pairs.pairs),
            "alike": sum(pair.label for pair in pairs.pairs),
            "snippets": len(split.texts),
        },
        "embedder": embedder.identity,
        **report,
        "retrieval": (
            None if pairs.classes is None else _retrieval(pairs, numbers, vectors, split.seed)
        ),
    }


def _numbered(pairs: PairSet, split: Split) -> dict[str, int]:
    """Every distinct snippet with its number: those of the pairs, then the other programs."""
    texts = list(split.texts)
    if pairs.classes is not None:
        texts += [code.text for programs in pairs.classes.values() for code in programs]
    return {text: i for i, text in enumerate(dict.fromkeys(texts))}


async def _vectors(
    texts: list[str], embedder: Embedder, pairs: Sequence[Pair], progress: Progress | None
) -> Floats:
    # Texts of like length together: they make the fullest batches.
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    vectors: Floats | None = None
    for start in range(0, len(order), TEXTS_PER_CALL):
        chosen = order[start : start + TEXTS_PER_CALL]
        if progress is not None:
            progress(start, len(order))
        rows = np.asarray(await embedder.embed([texts[i] for i in chosen]), dtype=np.float64)
        if vectors is None and rows.ndim == 2:
            vectors = np.empty((len(texts), rows.shape[1]))
        if vectors is None or rows.shape != (len(chosen), vectors.shape[1]):
            raise BackendError(
                f"the model gives vectors of shape `{rows.shape}` for {len(chosen)} texts,"
                " expected a row of one length for each",
                retryable=False,
                where=embedder.identity,
            )
        vectors[chosen] = rows
    if progress is not None:
        progress(len(order), len(order))
    assert vectors is not None  # there is at least one pair
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    unusable = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(unusable):
        raise _no_vector({texts[i] for i in unusable}, len(texts), pairs)
    vectors /= lengths[:, None]
    return vectors


def _no_vector(unusable: set[str], count: int, pairs: Sequence[Pair]) -> BackendError:
    first = next((each for each in pairs if unusable & each.codes), None)
    return BackendError(
        f"the model gives no usable vector (NaN, infinite or zero) for {len(unusable)} of"
        f" {count} snippets",
        retryable=False,
        where=None if first is None else first.where,
        hint="check the model's files, or serve it with --dtype float32",
    )


def _token_overlaps(split: Split) -> Floats:
    """The Jaccard index of both sides' sets of words and signs: what no model is needed for."""
    tokens = [frozenset(TOKEN.findall(text)) for text in split.texts]
    overlaps = np.empty(len(split.sides))
    for i, (left, right) in enumerate(split.sides.tolist()):
        union = len(tokens[left] | tokens[right])
        overlaps[i] = len(tokens[left] & tokens[right]) / union if union else 1.0
    return overlaps


def _retrieval(
    pairs: PairSet, numbers: dict[str, int], vectors: Floats, seed: int
) -> dict[str, Any]:
    assert pairs.classes is not None
    problems = np.repeat(
        np.arange(len(pairs.classes)), [len(programs) for programs in pairs.classes.values()]
    )
    rows = [numbers[code.text] for programs in pairs.classes.values() for code in programs]
    found = average_precisions(vectors[rows], problems, seed=seed)
    members = Membership(groups=problems[:, None], count=len(pairs.classes), by="group")

    def measure(weights: Floats) -> dict[str, Floats]:
        return {"map_at_r": weights @ found.precisions / weights.sum(axis=1)}

    low_high = intervals(members, measure, seed=seed)["map_at_r"]
    return {
        "map_at_r": float(found.precisions.mean()),
        "low": low_high and low_high[0],
        "high": low_high and low_high[1],
        "programs": len(rows),
        "problems": len(pairs.classes),
        "least_r": int(found.r.min()),
        "most_r": int(found.r.max()),
    }
