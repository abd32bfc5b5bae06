"""Files that lie on a hub, read by parts: the header of a weight file without its gigabytes.

Parts come in blocks, kept under TRUEUP_HOME by the digest of the file, so that a second look needs
no network.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from trueup.checkpoint.hub.connection import Hub
from trueup.checkpoint.hub.listing import HubFile, Listing, cache_folder, write_kept
from trueup.checkpoint.hub.service import current, offline_variable
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.hub.work import Job, in_parallel, with_tries
from trueup.errors import HubError

# Holds the header of most weight files, and the directory at the end of most archives.
BLOCK_BYTES = 128 * 1024
# A server that cannot begin in the middle may send this much before it.
SKIP_LIMIT_BYTES = 4 * 1024 * 1024
LIMIT_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFiles:
    """The files of a commit that are not in `directory`; without a hub only what was kept."""

    listing: Listing
    directory: Path
    names: tuple[str, ...]
    hub: Hub | None = None

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size in bytes by name."""
        return {name: self.listing.files[name].size_bytes for name in self.names}

    def digest(self, name: str) -> str | None:
        """What names the content of a file: SHA-256 of a large one; None where it is here."""
        if name not in self.names:
            return None
        file = self.listing.files[name]
        return file.sha256 or file.etag

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of those that are known by it."""
        known = ((name, self.listing.files[name].sha256) for name in names if name in self.names)
        return {name: sha256 for name, sha256 in known if sha256 is not None}

    def bytes_of(self, names: Iterable[str]) -> int:
        """How much of these files is still on the hub."""
        return sum(self.listing.files[name].size_bytes for name in names if name in self.names)

    def open(self, name: str) -> BinaryIO:
        """The file to read and seek in; only what is read is asked for.

        Reading raises: HubError.
        """
        raw = _RemoteFile(self.listing, name, self.hub)
        return io.BufferedReader(raw, buffer_size=BLOCK_BYTES)

    def look_ahead(self, names: Sequence[str], watch: Watch) -> None:
        """Have the beginning of several files ready, and the end of those that are archives.

        Raises: HubError.
        """

        def job_of(name: str, block: int) -> Job:
            file = _RemoteFile(self.listing, name, self.hub)
            return lambda _given_up: file.block(block)

        jobs = []
        for name in names:
            if name in self.names and (size := self.listing.files[name].size_bytes):
                jobs.append(job_of(name, 0))
                if not name.endswith((".safetensors", ".gguf")) and size > BLOCK_BYTES:
                    jobs.append(job_of(name, (size - 1) // BLOCK_BYTES))
        in_parallel(jobs, watch, limit_seconds=LIMIT_SECONDS)


class _RemoteFile(io.RawIOBase):
    """One remote file as a raw stream of bytes."""

    def __init__(self, listing: Listing, name: str, hub: Hub | None) -> None:
        self._listing, self._name, self._hub = listing, name, hub
        self._file: HubFile = listing.files[name]
        self._position = 0
        self._blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size_bytes}
        self._position = max(0, base[whence] + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        start = self._position
        end = min(start + len(buffer), self._file.size_bytes)
        if start >= end:
            return 0
        self._have(range(start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1))
        filled = 0
        while start + filled < end:
            number, offset = divmod(start + filled, BLOCK_BYTES)
            content = self._blocks[number][offset : offset + end - start - filled]
            buffer[filled : filled + len(content)] = content
            filled += len(content)
        self._position = end
        return filled

    def block(self, number: int) -> None:
        """Have one block ready."""
        self._have(range(number, number + 1))

    def _have(self, numbers: range) -> None:
        """Have blocks in memory; those that no cache has come in one request."""
        missing = [number for number in numbers if number not in self._blocks]
        for number in missing:
            content = self._kept(number)
            if content is not None:
                self._blocks[number] = content
        missing = [number for number in missing if number not in self._blocks]
        if missing:
            self._fetch(missing[0], missing[-1] + 1)

    def _fetch(self, first: int, after: int) -> None:
        start = first * BLOCK_BYTES
        end = min(after * BLOCK_BYTES, self._file.size_bytes)
        if self._hub is None:
            variable = offline_variable()
            raise HubError(
                f"the header of `{self._name}` is not in the cache, and the hub cannot be asked",
                where=self._listing.name,
                kind="offline",
                hint=f"unset {variable}" if variable else None,
            )
        content = with_tries(partial(self._receive, self._hub, start, end))
        for number in range(first, after):
            offset = (number - first) * BLOCK_BYTES
            self._blocks[number] = content[offset : offset + BLOCK_BYTES]
            if path := self._path(number):
                write_kept(path, self._blocks[number])

    def _receive(self, hub: Hub, start: int, end: int) -> bytes:
        content = bytearray()
        deadline = time.monotonic() + LIMIT_SECONDS
        with hub.part(self._listing, self._name, start, end) as part:
            skipped = start - part.start
            if not 0 <= skipped <= SKIP_LIMIT_BYTES:
                raise HubError(
                    f"the server gives no parts of files: `{self._name}` would have to come whole",
                    where=hub.endpoint,
                    kind="content",
                    hint=f"set {current().endpoint_variables[0]} to one that gives parts of files",
                )
            for piece in part.pieces:
                content += piece
                if len(content) >= skipped + end - start or time.monotonic() > deadline:
                    break
        content = content[skipped : skipped + end - start]
        if len(content) < end - start:
            raise HubError(
                f"{len(content):,} of {end - start:,} bytes of `{self._name}` came",
                where=hub.endpoint,
                kind="network",
                hint="run the same command again",
            )
        return bytes(content)

    def _kept(self, number: int) -> bytes | None:
        path = self._path(number)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        expected = min(BLOCK_BYTES, self._file.size_bytes - number * BLOCK_BYTES)
        return content if len(content) == expected else None

    def _path(self, number: int) -> Path | None:
        etag = self._file.etag
        if etag is None or not etag.isalnum():
            return None
        return cache_folder() / "parts" / etag[:2] / f"{etag}-{number}"
