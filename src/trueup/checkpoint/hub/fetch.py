"""From a hub id to a directory: what is there of it, what must come, and what can stay away.

`locate` gets the small files and leaves the weights on the hub; `complete` downloads them.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trueup.checkpoint.hub import cache, selection
from trueup.checkpoint.hub.asking import add_unreachable, ask_listing, not_cached
from trueup.checkpoint.hub.connection import Hub, connect
from trueup.checkpoint.hub.download import download, present_bytes
from trueup.checkpoint.hub.identifier import HubId
from trueup.checkpoint.hub.listing import Listing, keep, kept
from trueup.checkpoint.hub.ranges import RemoteFiles
from trueup.checkpoint.hub.service import current, offline_variable
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.hub.whole import is_whole, missing_small, wanted_weights
from trueup.checkpoint.hub.work import Job, in_parallel
from trueup.errors import HubError

SMALL_LIMIT_SECONDS = 300.0
WEIGHT_THREADS = 4
# What a file system needs besides, and what else may be written meanwhile.
SPARE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A commit's directory in the cache; `remote` are the files that are still on the hub."""

    directory: Path
    commit: str
    remote: RemoteFiles | None = None


def locate(wanted: HubId, watch: Watch) -> Located:
    """The directory of a hub id, with all its small files in it.

    1. A commit that was downloaded whole is used as it is: nobody is asked.
    2. Where the hub must not be asked, what the cache has.
    3. Else the hub is asked; where it cannot be reached, what the cache has, with a note.

    Raises: HubError.
    """
    commit = cache.commit_of(wanted.name, wanted.wanted)
    if commit is not None and is_whole(wanted.name, commit):  # 1
        return Located(directory=cache.snapshot(wanted.name, commit), commit=commit)
    if offline_variable():  # 2
        return _from_cache(wanted, commit, not_cached(wanted))
    hub = connect()
    watch.asking(f"{hub.endpoint} about `{wanted.name}`")
    try:  # 3
        return _from_hub(hub, wanted, commit, watch)
    except HubError as error:
        if error.kind not in ("network", "busy"):
            raise
        if commit is None:
            add_unreachable(error, wanted.name)
            raise
        located = _from_cache(wanted, commit, error)
        watch.note(f"{error.cause}: this is what the cache has, commit {commit[:12]}")
        return located
    finally:
        watch.answered()


def complete(located: Located, watch: Watch) -> Located:
    """The same commit with its weights in the directory.

    Raises: HubError.
    """
    remote = located.remote
    if remote is None:
        return located
    listing = remote.listing
    wanted = wanted_weights(located.directory, listing)
    missing = [name for name in wanted if not (located.directory / name).exists()]
    if not missing:
        return replace(located, remote=None)
    total = sum(listing.files[name].size_bytes for name in missing)
    if remote.hub is None:
        variable = offline_variable()
        raise HubError(
            f"the weights of `{listing.name}` are not in the cache ({size_words(total)}), and the "
            "hub cannot be asked for them",
            where=str(located.directory),
            kind="offline",
            hint=f"unset {variable}, or give a directory" if variable else None,
        )
    present = sum(present_bytes(listing, name) for name in missing)
    _check_space(listing.name, total - present)
    watch.started(listing.name, files=len(missing), total_bytes=total, present_bytes=present)
    try:
        jobs: list[Job] = [partial(download, remote.hub, listing, name, watch) for name in missing]
        in_parallel(jobs, watch, threads=WEIGHT_THREADS)
    finally:
        watch.ended()
    return replace(located, remote=None)


def size_words(count: int) -> str:
    """Bytes as a person reads them, in powers of ten."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _from_cache(wanted: HubId, commit: str | None, error: HubError) -> Located:
    """What is here; `error` where that is too little to judge by."""
    if commit is None:
        raise error
    directory = cache.snapshot(wanted.name, commit)
    listing = kept(wanted.name, commit)
    if listing is None:
        return Located(directory=directory, commit=commit)
    if missing_small(directory, listing):
        raise error
    return Located(directory=directory, commit=commit, remote=_remote(directory, listing, None))


def _from_hub(hub: Hub, wanted: HubId, commit: str | None, watch: Watch) -> Located:
    # A commit whose weights are here stays: a newer one would cost the download again.
    stays = commit is not None and cache.has_weights(cache.snapshot(wanted.name, commit))
    revision = commit if commit is not None and stays else wanted.wanted
    listing = ask_listing(hub, wanted, revision, watch)
    directory = cache.snapshot(wanted.name, listing.commit)
    missing = missing_small(directory, listing)
    jobs: list[Job] = [partial(download, hub, listing, name, watch) for name in missing]
    in_parallel(jobs, watch, limit_seconds=SMALL_LIMIT_SECONDS)
    with contextlib.suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
    keep(listing)
    cache.write_reference(wanted.name, wanted.wanted, listing.commit)
    remote = _remote(directory, listing, hub)
    if remote is not None:
        remote.look_ahead(wanted_weights(directory, listing), watch)
    return Located(directory=directory, commit=listing.commit, remote=remote)


def _remote(directory: Path, listing: Listing, hub: Hub | None) -> RemoteFiles | None:
    """What stays on the hub, None where nothing that is run is missing."""
    if all((directory / name).exists() for name in wanted_weights(directory, listing)):
        return None
    names = tuple(
        name
        for name in selection.plain(listing.files)
        if not name.endswith(selection.SMALL_SUFFIXES) and not (directory / name).exists()
    )
    return RemoteFiles(listing=listing, directory=directory, names=names, hub=hub)


def _check_space(name: str, needed: int) -> None:
    folder = cache.repository(name)
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if needed + SPARE_BYTES > free:
        raise HubError(
            f"`{name}` needs {size_words(needed)} more, and the disk has {size_words(free)} free",
            where=str(folder),
            kind="disk",
            hint=f"make room, or set {current().home_variable} to a folder on a larger disk",
        )
