"""Indexes a directory and kills itself, as hard as it goes, when a number of batches are kept."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.similarity.fake_embedder import FakeEmbedder
from tests.similarity.indexing import run
from trueup.similarity import index
from trueup.similarity.store import Store


def main() -> None:
    root, batches = Path(sys.argv[1]), int(sys.argv[2])
    index.BATCHES_IN_FLIGHT = 1
    kept = 0
    save = Store.save_vectors

    def save_vectors(
        self: Store, model: int, digests: Sequence[str], vectors: np.ndarray, now: int
    ) -> None:
        nonlocal kept
        save(self, model, digests, vectors, now)
        kept += 1
        if kept == batches:
            os.kill(os.getpid(), signal.SIGKILL)

    Store.save_vectors = save_vectors
    run(root, FakeEmbedder())


if __name__ == "__main__":
    main()
