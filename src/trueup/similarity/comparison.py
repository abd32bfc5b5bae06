"""The three questions of similarity, from files to answers: two files, one in many, duplicates.

Each reads and embeds what is needed and keeps it in the index; prints nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.similarity.collection import Collection, load_collection
from trueup.similarity.duplicates import Duplicates, find_duplicates
from trueup.similarity.index import (
    Embedded,
    Progress,
    Scan,
    embed_root,
    embed_texts,
    index_directory,
    indexing,
    scan,
)
from trueup.similarity.query import Query
from trueup.similarity.search import Match, Pair, best_pairs, nearest_matches, score_of
from trueup.similarity.snippet import Place, Snippet
from trueup.similarity.store import Store

if TYPE_CHECKING:
    from trueup.similarity.embedder import Embedder, Vectors

OpenEmbedder = Callable[[], AbstractAsyncContextManager["Embedder"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesAnswer:
    """How alike two files are as wholes, and their best pairs; `left_out_count` are not listed."""

    identity: str
    embedded: Embedded
    score: float
    pairs: tuple[Pair, ...]
    left_out_count: int
    texts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryAnswer:
    """What is known of a directory, and the matches for each snippet of a query."""

    identity: str
    embedded: Embedded
    scanned: Scan
    snippet_count: int
    text_count: int
    is_exact: bool
    matches: tuple[tuple[Snippet, tuple[Match, ...]], ...] = ()
    texts: dict[str, str] = field(default_factory=dict)


def compare_files(
    store: Store,
    first: Query,
    second: Query,
    open_embedder: OpenEmbedder,
    progress: Progress,
    *,
    top: int,
    min_score: float | None,
) -> FilesAnswer:
    """Both files as wholes (long ones by the embedder's windows), and snippet against snippet."""
    snippets = [first.whole, second.whole, *first.snippets, *second.snippets]
    identity, embedded = asyncio.run(_embed(store, open_embedder, None, snippets, progress))
    vectors = _vectors(store, identity, snippets)
    of = [(each, vectors[each.digest]) for each in snippets]
    middle = 2 + len(first.snippets)
    is_same = first.whole.digest == second.whole.digest
    pairs = best_pairs(of[2:middle], of[middle:], min_score=min_score)
    listed = tuple(pairs[:top])
    return FilesAnswer(
        identity=identity,
        embedded=embedded,
        score=1.0 if is_same else score_of(float(of[0][1] @ of[1][1])),
        pairs=listed,
        left_out_count=len(pairs) - len(listed),
        texts={each.digest: each.text for each in snippets[2:]},
    )


def search_directory(
    store: Store,
    query: Query,
    root: Path,
    open_embedder: OpenEmbedder,
    progress: Progress,
    *,
    top: int,
    min_score: float | None,
) -> DirectoryAnswer:
    """The nearest places below `root` to each snippet of the query, the query's own left out."""
    own_path = os.path.relpath(query.real_path, root) if query.real_path else None

    def is_query_itself(asked: Place, place: Place) -> bool:
        return own_path is not None and replace(asked, path=own_path).overlaps(place)

    with _indexed(store, root, query.snippets, open_embedder, progress) as (answer, collection):
        vectors = _vectors(store, answer.identity, query.snippets)
        found = nearest_matches(
            collection,
            [(each, vectors[each.digest]) for each in query.snippets],
            top=top,
            min_score=min_score,
            is_query_itself=is_query_itself,
        )
        digests = {match.digest for these in found for match in these}
        texts = store.texts(sorted(digests)) | {each.digest: each.text for each in query.snippets}
    matches = tuple(
        (snippet, tuple(these)) for snippet, these in zip(query.snippets, found, strict=True)
    )
    return replace(answer, matches=matches, texts=texts)


def duplicates_below(
    store: Store,
    root: Path,
    open_embedder: OpenEmbedder,
    progress: Progress,
    *,
    top: int,
    min_score: float,
) -> tuple[DirectoryAnswer, Duplicates]:
    """Code below `root` that is there twice, or nearly so."""
    with _indexed(store, root, (), open_embedder, progress) as (answer, collection):
        progress(f"comparing {len(collection.digests):,} texts")
        found = find_duplicates(collection, min_score=min_score, top=top)
        digests = {each.digest for each in found.groups}
        for pair in found.pairs:
            digests |= {pair.first_digest, pair.second_digest}
        texts = store.texts(sorted(digests))
    return replace(answer, texts=texts), found


@contextlib.contextmanager
def _indexed(
    store: Store,
    root: Path,
    snippets: Iterable[Snippet],
    open_embedder: OpenEmbedder,
    progress: Progress,
) -> Iterator[tuple[DirectoryAnswer, Collection]]:
    """The root as it is now, which no other process changes for the length of the block."""
    with indexing(root, progress):
        scanned = scan(store, root, progress)
        identity, embedded = asyncio.run(
            _embed(store, open_embedder, scanned, tuple(snippets), progress)
        )
        collection = load_collection(store, scanned.root, identity, index_directory(), progress)
        answer = DirectoryAnswer(
            identity=identity,
            embedded=embedded,
            scanned=scanned,
            snippet_count=sum(map(len, collection.places)),
            text_count=len(collection.digests),
            is_exact=collection.is_exact,
        )
        yield answer, collection


async def _embed(
    store: Store,
    open_embedder: OpenEmbedder,
    scanned: Scan | None,
    snippets: Iterable[Snippet],
    progress: Progress,
) -> tuple[str, Embedded]:
    """Embed a root's texts and those of a query; returns the embedder's identity too."""
    texts = {each.digest: each.text for each in snippets}
    async with open_embedder() as embedder:
        embedded = Embedded(new=0, reused=0)
        if scanned is not None:
            embedded += await embed_root(store, scanned, embedder, progress)
        if texts:
            wanted = list(texts)
            embedded += await embed_texts(store, embedder, wanted, lambda _: texts, progress)
        return embedder.identity, embedded


def _vectors(store: Store, identity: str, snippets: Iterable[Snippet]) -> dict[str, Vectors]:
    digests = list(dict.fromkeys(each.digest for each in snippets))
    matrix, _ = store.vectors(store.model(identity), digests)
    return dict(zip(digests, matrix, strict=True))
