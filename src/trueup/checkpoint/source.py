"""Where a model's files are: a directory, the word `demo`, or a hub id in the local cache.

Looks and, only when asked to, downloads. It reads no file of a model: `files.py` does.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from trueup.checkpoint.demo import unpack_demo
from trueup.errors import CheckpointError

DEMO = "demo"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
COMMIT = re.compile(r"[0-9a-f]{7,40}")
DEFAULT_REVISION = "main"
# Copies of the same weights for other frameworks: gigabytes that nothing here reads.
NOT_DOWNLOADED = ("*.onnx", "*.onnx_data", "*.h5", "*.msgpack", "*.ot", "*.tflite", "*.mlmodel")
SUGGESTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model's local directory, and how the user named it.

    `id` is the name that a server gives the model: the directory's name or the hub id.
    """

    directory: Path
    source: str
    revision: str | None
    id: str


def resolve(model: str, *, revision: str | None = None, download: bool = False) -> Source:
    """Find the directory of `model`; an existing directory wins over a hub id.

    Raises: CheckpointError where there is none, with the nearest names that there are.
    """
    if model == DEMO:
        _refuse_revision(model, revision)
        return Source(directory=unpack_demo(), source=model, revision=None, id=DEMO)
    if not model.strip() or "\0" in model:
        raise CheckpointError(
            f"`{model!r}` names no model: expected a directory or a hub id such as `org/name`"
        )
    path = Path(model).expanduser()
    try:
        if path.is_dir():
            _refuse_revision(model, revision)
            return Source(
                directory=path.resolve(),
                source=model,
                revision=None,
                id=path.resolve().name or "model",
            )
        if path.exists():
            raise CheckpointError(
                f"`{model}` is a file; a model is the directory that it lies in",
                where=str(path),
                hint=f"trueup check {path.parent}",
            )
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise CheckpointError(f"`{model}` cannot be opened: {error}", where=str(path)) from error
    if _is_path(model, path):
        raise _missing_path(model, path)
    return _from_hub(model, revision, download=download)


def _refuse_revision(model: str, revision: str | None) -> None:
    if revision is not None:
        raise CheckpointError(
            f"`{model}` has no revisions: `{revision}` can only be one of a hub id",
            where="--revision",
            hint="leave out --revision",
        )


def hub_cache() -> Path:
    """The folder of downloaded hub repositories, as huggingface_hub finds it."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{caches}/huggingface"
    return Path(home).expanduser() / "hub"


def _is_path(model: str, path: Path) -> bool:
    if model.startswith(("/", ".", "~")) or HUB_ID.fullmatch(model) is None:
        return True
    return "/" in model and path.parent.is_dir()


def _missing_path(model: str, path: Path) -> CheckpointError:
    parent = path.parent
    try:
        siblings = sorted(entry.name for entry in parent.iterdir() if entry.is_dir())
    except OSError:
        return CheckpointError(
            f"`{model}` does not exist, and neither does the directory `{parent}`", where=str(path)
        )
    near = get_close_matches(path.name, siblings, n=SUGGESTIONS)
    hint = f"in `{parent}` there is {_listing(near)}" if near else None
    return CheckpointError(f"the directory `{model}` does not exist", where=str(path), hint=hint)


def _from_hub(model: str, revision: str | None, *, download: bool) -> Source:
    repository = hub_cache() / f"models--{model.replace('/', '--')}"
    wanted = revision or DEFAULT_REVISION
    commit = _commit(repository, wanted)
    if commit is not None:
        directory = repository / "snapshots" / commit
        return Source(directory=directory, source=model, revision=revision or commit, id=model)
    if download:
        return _download(model, revision)
    snapshots = _names(repository / "snapshots")
    if snapshots:
        raise CheckpointError(
            f"`{model}` is in the cache, but not at revision `{wanted}`",
            where=str(repository),
            hint=f"choose what is there: --revision {snapshots[0]}",
        )
    cached = cached_ids()
    near = get_close_matches(model, cached, n=SUGGESTIONS, cutoff=0.5) or [
        name for name in cached if name.split("/")[-1].lower() == model.split("/")[-1].lower()
    ]
    at_revision = f" --revision {revision}" if revision else ""
    hint = f"get it with `hf download {model}{at_revision}`, or give a directory"
    if near:
        hint = f"the cache has {_listing(near)}; else {hint}"
    raise CheckpointError(
        f"`{model}` is neither a directory nor a hub id in the local cache",
        where=str(hub_cache()),
        hint=hint,
    )


def cached_ids() -> list[str]:
    """The hub ids of the models in the local cache, sorted."""
    prefix = "models--"
    return sorted(
        name.removeprefix(prefix).replace("--", "/", 1)
        for name in _names(hub_cache())
        if name.startswith(prefix)
    )


def _commit(repository: Path, revision: str) -> str | None:
    """The cached commit that `revision` (a branch, a tag, a commit or its beginning) means."""
    snapshots = _names(repository / "snapshots")
    if ".." in revision or "\0" in revision:
        return None
    try:
        commit = (repository / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        commit = ""
    if commit in snapshots:
        return commit
    if COMMIT.fullmatch(revision):
        matches = [name for name in snapshots if name.startswith(revision)]
        return matches[0] if len(matches) == 1 else None
    return None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return []


def _download(model: str, revision: str | None) -> Source:
    # A third of a second to import, and needed only here.
    from huggingface_hub import snapshot_download

    try:
        directory = Path(
            snapshot_download(model, revision=revision, ignore_patterns=list(NOT_DOWNLOADED))
        )
    except Exception as error:  # hub, HTTP and file errors share no base class across 0.3x and 2.x
        raise CheckpointError(
            f"`{model}` could not be downloaded: {type(error).__name__}: {_first_line(error)}",
            where=os.environ.get("HF_ENDPOINT", "https://huggingface.co"),
        ) from error
    return Source(directory=directory, source=model, revision=revision or directory.name, id=model)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "no message")


def _listing(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
