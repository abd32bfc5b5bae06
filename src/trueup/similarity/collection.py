"""The texts of one root with their places and vectors, and the nearest of them to a vector.

Exact up to EXACT_TEXTS_MAX texts; above that usearch's graph finds candidates (it may miss some),
whose scores are cosine similarities too. The graph is saved beside the index and mended by the
numbers of the vectors in it: one database never gives a number twice.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.similarity.snippet import Place
from trueup.similarity.store import DAY_SECONDS, UNUSED_ROOT_DAYS, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trueup.similarity.embedder import Vectors
    from trueup.similarity.index import Progress

# Twenty thousand texts against one another take seconds, and nothing is missed.
EXACT_TEXTS_MAX = 20_000
REMOVED_SHARE_MAX = 0.2
EXPANSION = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Distinct texts in the order of their first places; `places[i]` are those of text `i`.

    `graph` is there where the texts are too many to compare each with each.
    """

    digests: tuple[str, ...]
    places: tuple[tuple[Place, ...], ...]
    matrix: Vectors
    graph: Any = None
    graph_positions: dict[int, int] | None = None

    @property
    def is_exact(self) -> bool:
        """Whether every text is compared."""
        return self.graph is None

    def nearest(self, queries: Vectors, count: int) -> list[tuple[NDArray[np.int64], Vectors]]:
        """For each query the positions of the nearest texts and their scores, best first."""
        import numpy as np

        count = min(count, len(self.digests))
        if count == 0:
            return [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
        if self.graph is not None and self.graph_positions is not None:
            return self._by_graph(queries, count)
        found = []
        for query in queries:
            scores = self.matrix @ query
            order = np.argsort(-scores, kind="stable")[:count]
            found.append((order, scores[order]))
        return found

    def _by_graph(self, queries: Vectors, count: int) -> list[tuple[NDArray[np.int64], Vectors]]:
        import numpy as np

        found = []
        for query in queries:
            keys = self.graph.search(query, count).keys
            positions = (self.graph_positions or {}).get
            order = np.array([positions(int(key), -1) for key in keys], np.int64)
            order = order[order >= 0]
            scores = self.matrix[order] @ query
            best = np.argsort(-scores, kind="stable")
            found.append((order[best], scores[best]))
        return found


def load_collection(
    store: Store, root: int, identity: str, directory: Path, progress: Progress
) -> Collection:
    """Everything below a root that has been indexed with this embedder."""
    grouped: dict[str, list[Place]] = defaultdict(list)
    for place, digest in store.places(root):
        grouped[digest].append(place)
    digests = tuple(grouped)
    model = store.model(identity)
    matrix, numbers = store.vectors(model, digests)
    graph, positions = None, None
    if len(digests) > EXACT_TEXTS_MAX:
        progress(f"arranging {len(digests):,} texts for search")
        graph = _graph(directory / f"{store.birth()}-{root}-{model}.usearch", matrix, numbers)
        positions = {number: index for index, number in enumerate(numbers)}
    return Collection(
        digests=digests,
        places=tuple(tuple(places) for places in grouped.values()),
        matrix=matrix,
        graph=graph,
        graph_positions=positions,
    )


def _graph(path: Path, matrix: Vectors, numbers: list[int]) -> Any:
    """The saved graph with what is new added and what is gone removed, or a new one."""
    import numpy as np

    graph = _saved(path, matrix.shape[1])
    wanted = np.array(numbers, np.uint64)
    held = np.asarray(graph.keys[:], np.uint64) if len(graph) else np.empty(0, np.uint64)
    gone = np.setdiff1d(held, wanted)
    if len(gone) > REMOVED_SHARE_MAX * len(wanted):  # removed ones stay in the way of the search
        graph, held, gone = _new(matrix.shape[1]), np.empty(0, np.uint64), gone[:0]
    is_new = ~np.isin(wanted, held)
    if not len(gone) and not is_new.any():
        return graph
    if len(gone):
        graph.remove(gone)
    if is_new.any():
        graph.add(wanted[is_new], matrix[is_new])
    # Saving it spares time only; the vectors are in the database.
    with contextlib.suppress(OSError, RuntimeError):
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        graph.save(str(beside))
        os.replace(beside, path)
        _remove_old(path)
    return graph


def _remove_old(path: Path) -> None:
    """Drop graphs of a database that is no more, and those that nothing was added to for long."""
    birth = path.name.partition("-")[0]
    oldest = time.time() - UNUSED_ROOT_DAYS * DAY_SECONDS
    for each in path.parent.glob("*.usearch*"):
        if not each.name.startswith(f"{birth}-") or each.stat().st_mtime < oldest:
            each.unlink(missing_ok=True)


def _new(dimensions: int) -> Any:
    from usearch.index import Index

    return Index(
        ndim=dimensions,
        metric="ip",
        dtype="f32",
        expansion_add=EXPANSION,
        expansion_search=EXPANSION,
    )


def _saved(path: Path, dimensions: int) -> Any:
    from usearch.index import Index

    if path.is_file():
        # A damaged file, one of another format: a new graph is the answer to each.
        with contextlib.suppress(Exception):
            graph = Index.restore(str(path))
            if graph is not None and graph.ndim == dimensions:
                graph.expansion_search = EXPANSION
                return graph
    return _new(dimensions)
