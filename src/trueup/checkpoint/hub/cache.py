"""The folder of downloaded hub repositories, in Hugging Face's own layout.

`models--org--name/` holds `refs/<branch>` with a commit, `snapshots/<commit>/` with links, and
`blobs/<etag>` with the contents. Reads it without Hugging Face's client, which takes a third of a
second to import.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from trueup.checkpoint.hub.identifier import COMMIT_BEGINNING
from trueup.checkpoint.hub.service import cache_folder

PREFIX = "models--"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf")


def hub_cache() -> Path:
    """The folder, as huggingface_hub finds it; one of our own for ModelScope."""
    return cache_folder()


def cached_ids() -> list[str]:
    """The hub ids of the models in the cache, sorted."""
    return sorted(
        name.removeprefix(PREFIX).replace("--", "/", 1)
        for name in _folders(hub_cache())
        if name.startswith(PREFIX)
    )


def repository(name: str) -> Path:
    """The folder of one repository, there or not."""
    return hub_cache() / f"{PREFIX}{name.replace('/', '--')}"


def snapshot(name: str, commit: str) -> Path:
    """The folder with the files of one commit, there or not."""
    return repository(name) / "snapshots" / commit


def snapshots(name: str) -> list[str]:
    """The commits of which something is there."""
    return _folders(repository(name) / "snapshots")


def commit_of(name: str, revision: str) -> str | None:
    """The cached commit that `revision` (a branch, a tag, a commit or its beginning) means."""
    there = snapshots(name)
    if ".." in revision or "\0" in revision:
        return None
    try:
        commit = (repository(name) / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        commit = ""
    if commit in there:
        return commit
    if COMMIT_BEGINNING.fullmatch(revision):
        matches = [each for each in there if each.startswith(revision)]
        return matches[0] if len(matches) == 1 else None
    return None


def write_reference(name: str, revision: str, commit: str) -> None:
    """Keep what a branch or tag meant, for when there is no network; a full disk is no error."""
    if revision == commit or ".." in revision or revision.startswith("/"):
        return
    path = repository(name) / "refs" / revision
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, half = tempfile.mkstemp(prefix=".half-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(commit)
        os.chmod(half, 0o644)
        os.replace(half, path)


def link(blob: Path, place: Path) -> None:
    """Put a blob where a snapshot has its file: by a relative link, else by moving it there.

    Raises: OSError.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    half = place.with_name(f".{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        half.unlink()
    try:
        half.symlink_to(os.path.relpath(blob, place.parent))
    except OSError:  # a file system without links
        os.replace(blob, place)
    else:
        os.replace(half, place)


def has_weights(directory: Path) -> bool:
    """Whether a snapshot has a file of weights itself, at the top."""
    try:
        return any(name.endswith(WEIGHT_SUFFIXES) for name in os.listdir(directory))
    except OSError:
        return False


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []
