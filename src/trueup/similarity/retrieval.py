"""MAP@R: how well each program finds the others that solve its problem. Pure.

The mean over all programs of the average precision within the R nearest others, R being how many
others solve the same problem, as CodeXGLUE measures POJ-104.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trueup.similarity.threshold import Floats, Ints

# Similarities held at a time: 12,000 programs against each other would take a gigabyte.
BLOCK_NUMBERS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Each query's average precision at R, in the order of the queries, and their R."""

    precisions: Floats
    r: Ints


def average_precisions(vectors: Floats, problems: Ints, *, seed: int) -> Retrieval:
    """Average precision at R of every row of unit `vectors`; each problem has at least two.

    Candidates of equal similarity come in an order that the seed decides, so that a model that
    tells nothing apart gains nothing from the order of the data.
    """
    order = np.random.default_rng(seed).permutation(len(problems))
    vectors, problems = vectors[order], problems[order]
    others = np.bincount(problems)[problems] - 1
    precisions = np.empty(len(problems))
    rows = max(1, BLOCK_NUMBERS // len(problems))
    for start in range(0, len(problems), rows):
        block = slice(start, min(start + rows, len(problems)))
        scores = vectors[block] @ vectors.T
        itself = np.arange(block.start, block.stop)
        scores[itself - block.start, itself] = -np.inf
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, : others.max()]
        ranks = np.arange(1, nearest.shape[1] + 1)
        hits = (problems[nearest] == problems[block, None]) & (ranks <= others[block, None])
        precisions[block] = (hits * np.cumsum(hits, axis=1) / ranks).sum(axis=1) / others[block]
    back = np.argsort(order)
    return Retrieval(precisions=precisions[back], r=others[back])
