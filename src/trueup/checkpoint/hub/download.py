"""Files of a hub: they go on where they ended, in this process or the last, and are proven.

Hugging Face's own client begins a file anew after an interrupt, compares no digest, and tries for
minutes where a hub does not answer. The result lies in its cache as if it had done it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from trueup.checkpoint.hub.cache import hub_cache, link, repository, snapshot
from trueup.checkpoint.hub.connection import Hub
from trueup.checkpoint.hub.listing import HubFile, Listing
from trueup.checkpoint.hub.service import current
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.hub.work import FIRST_WAIT_SECONDS, TRIES, WORTH_ANOTHER_TRY
from trueup.errors import HubError

LARGE_TRIES = 6  # half a minute of waiting
SMALL_BYTES = 64 * 1024 * 1024
LOCK_WAIT_SECONDS = 0.2
READ_BYTES = 8 * 1024 * 1024


def present_bytes(listing: Listing, file: str) -> int:
    """How much of a file is here: all of it, or what an earlier download left."""
    if (snapshot(listing.name, listing.commit) / file).exists():
        return listing.files[file].size_bytes
    blob = _blob(listing, file)
    for path in (blob, _partial(blob)):
        with contextlib.suppress(OSError):
            return min(path.stat().st_size, listing.files[file].size_bytes)
    return 0


def download(
    hub: Hub, listing: Listing, file: str, watch: Watch, given_up: threading.Event
) -> None:
    """Have one file in the cache; another process that is at it is waited for.

    Raises: HubError.
    """
    place = snapshot(listing.name, listing.commit) / file
    entry = listing.files[file]
    if place.exists():
        return
    blob = _blob(listing, file)
    try:
        blob.parent.mkdir(parents=True, exist_ok=True)
        with _locked(blob, given_up):
            if given_up.is_set():
                return
            if not blob.exists():
                partial = _partial(blob)
                with _opened(partial) as out:
                    if not _Receiving(hub, listing, file, out, watch, given_up).run():
                        return
                partial.replace(blob)
            elif blob.stat().st_size != entry.size_bytes:
                raise _wrong_size(file, blob, entry)
            link(blob, place)
    except OSError as error:
        raise _unwritable(error, blob) from error


class _Receiving:
    """One file on its way into its partial copy."""

    def __init__(
        self,
        hub: Hub,
        listing: Listing,
        file: str,
        out: IO[bytes],
        watch: Watch,
        given_up: threading.Event,
    ) -> None:
        self._hub, self._listing, self._file = hub, listing, file
        self._out, self._watch, self._given_up = out, watch, given_up
        self._entry = listing.files[file]
        self._have = 0
        self._failed = 0
        self._tries = TRIES if self._entry.size_bytes <= SMALL_BYTES else LARGE_TRIES
        self._digest = _new_digest(self._entry)

    def run(self) -> bool:
        """Receive what is missing and prove the whole; False where it was given up.

        1. What lies there counts, and goes into the digest.
        2. Tries that bring something are free; after some without, the last error stands.
        3. A whole file of another digest is thrown away.
        """
        self._take_what_is_here()  # 1
        while self._have < self._entry.size_bytes:  # 2
            try:
                self._receive()
            except HubError as error:
                self._failed += 1
                if error.kind not in WORTH_ANOTHER_TRY or self._failed >= self._tries:
                    raise
                self._given_up.wait(FIRST_WAIT_SECONDS * 2 ** (self._failed - 1))
            if self._given_up.is_set():
                return False
        self._prove()  # 3
        return True

    def _take_what_is_here(self) -> None:
        self._out.seek(0)
        while content := self._out.read(READ_BYTES):
            self._digest.update(content)
            self._have += len(content)
            if self._given_up.is_set():
                return
        if self._have > self._entry.size_bytes:
            self._begin_again()

    def _begin_again(self) -> None:
        self._watch.advanced(-self._have)
        self._have = 0
        self._digest = _new_digest(self._entry)
        self._out.seek(0)
        self._out.truncate()

    def _receive(self) -> None:
        size = self._entry.size_bytes
        with self._hub.part(self._listing, self._file, self._have, None) as part:
            if part.total_bytes not in (None, size):
                raise self._odd(f"has {part.total_bytes:,} bytes, listed with {size:,}")
            if part.start != self._have:  # a server without ranges
                self._begin_again()
                if part.start:
                    raise self._odd(f"came from byte {part.start:,} on, asked for all of it")
            for piece in part.pieces:
                if self._have + len(piece) > size:
                    self._begin_again()
                    raise self._odd(f"has more than the {size:,} bytes that it is listed with")
                self._out.write(piece)
                self._digest.update(piece)
                self._have += len(piece)
                self._failed = 0
                self._watch.advanced(len(piece))
                if self._given_up.is_set():
                    return
        if self._have < size:
            raise HubError(
                f"the connection broke off after {self._have:,} of {size:,} bytes of "
                f"`{self._file}`",
                where=self._hub.endpoint,
                kind="network",
                hint="the same command goes on where it ended",
            )

    def _prove(self) -> None:
        expected = self._entry.sha256 or self._entry.etag
        found = self._digest.hexdigest()
        if expected is None or len(expected) != len(found) or found == expected:
            return
        self._begin_again()
        raise HubError(
            f"`{self._file}` came with the digest `{found[:12]}…`, expected `{expected[:12]}…`: "
            "it was damaged or replaced on its way",
            where=self._hub.endpoint,
            kind="content",
            hint="run the same command again: the file begins anew",
        )

    def _odd(self, what: str) -> HubError:
        return HubError(f"`{self._file}` {what}", where=self._hub.endpoint, kind="content")


def _new_digest(entry: HubFile) -> hashlib._Hash:
    """SHA-256, by which large files are known, else git's own digest of a blob."""
    if entry.sha256 is not None:
        return hashlib.sha256()
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % entry.size_bytes)
    return digest


def _blob(listing: Listing, file: str) -> Path:
    entry = listing.files[file]
    named = entry.etag or hashlib.sha256(f"{listing.commit}\0{file}".encode()).hexdigest()
    return repository(listing.name) / "blobs" / named


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.trueup.incomplete")


@contextlib.contextmanager
def _opened(partial: Path) -> Iterator[IO[bytes]]:
    """The partial copy to read and to write on; what is in it stays."""
    partial.touch()
    with partial.open("r+b") as file:
        yield file


@contextlib.contextmanager
def _locked(blob: Path, given_up: threading.Event) -> Iterator[None]:
    """Alone at one blob among all processes, unless it was given up meanwhile."""
    folder = hub_cache() / ".locks" / blob.parent.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    # Never removed, as the client's own: who waits for it must not wait for another file.
    with (folder / f"{blob.name}.trueup.lock").open("w") as lock:
        while not given_up.is_set():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                given_up.wait(LOCK_WAIT_SECONDS)
                continue
            except OSError:  # a network file system without locks: the digest is proven anyway
                pass
            break
        yield


def _wrong_size(file: str, blob: Path, entry: HubFile) -> HubError:
    return HubError(
        f"`{file}` has {blob.stat().st_size:,} bytes in the cache, listed with "
        f"{entry.size_bytes:,}",
        where=str(blob),
        kind="disk",
        hint=f"rm {blob}",
    )


def _unwritable(error: OSError, blob: Path) -> HubError:
    return HubError(
        f"the download cannot be kept: {error.strerror or error}",
        where=str(error.filename or blob.parent),
        kind="disk",
        hint=f"make room, or set {current().home_variable} to a folder that can be written",
    )
