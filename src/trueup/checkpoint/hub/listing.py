"""What a commit of a hub repository holds: names, sizes and digests, kept for use without network.

A listing is immutable, as a commit is. It is kept under TRUEUP_HOME/cache/hub.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trueup.config.home import trueup_home

FORMAT = 1
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file: `etag` names its content; `sha256`, of large files, is what it is proven by."""

    size_bytes: int
    etag: str | None
    sha256: str | None


def known_digest(text: object) -> str | None:
    """A digest that a hub named, None for what is none: it becomes the name of a file."""
    return text if isinstance(text, str) and DIGEST.fullmatch(text) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of one commit of one repository; `revision` is what its hub is asked for."""

    name: str
    commit: str
    revision: str
    files: Mapping[str, HubFile]


def cache_folder() -> Path:
    """Where listings and parts of remote files are kept."""
    return trueup_home() / "cache" / "hub"


def keep(listing: Listing) -> None:
    """Write it; a home that cannot be written costs time, not the answer."""
    files = {
        name: [file.size_bytes, file.etag, file.sha256] for name, file in listing.files.items()
    }
    write_kept(
        _path(listing.name, listing.commit), json.dumps([FORMAT, listing.revision, files]).encode()
    )


def kept(name: str, commit: str) -> Listing | None:
    """The listing that was kept, None where none was or it is damaged."""
    try:
        version, revision, files = json.loads(_path(name, commit).read_bytes())
        if version != FORMAT:
            return None
        read = {
            str(path): HubFile(size_bytes=int(size), etag=etag, sha256=sha256)
            for path, (size, etag, sha256) in files.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return Listing(name=name, commit=commit, revision=str(revision), files=read)


def write_kept(path: Path, content: bytes) -> None:
    """Write a file of the cache whole or not at all."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        half.write_bytes(content)
        half.replace(path)


def _path(name: str, commit: str) -> Path:
    key = hashlib.sha256(f"{name}\0{commit}".encode()).hexdigest()[:32]
    return cache_folder() / f"listing-{key}.json"
