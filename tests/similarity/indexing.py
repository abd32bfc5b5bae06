"""Trees of files, and one run of the index over them with a fake embedder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.similarity.fake_embedder import FakeEmbedder
from trueup.similarity.index import Embedded, Scan, embed_root, indexing, scan, with_store
from trueup.similarity.snippet import Place
from trueup.similarity.store import Store


def function(name: str, number: int) -> str:
    """A function that is long enough to count and unlike every other number's."""
    return (
        f"def {name}(first, second):\n"
        f"    total = first * {number} + second\n"
        f"    for step in range({number}, {number + 7}):\n"
        f"        total += step % value_{number}(step)\n"
        f"    return total\n"
    )


def module(start: int, count: int) -> str:
    """A file of that many functions."""
    return "\n\n".join(function(f"compute_{start + i}", start + i) for i in range(count))


@dataclass(frozen=True)
class Run:
    scan: Scan
    embedded: Embedded
    places: list[tuple[Place, str]]
    told: list[str]
    damage: list[str]


def run(root: Path, embedder: FakeEmbedder) -> Run:
    """Bring the index of a root up to date."""
    told: list[str] = []
    damage: list[str] = []

    def work(store: Store) -> Run:
        with indexing(root, told.append):
            scanned = scan(store, root, told.append)
            embedded = asyncio.run(embed_root(store, scanned, embedder, told.append))
        places = store.places(scanned.root)
        return Run(scan=scanned, embedded=embedded, places=places, told=told, damage=damage)

    return with_store(work, damage.append)
