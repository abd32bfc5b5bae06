"""What the index knows: files and snippets of each root, texts, and a vector for each text.

Reads and writes rows; decides nothing. A vector belongs to one embedder's identity and one text's
digest, whichever root the text stands in.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from trueup.similarity.cut import CUT_VERSION, Cut
from trueup.similarity.database import DatabaseDamaged, transaction
from trueup.similarity.snippet import Note, Place, digest_of

if TYPE_CHECKING:
    from trueup.similarity.embedder import Vectors

DAY_SECONDS = 86_400
# Another branch's functions come back; what nobody asked for in a month does not.
UNUSED_VECTOR_DAYS = 30
UNUSED_VECTORS_MAX = 100_000
UNUSED_ROOT_DAYS = 90
CHECKSUM_BYTES = 4
SELECT_MAX = 500  # SQLite's older builds take 999 parameters


class Store:
    """The rows of one open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def birth(self) -> str:
        """A mark that only this database has: numbers mean nothing in another one."""
        (mark,) = self._connection.execute("SELECT mark FROM birth").fetchone()
        return str(mark)

    def root(self, path: str, now: int) -> int:
        """The number of a root, known from now on as used."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO root (path, used_at) VALUES (?, ?) "
                "ON CONFLICT (path) DO UPDATE SET used_at = excluded.used_at",
                (os.fsencode(path), now),
            )
            (number,) = self._connection.execute(
                "SELECT id FROM root WHERE path = ?", (os.fsencode(path),)
            ).fetchone()
        return int(number)

    def model(self, identity: str) -> int:
        """The number of an embedder's identity."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR IGNORE INTO model (identity, dimensions) VALUES (?, 0)", (identity,)
            )
            (number,) = self._connection.execute(
                "SELECT id FROM model WHERE identity = ?", (identity,)
            ).fetchone()
        return int(number)

    def contents(self, root: int) -> dict[str, bytes]:
        """The content's digest of each file of a root; empty where it was cut by older rules."""
        rows = self._connection.execute(
            "SELECT path, CASE cut_version WHEN ? THEN content ELSE x'' END FROM file "
            "WHERE root_id = ?",
            (CUT_VERSION, root),
        )
        return {os.fsdecode(path): content for path, content in rows}

    def save_files(self, root: int, files: Sequence[tuple[str, bytes, Cut]]) -> None:
        """Put files with their snippets and texts in place of what was known of them."""
        with transaction(self._connection):
            for path, content, cut in files:
                self._forget(root, path)
                self._save_file(root, path, content, cut)

    def _save_file(self, root: int, path: str, content: bytes, cut: Cut) -> None:
        notes = json.dumps([[note.line, note.cause] for note in cut.notes])
        file = self._connection.execute(
            "INSERT INTO file (root_id, path, content, cut_version, tiny_count, notes) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (root, os.fsencode(path), content, CUT_VERSION, cut.tiny_count, notes),
        ).lastrowid
        self._connection.executemany(
            "INSERT OR IGNORE INTO text (digest, body) VALUES (?, ?)",
            (
                (bytes.fromhex(each.digest), zlib.compress(each.text.encode()))
                for each in cut.snippets
            ),
        )
        self._connection.executemany(
            "INSERT INTO snippet VALUES (:file, :position, :language, :kind, :name, :first_line,"
            " :last_line, :first_byte, :end_byte, :digest)",
            (
                asdict(each.place)
                | {"file": file, "position": position, "digest": bytes.fromhex(each.digest)}
                for position, each in enumerate(cut.snippets)
            ),
        )

    def forget_files(self, root: int, paths: Iterable[str]) -> None:
        """Files that are gone leave with their snippets."""
        with transaction(self._connection):
            for path in paths:
                self._forget(root, path)

    def _forget(self, root: int, path: str) -> None:
        self._connection.execute(
            "DELETE FROM file WHERE root_id = ? AND path = ?", (root, os.fsencode(path))
        )

    def notes(self, root: int) -> tuple[list[Note], int]:
        """What cutting had to say of the root's files, and how many tiny snippets it left out."""
        rows = self._connection.execute(
            "SELECT path, notes, tiny_count FROM file WHERE root_id = ? ORDER BY path", (root,)
        ).fetchall()
        try:
            notes = [
                Note(path=os.fsdecode(path), line=line, cause=cause)
                for path, said, _ in rows
                for line, cause in json.loads(said)
            ]
        except ValueError as error:
            raise DatabaseDamaged("a file's notes cannot be read") from error
        return notes, sum(tiny for _, _, tiny in rows)

    def places(self, root: int) -> list[tuple[Place, str]]:
        """Every snippet of a root with its text's digest, in the order of paths and lines."""
        rows = self._connection.execute(
            "SELECT path, language, kind, name, first_line, last_line, first_byte, end_byte,"
            " digest FROM snippet JOIN file ON file.id = file_id WHERE root_id = ?"
            " ORDER BY path, position",
            (root,),
        )
        return [
            (
                Place(
                    path=os.fsdecode(path),
                    language=language,
                    kind=kind,
                    name=name,
                    first_line=first,
                    last_line=last,
                    first_byte=first_byte,
                    end_byte=end_byte,
                ),
                digest.hex(),
            )
            for path, language, kind, name, first, last, first_byte, end_byte, digest in rows
        ]

    def texts(self, digests: Sequence[str]) -> dict[str, str]:
        """The texts of snippets, by their digests."""
        found = {}
        for digest, body in self._select("SELECT digest, body FROM text WHERE digest IN", digests):
            try:
                text = zlib.decompress(body).decode()
            except (zlib.error, ValueError) as error:
                raise DatabaseDamaged("a text cannot be read") from error
            if digest_of(text) != digest.hex():
                raise DatabaseDamaged("a text is not the one that was stored")
            found[digest.hex()] = text
        return found

    def known(self, model: int, digests: Sequence[str]) -> set[str]:
        """Which of the texts have a vector of this model."""
        head = f"SELECT digest FROM vector WHERE model_id = {model:d} AND digest IN"
        return {digest.hex() for (digest,) in self._select(head, digests)}

    def save_vectors(self, model: int, digests: Sequence[str], vectors: Vectors, now: int) -> None:
        """Keep one vector for each text, in one transaction."""
        rows = (
            (model, bytes.fromhex(digest), now, _packed(vector.tobytes()))
            for digest, vector in zip(digests, vectors, strict=True)
        )
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE model SET dimensions = ? WHERE id = ?", (vectors.shape[1], model)
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO vector (model_id, digest, used_at, data) "
                "VALUES (?, ?, ?, ?)",
                rows,
            )

    def dimensions(self, model: int) -> int:
        """How long the model's vectors are, 0 where none is known yet."""
        (dimensions,) = self._connection.execute(
            "SELECT dimensions FROM model WHERE id = ?", (model,)
        ).fetchone()
        return int(dimensions)

    def vectors(self, model: int, digests: Sequence[str]) -> tuple[Vectors, list[int]]:
        """The vectors of texts that all have one, in their order, and the vectors' own numbers."""
        import numpy as np

        dimensions = self.dimensions(model)
        matrix = np.empty((len(digests), dimensions), np.float32)
        numbers = [0] * len(digests)
        position = {digest: index for index, digest in enumerate(digests)}
        head = f"SELECT digest, id, data FROM vector WHERE model_id = {model:d} AND digest IN"
        for digest, number, data in self._select(head, list(position)):
            index = position.pop(digest.hex())
            matrix[index] = np.frombuffer(_unpacked(data, dimensions), np.float32)
            numbers[index] = number
        if position:
            raise DatabaseDamaged(f"{len(position)} vectors are not there any more")
        return matrix, numbers

    def touch(self, model: int, digests: Sequence[str], now: int) -> None:
        """Say that the vectors were used; written once a day at most."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE vector SET used_at = ? WHERE model_id = ? AND digest = ? AND used_at < ?",
                ((now, model, bytes.fromhex(each), now - DAY_SECONDS) for each in digests),
            )

    def prune(self, now: int) -> None:
        """Drop roots unused for long or gone, and vectors and texts that no root uses any more."""
        execute = self._connection.execute
        with transaction(self._connection):
            for number, path, used_at in execute("SELECT id, path, used_at FROM root").fetchall():
                days = (now - used_at) / DAY_SECONDS
                is_gone = days > UNUSED_VECTOR_DAYS and not os.path.isdir(path)
                if is_gone or days > UNUSED_ROOT_DAYS:
                    execute("DELETE FROM root WHERE id = ?", (number,))
            unused = "digest NOT IN (SELECT digest FROM snippet)"
            execute(f"DELETE FROM text WHERE {unused}")
            oldest = now - UNUSED_VECTOR_DAYS * DAY_SECONDS
            execute(f"DELETE FROM vector WHERE used_at < ? AND {unused}", (oldest,))
            execute(
                f"DELETE FROM vector WHERE id IN (SELECT id FROM vector WHERE {unused} "
                "ORDER BY used_at DESC, id DESC LIMIT -1 OFFSET ?)",
                (UNUSED_VECTORS_MAX,),
            )

    def _select(self, head: str, digests: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(digests), SELECT_MAX):
            some = [bytes.fromhex(each) for each in digests[start : start + SELECT_MAX]]
            yield from self._connection.execute(f"{head} ({', '.join('?' * len(some))})", some)


def _packed(data: bytes) -> bytes:
    """SQLite keeps no checksums of its own: a flipped bit would change scores silently."""
    return data + zlib.crc32(data).to_bytes(CHECKSUM_BYTES, "little")


def _unpacked(stored: bytes, dimensions: int) -> bytes:
    data, checksum = stored[:-CHECKSUM_BYTES], stored[-CHECKSUM_BYTES:]
    if len(data) != 4 * dimensions or _packed(data)[-CHECKSUM_BYTES:] != checksum:
        raise DatabaseDamaged("a vector is not the one that was stored")
    return data
