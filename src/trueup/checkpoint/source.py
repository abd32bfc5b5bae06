"""Where a model's files are: a directory, the word `demo`, or a hub id, cached or to be fetched.

One way for every command: `resolve` finds the directory and gets the small files, `complete` has
the weights there too. Neither reads a file of a model: `files.py` does.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from trueup.checkpoint.demo import unpack_demo
from trueup.checkpoint.hub import cache, identifier
from trueup.checkpoint.hub.cache import cached_ids, hub_cache
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.regular import open_regular
from trueup.errors import CheckpointError, HubError

if TYPE_CHECKING:
    from trueup.checkpoint.hub.ranges import RemoteFiles

__all__ = ["Source", "cached_ids", "complete", "hub_cache", "is_here", "resolve"]

DEMO = "demo"
SUGGESTIONS = 3
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model's local directory, and how the user named it.

    `id` is the name that a server gives the model: the directory's name or the hub id.
    `revision` is the commit of a hub id. `remote` are files that are still on the hub.
    """

    directory: Path
    source: str
    revision: str | None
    id: str
    remote: RemoteFiles | None = None

    def open(self, name: str) -> BinaryIO:
        """A file of the model, wherever it is.

        Raises: OSError; HubError, also while it is read.
        """
        if self.remote is not None and name in self.remote.names:
            return self.remote.open(name)
        return open_regular(self.directory / name)


def resolve(model: str, *, revision: str | None = None, watch: Watch | None = None) -> Source:
    """Find `model`; an existing directory wins over a hub id. Its weights may stay on the hub.

    Raises: CheckpointError where there is none, with the nearest names that there are.
    """
    if model == DEMO:
        _refuse_revision(model, revision)
        return Source(directory=unpack_demo(), source=model, revision=None, id=DEMO)
    if not model.strip() or "\0" in model:
        raise CheckpointError(
            f"`{_shown(model)}` names no model: expected a directory or a hub id such as `org/name`"
        )
    path = Path(model).expanduser()
    local = _local(model, path, revision)
    if local is not None:
        return local
    is_address = "://" in model or identifier.of_address(model) is not None
    if is_address and not path.parent.is_dir():
        raise _address(model)
    wanted = None if model.startswith(("/", ".", "~")) else identifier.parse(model, revision)
    if wanted is None or ("/" in model and path.parent.is_dir()):
        raise _missing_path(model, path)
    # The hub's parts are needed only here.
    from trueup.checkpoint.hub.fetch import locate

    try:
        located = locate(wanted, watch or Watch())
    except HubError as error:
        _add_neighbours(error, path)
        raise
    return Source(
        directory=located.directory,
        source=model,
        revision=located.commit,
        id=wanted.name,
        remote=located.remote,
    )


def complete(source: Source, *, watch: Watch | None = None) -> Source:
    """The same model with all its files in its directory.

    Raises: HubError where the weights cannot be had.
    """
    if source.remote is None:
        return source
    from trueup.checkpoint.hub.fetch import Located
    from trueup.checkpoint.hub.fetch import complete as complete_located

    located = Located(directory=source.directory, commit=str(source.revision), remote=source.remote)
    complete_located(located, watch or Watch())
    return replace(source, remote=None)


def is_here(model: str, revision: str | None = None, *, is_whole: bool = False) -> bool:
    """Whether `model` is found without asking anybody: a directory, `demo`, or in the cache.

    `is_whole` wants the weights there too.
    """
    if model == DEMO or not model.strip():
        return model == DEMO
    try:
        if Path(model).expanduser().is_dir():
            return True
        wanted = identifier.parse(model, revision)
    except (OSError, RuntimeError, ValueError, CheckpointError):
        return False
    commit = None if wanted is None else cache.commit_of(wanted.name, wanted.wanted)
    if wanted is None or commit is None or not is_whole:
        return commit is not None
    from trueup.checkpoint.hub.whole import is_whole as is_commit_whole

    return is_commit_whole(wanted.name, commit)


def _local(model: str, path: Path, revision: str | None) -> Source | None:
    try:
        if path.is_dir():
            _refuse_revision(model, revision)
            directory = path.resolve()
            # A link is called as it was named: what it points to may change with each version.
            name = directory.name if path.name in ("", "..") else path.name
            return Source(directory=directory, source=model, revision=None, id=name or "model")
        if path.exists():
            raise CheckpointError(
                f"`{model}` is a file; a model is the directory that it lies in",
                where=str(path),
                hint=f"trueup check {shlex.quote(str(path.parent))}",
            )
        if path.is_symlink():
            raise CheckpointError(
                f"`{_shown(model)}` is a link to `{_shown(str(path.readlink()))}`, and nothing is "
                "there",
                where=str(path),
            )
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        reason = getattr(error, "strerror", None) or _shown(str(error))
        raise CheckpointError(
            f"`{_shown(model)}` cannot be opened: {reason}",
            where=str(path) if len(model) <= SHOWN_CHARACTERS else None,
        ) from error
    return None


def _refuse_revision(model: str, revision: str | None) -> None:
    if revision is not None:
        raise CheckpointError(
            f"`{model}` has no revisions: `{revision}` can only be one of a hub id",
            where="--revision",
            hint="leave out --revision",
        )


def _address(model: str) -> CheckpointError:
    name = identifier.of_address(model)
    return CheckpointError(
        f"`{_shown(model)}` is an address, expected a directory or a hub id such as `org/name`",
        hint=f"give the id alone: `{name}`" if name is not None else None,
    )


def _shown(model: str) -> str:
    """A name as it was given, as far as it can be read in one line."""
    text = model if model.isprintable() else repr(model)[1:-1]
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _missing_path(model: str, path: Path) -> CheckpointError:
    siblings = _folders(path.parent)
    where = str(path) if len(model) <= SHOWN_CHARACTERS else None
    cause = f"the directory `{_shown(model)}` does not exist"
    if not path.is_absolute():
        cause = (
            f"the relative path `{_shown(model)}` does not exist: it was looked for in "
            f"`{Path.cwd()}`"
        )
    if siblings is None:
        return CheckpointError(f"{cause}; neither does `{_shown(str(path.parent))}`", where=where)
    near = get_close_matches(path.name, siblings, n=SUGGESTIONS)
    hint = f"in `{path.parent}` there is {_listing(near)}" if near else None
    return CheckpointError(cause, where=where, hint=hint)


def _add_neighbours(error: HubError, path: Path) -> None:
    """Have an error about an id name the directories here that are called much like it."""
    if error.kind in ("missing", "offline", "network", "busy"):
        near = get_close_matches(path.name, _folders(path.parent) or [], n=1, cutoff=0.8)
        if near:
            told = f"in `{path.parent.resolve()}` there is {_listing(near)}"
            error.hint = f"{told}; else {error.hint}" if error.hint else told


def _folders(parent: Path) -> list[str] | None:
    try:
        return sorted(entry.name for entry in parent.iterdir() if entry.is_dir())
    except OSError:
        return None


def _listing(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
