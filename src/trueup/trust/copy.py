"""The copy of agreed code that runs: read-only, under TRUEUP_HOME, by its hash.

Whoever loads a model with its own code takes it from here and from nowhere else, so what runs is
what was hashed and looked at, whatever becomes of the model's directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError, ConfigError
from trueup.trust.code import OwnCode, read_code
from trueup.trust.consents import PREFIX, Consents

CODE_FOLDER = "code"
OWN, OTHERS = "model", "hub--"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCode:
    """The folder of a copy; each repository has a folder of its own in it."""

    digest: str
    folder: Path

    def directory(self, repository: str | None = None) -> Path:
        """Where the Python files of the model lie, or those of another repository."""
        return self.folder / _folder_name(repository)


def trusted_code(checkpoint: Checkpoint, *, consents: Consents | None = None) -> TrustedCode:
    """The copy of the model's own code, made here where it is not there yet.

    Raises: AdaptError without consent, saying which files changed since there was one;
    CheckpointError for code that cannot be read; ConfigError where no copy can be kept.
    """
    consents = consents or Consents()
    code = read_code(checkpoint)
    if consents.get(code.digest) is None:
        names = model_names(checkpoint)
        change = consents.change(code, names)
        raise AdaptError(
            "the model's own code has changed since you agreed to let it run: " + str(change)
            if change is not None
            else "the model's own code runs only with your consent",
            where=str(checkpoint.directory),
            hint=f"trueup trust {shlex.quote(checkpoint.source)}",
        )
    return TrustedCode(digest=code.digest, folder=_kept(code, consents.folder / CODE_FOLDER))


def kept_code(
    digest: str, *, source: str, directory: str, consents: Consents | None = None
) -> TrustedCode:
    """The copy of agreed code by its hash, as it lies there: for a process that may not write.

    `source` and `directory` are those of the model that an error names.

    Raises: AdaptError without consent, and where the copy is not there whole.
    """
    consents = consents or Consents()
    consent = consents.get(digest)
    folder = consents.folder / CODE_FOLDER / digest.removeprefix(PREFIX)
    if consent is None:
        raise AdaptError(
            "the model's own code runs only with your consent",
            where=directory,
            hint=f"trueup trust {shlex.quote(source)}",
        )
    wanted = {}
    for name, sha256 in consent.files.items():
        repository, between, path = name.rpartition(": ")
        wanted[f"{_folder_name(repository if between else None)}/{path}"] = sha256
    if _hashes(folder) != wanted:
        raise AdaptError(
            "the copy of the agreed code is not there, or is not what was agreed to",
            where=str(folder),
            hint=f"trueup trust {shlex.quote(source)}",
        )
    return TrustedCode(digest=digest, folder=folder)


def model_names(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What a consent knows a model by: as the user named it, and its directory."""
    directory = str(checkpoint.directory)
    with contextlib.suppress(OSError, RuntimeError):
        if Path(checkpoint.source).expanduser().resolve() == checkpoint.directory.resolve():
            return (directory,)  # `./model` is another one in another folder
    return (checkpoint.source, directory)


def forget(digest: str, consents: Consents) -> None:
    """Delete the copy of code that may no longer run, as far as the system lets it."""
    _delete(consents.folder / CODE_FOLDER / digest.removeprefix(PREFIX))


def _folder_name(repository: str | None) -> str:
    return OWN if repository is None else f"{OTHERS}{repository.replace('/', '--')}"


def _kept(code: OwnCode, folder: Path) -> Path:
    final = folder / code.digest.removeprefix(PREFIX)
    if _is_whole(final, code):
        return final
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        half = Path(tempfile.mkdtemp(prefix=".half-", dir=folder))
        try:
            _write(half, code)
            if not _renamed(half, final) and not _is_whole(final, code):
                _delete(final)  # somebody changed it
                _renamed(half, final)
        finally:
            _delete(half)
    except OSError as error:
        raise ConfigError(
            f"the code cannot be copied: {error.strerror or error}",
            where=str(folder),
            hint="set TRUEUP_HOME to a folder that you may write in",
        ) from error
    if not _is_whole(final, code):
        raise ConfigError("the copy of the code is not what was written", where=str(final))
    return final


def _renamed(half: Path, final: Path) -> bool:
    """Whether the new folder is in its place; not where another process was faster."""
    try:
        half.rename(final)
    except OSError:
        return False
    return True


def _write(folder: Path, code: OwnCode) -> None:
    for file in code.files:
        path = folder / _folder_name(file.repository) / file.module.path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(file.content)
        path.chmod(0o400)
    for inner, _, _ in os.walk(folder, topdown=False):
        Path(inner).chmod(0o500)


def _is_whole(folder: Path, code: OwnCode) -> bool:
    """Whether exactly the agreed files lie there: one more could be imported as well."""
    wanted = {
        f"{_folder_name(file.repository)}/{file.module.path}": file.module.sha256
        for file in code.files
    }
    return _hashes(folder) == wanted


def _hashes(folder: Path) -> dict[str, str] | None:
    """SHA-256 of every file by its path; None where something else than a file lies there."""
    found: dict[str, str] = {}
    try:
        for inner, _, names in os.walk(folder):
            for name in names:
                path = Path(inner) / name
                if path.is_symlink() or not stat.S_ISREG(path.stat().st_mode):
                    return None
                relative = path.relative_to(folder).as_posix()
                found[relative] = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
    return found


def _delete(folder: Path) -> None:
    for inner, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(inner).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
