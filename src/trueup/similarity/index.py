"""Keeps the index of a directory up to date: reads what changed, embeds what is new.

Files are compared by their content and texts by their digest, so a renamed file, a moved function
or another branch costs no embedding. Every batch is committed: a killed run goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from trueup.config.home import trueup_home
from trueup.errors import BackendError
from trueup.similarity.cut import Cut, cut
from trueup.similarity.database import (
    DatabaseDamaged,
    inode_of,
    only_indexer,
    open_database,
    set_aside,
)
from trueup.similarity.files import Walk, read_source
from trueup.similarity.language import languages_of
from trueup.similarity.snippet import Note
from trueup.similarity.store import Store

if TYPE_CHECKING:
    from trueup.similarity.embedder import Embedder, Vectors

# A batch is kept when it is whole: small ones lose little where the work is interrupted, and two
# under way keep a server busy, which answers all of them at about the same time.
BATCH_TEXTS = 32
BATCH_CHARACTERS = 200_000
BATCHES_IN_FLIGHT = 2
FILES_PER_TRANSACTION = 100

Progress = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A root as it was read just now; `changed_count` files were cut anew."""

    root: int
    file_count: int
    changed_count: int
    tiny_count: int
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """How many texts were embedded, and how many were known already."""

    new: int
    reused: int

    def __add__(self, other: Embedded) -> Embedded:
        return Embedded(new=self.new + other.new, reused=self.reused + other.reused)


def index_directory() -> Path:
    """Where the index lies.

    Raises: ConfigError when the home of a user cannot be found.
    """
    return trueup_home() / "similarity"


def with_store(work: Callable[[Store], Result], on_damage: Callable[[str], None]) -> Result:
    """Do `work` on the index; on a new one once more where the file is damaged, after telling.

    Raises: ConfigError when the index cannot be opened or written.
    """
    directory = index_directory()
    seen = 0
    try:
        seen = inode_of(directory)
        with open_database(directory) as connection:
            seen = inode_of(directory)
            return work(Store(connection))
    except DatabaseDamaged as damage:
        on_damage(str(damage))
        set_aside(directory, seen)
    with open_database(directory) as connection:
        return work(Store(connection))


@contextlib.contextmanager
def indexing(root: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time read and embed a root: nothing is embedded twice."""

    def wait() -> None:
        progress("waiting for another trueup that reads the same directory")

    with only_indexer(index_directory(), root, wait):
        yield


def scan(store: Store, root: Path, progress: Progress) -> Scan:
    """Bring what is known of the files below `root` up to date; embeds nothing."""
    number = store.root(str(root), int(time.time()))
    known = store.contents(number)
    walk = Walk(root=root)
    seen: set[str] = set()
    changed: list[tuple[str, bytes, Cut]] = []
    changed_count = 0
    for path in walk.files():
        content, found = _read(root, path, known.get(path), walk.notes)
        if content is None:
            continue
        seen.add(path)
        if found is not None:
            changed.append((path, content, found))
            changed_count += 1
        if len(changed) >= FILES_PER_TRANSACTION:
            store.save_files(number, changed)
            changed.clear()
        progress(f"reading: {len(seen):,} files, {changed_count:,} new or changed")
    store.save_files(number, changed)
    store.forget_files(number, [path for path in known if path not in seen])
    notes, tiny_count = store.notes(number)
    return Scan(
        root=number,
        file_count=len(seen),
        changed_count=changed_count,
        tiny_count=tiny_count,
        notes=(*walk.notes, *notes),
    )


def _read(
    root: Path, path: str, known: bytes | None, notes: list[Note]
) -> tuple[bytes | None, Cut | None]:
    """The digest of a file's content and, where that is not the known one, what it is cut into."""
    source = read_source(root / path)
    if source.cause is not None:
        notes.append(Note(path=path, cause=source.cause))
    if source.text is None:
        return None, None
    content = hashlib.sha256(source.text.encode()).digest()
    if content == known:
        return content, None
    languages = languages_of(path, source.text)
    if not languages:
        notes.append(Note(path=path, cause="is a script in no known language: left out"))
        return None, None
    return content, cut(source.text, path, languages)


async def embed_root(
    store: Store, scanned: Scan, embedder: Embedder, progress: Progress
) -> Embedded:
    """Embed the root's texts that have no vector of this embedder yet.

    Raises: BackendError or RequestError of the embedder; what was embedded before is kept.
    """
    digests = list(dict.fromkeys(digest for _, digest in store.places(scanned.root)))
    counts = await embed_texts(store, embedder, digests, store.texts, progress)
    store.prune(int(time.time()))
    return counts


async def embed_texts(
    store: Store,
    embedder: Embedder,
    digests: Sequence[str],
    texts_of: Callable[[Sequence[str]], dict[str, str]],
    progress: Progress,
) -> Embedded:
    """Give every text a vector; `texts_of` is asked only for the texts that have none yet."""
    model = store.model(embedder.identity)
    now = int(time.time())
    known = store.known(model, digests)
    store.touch(model, [each for each in digests if each in known], now)
    missing = [each for each in digests if each not in known]
    done = 0

    async def embed(batch: list[tuple[str, str]]) -> None:
        nonlocal done
        vectors = await embedder.embed([text for _, text in batch])
        checked = _checked(vectors, len(batch), store.dimensions(model))
        store.save_vectors(model, [digest for digest, _ in batch], checked, now)
        done += len(batch)
        progress(f"embedding: {done:,} of {len(missing):,} ({len(known):,} known already)")

    if missing:
        progress(f"embedding: 0 of {len(missing):,} ({len(known):,} known already)")
        await _in_flight(embed, _batches(missing, texts_of))
    return Embedded(new=len(missing), reused=len(known))


async def _in_flight(
    embed: Callable[[list[tuple[str, str]]], Coroutine[None, None, None]],
    batches: Iterable[list[tuple[str, str]]],
) -> None:
    """Run a few at a time; the first failure ends all of them."""
    running: set[asyncio.Task[None]] = set()
    try:
        for batch in batches:
            if len(running) >= BATCHES_IN_FLIGHT:
                await _one_done(running)
            running.add(asyncio.create_task(embed(batch)))
        while running:
            await _one_done(running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _one_done(running: set[asyncio.Task[None]]) -> None:
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    running -= done
    failures = [failure for task in done if (failure := task.exception()) is not None]
    if failures:
        raise failures[0]


def _batches(
    digests: Sequence[str], texts_of: Callable[[Sequence[str]], dict[str, str]]
) -> Iterator[list[tuple[str, str]]]:
    """Batches of a bounded number of texts and characters, in order."""
    batch: list[tuple[str, str]] = []
    characters = 0
    for start in range(0, len(digests), BATCH_TEXTS):
        some = digests[start : start + BATCH_TEXTS]
        texts = texts_of(some)
        for digest in some:
            text = texts[digest]
            if batch and (len(batch) == BATCH_TEXTS or characters + len(text) > BATCH_CHARACTERS):
                yield batch
                batch, characters = [], 0
            batch.append((digest, text))
            characters += len(text)
    if batch:
        yield batch


def _checked(vectors: Vectors, count: int, dimensions: int) -> Vectors:
    """Rows of length 1 as float32, or the error of a model that gives something else."""
    import numpy as np

    matrix = np.asarray(vectors, np.float32)
    if matrix.ndim != 2 or matrix.shape[0] != count or dimensions not in (0, matrix.shape[1]):
        expected = f"{count} rows" + (f" of {dimensions}" if dimensions else "")
        raise BackendError(
            f"the model gives vectors of shape {list(matrix.shape)}, expected {expected}",
            retryable=False,
        )
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    is_bad = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0)
    if bad := int(is_bad.sum()):
        raise BackendError(
            f"the model gives no usable vector (NaN, infinite or zero) for {bad} of {count} texts",
            retryable=False,
        )
    return np.ascontiguousarray(matrix / lengths)


def root_path(directory: Path) -> Path:
    """The one path by which a directory is known in the index."""
    return Path(os.path.realpath(directory))
