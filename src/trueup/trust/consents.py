"""What a user has agreed to let run, by the hash of the code: one file for each under TRUEUP_HOME.

A file that is damaged, or that others may write, is no consent. Files are replaced whole, so
several processes may read and write at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.config.home import trueup_home
from trueup.errors import ConfigError
from trueup.trust.code import OwnCode

FOLDER = "trust"
PREFIX = "sha256:"
HASH = re.compile(r"[0-9a-f]{64}")
HASH_START = re.compile(r"[0-9a-f]{6,64}")
CONSENT_VERSION = 1
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Code that may run: the models that it was seen in, and the hash of each file by its name."""

    digest: str
    models: tuple[str, ...]
    given_at: float
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How code differs from what was agreed to for the same model; names of files."""

    changed: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    def __str__(self) -> str:
        told = (
            ("changed", self.changed),
            ("new", self.added),
            ("gone", self.removed),
        )
        return "; ".join(
            f"{word}: {', '.join(f'`{name}`' for name in names)}" for word, names in told if names
        )


class Consents:
    """The consents of this user. `folder` None is that of TRUEUP_HOME."""

    def __init__(
        self, folder: Path | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._clock = clock

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder or trueup_home() / FOLDER

    def get(self, digest: str) -> Consent | None:
        """The consent to code of that hash."""
        return _read(self._path(digest))

    def all(self) -> list[Consent]:
        """Every consent, the newest first."""
        with contextlib.suppress(OSError):
            found = [_read(path) for path in self.folder.glob("*.json")]
            kept = [each for each in found if each is not None]
            return sorted(kept, key=lambda each: (-each.given_at, each.digest))
        return []

    def give(self, code: OwnCode, models: Iterable[str]) -> Consent:
        """Let `code` run from now on.

        Raises: ConfigError where that cannot be kept.
        """
        before = self.get(code.digest)
        names = (*(before.models if before else ()), *models)
        consent = Consent(
            digest=code.digest,
            models=tuple(dict.fromkeys(names)),
            given_at=self._clock(),
            files=code.hashes(),
        )
        shape = {
            "version": CONSENT_VERSION,
            "digest": consent.digest,
            "models": list(consent.models),
            "given_at": consent.given_at,
            "files": dict(consent.files),
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            _write(self._path(code.digest), json.dumps(shape, indent=1).encode())
        except OSError as error:
            raise ConfigError(
                f"the consent cannot be kept: {error.strerror or error}",
                where=str(self.folder),
                hint="set TRUEUP_HOME to a folder that you may write in",
            ) from error
        return consent

    def named(self, word: str) -> list[Consent]:
        """The consents that a hash, its beginning, or a model's name means."""
        start = word.removeprefix(PREFIX)
        if HASH_START.fullmatch(start):
            by_hash = [each for each in self.all() if each.digest[len(PREFIX) :].startswith(start)]
            if by_hash:
                return by_hash
        names = {word}
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            names.add(str(Path(word).expanduser().resolve()))
        return [each for each in self.all() if names & set(each.models)]

    def revoke(self, consent: Consent) -> None:
        """Take a consent back. Raises: ConfigError where the file cannot be removed."""
        path = self._path(consent.digest)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the consent cannot be removed: {error.strerror or error}", where=str(path)
            ) from error

    def change(self, code: OwnCode, models: Iterable[str]) -> Change | None:
        """How `code` differs from the newest consent for one of `models`, None without one."""
        wanted = set(models)
        before = next((each for each in self.all() if wanted & set(each.models)), None)
        if before is None or before.digest == code.digest:
            return None
        now = code.hashes()
        both = [name for name in now if name in before.files]
        return Change(
            changed=tuple(name for name in both if now[name] != before.files[name]),
            added=tuple(name for name in now if name not in before.files),
            removed=tuple(name for name in before.files if name not in now),
        )

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest.removeprefix(PREFIX)}.json"


def _write(path: Path, content: bytes) -> None:
    descriptor, half = tempfile.mkstemp(prefix=".half-", dir=path.parent)  # 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(half, path)
    except OSError:
        Path(half).unlink(missing_ok=True)
        raise


def _read(path: Path) -> Consent | None:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & OTHERS_MAY_WRITE:
                return None
            shape = json.loads(file.read())
        return _consent(shape, path.stem)
    except (OSError, ValueError, RecursionError):
        return None


def _consent(shape: Any, stem: str) -> Consent | None:
    if not isinstance(shape, dict) or shape.get("version") != CONSENT_VERSION:
        return None
    models, files, given_at = (shape.get(name) for name in ("models", "files", "given_at"))
    if not isinstance(models, list) or not isinstance(files, dict):
        return None
    # A file under another name is not what was agreed to.
    if shape.get("digest") != f"{PREFIX}{stem}" or HASH.fullmatch(stem) is None:
        return None
    return Consent(
        digest=f"{PREFIX}{stem}",
        models=tuple(str(name) for name in models),
        given_at=float(given_at) if isinstance(given_at, int | float) else 0.0,
        files={str(name): str(value) for name, value in files.items()},
    )
