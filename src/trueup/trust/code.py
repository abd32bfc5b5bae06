"""The code that a model would run: every file that its configs name, and what these import.

Its own function for generating, which no config names and transformers runs, is part of it; so is
code of other repositories (`org/name--module.Class`), fetched into the local cache where it is not
there yet. Reads files and runs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule
from trueup.checkpoint.hub.identifier import NAME
from trueup.checkpoint.json_file import read_json
from trueup.checkpoint.remote_code import GENERATE, read_remote_code
from trueup.checkpoint.source import resolve
from trueup.errors import CheckpointError

# Beside config.json and tokenizer_config.json, which a checkpoint has read.
OTHER_CONFIGS = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "image_processor_config.json",
    "audio_processor_config.json",
)
BETWEEN = "--"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFile:
    """One file: `repository` is None for the model's own, `content` the bytes that were hashed."""

    repository: str | None
    module: RemoteModule
    content: bytes

    @property
    def name(self) -> str:
        """The file's path, after the repository's id where that is another."""
        return f"{self.repository}: {self.module.path}" if self.repository else self.module.path


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """All files, in order; `missing` are those that are named and not there.

    `digest` is `sha256:…` over repositories, paths and contents.
    """

    files: tuple[CodeFile, ...]
    missing: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The hash that consent is given to."""
        digest = hashlib.sha256()
        for file in self.files:
            line = f"{file.repository or ''}\0{file.module.path}\0{file.module.sha256}\n"
            digest.update(line.encode())
        return f"sha256:{digest.hexdigest()}"

    def hashes(self) -> dict[str, str]:
        """The hash of each file by its name."""
        return {file.name: file.module.sha256 for file in self.files}


def read_code(checkpoint: Checkpoint) -> OwnCode:
    """Everything that would run; without files where the model brings no code.

    Raises: CheckpointError for code that cannot be read whole, and for code of another repository
    that cannot be had.
    """
    configs = [checkpoint.config, checkpoint.tokenizer_config]
    for name in OTHER_CONFIGS:
        if name in checkpoint.files:
            configs.append(read_json(checkpoint.directory, name)[0])
    generates = GENERATE in checkpoint.files
    named: dict[str | None, dict[str, str]] = {None: {}} if generates else {}
    for reference in sorted({each for config in configs for each in _references(config)}):
        foreign, between, local = reference.rpartition(BETWEEN)
        of_repository = named.setdefault(foreign if between else None, {})
        of_repository[str(len(of_repository))] = local
    files: list[CodeFile] = []
    missing: list[str] = []
    for repository in sorted(named, key=lambda each: each or ""):
        directory = checkpoint.directory if repository is None else _directory(repository)
        found, absent = _read(
            directory,
            repository,
            named[repository],
            generates=generates and repository is None,
        )
        files += found
        missing += absent
    return OwnCode(files=tuple(files), missing=tuple(missing))


def _references(config: Mapping[str, Any]) -> Iterator[str]:
    """Each `module.Class` of every `auto_map`, at any depth: a part may have its own."""
    pending: list[Any] = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        if not isinstance(value, dict):
            continue
        for key, inner in value.items():
            if key == "auto_map":
                yield from _texts(inner)
            elif isinstance(inner, dict | list):
                pending.append(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner) if isinstance(inner, str | list) else ()


def _directory(repository: str) -> Path:
    if NAME.fullmatch(repository) is None:
        raise CheckpointError(
            f"`{repository[:80]!r}` is no hub id: code is named as `org/name--module.Class`",
            where="config.json: auto_map",
        )
    if Path(repository).exists():  # transformers would run that instead
        raise CheckpointError(
            f"the model asks for code of `{repository}`, and a folder of that name lies here",
            where=str(Path(repository).absolute()),
            hint="run it in another folder",
        )
    try:
        return resolve(repository).directory
    except CheckpointError as error:
        raise CheckpointError(
            f"the model asks for code of `{repository}`, which cannot be had: {error.cause}",
            where=error.where,
            hint=f"hf download {repository} --include '*.py'",
        ) from error


def _read(
    directory: Path, repository: str | None, references: Mapping[str, str], *, generates: bool
) -> tuple[list[CodeFile], list[str]]:
    modules, problems = read_remote_code(directory, references, generates=generates)
    missing: list[str] = []
    for problem in problems:
        path = f"{repository}: {problem.path}" if repository else problem.path
        if problem.kind == "absent":
            missing.append(path)
        elif problem.path not in modules:
            raise CheckpointError(
                f"`{path}` cannot be looked at: {problem.detail}", where=str(directory)
            )
    files = []
    for path, module in sorted(modules.items()):
        content = _content(directory / path)
        if hashlib.sha256(content).hexdigest() != module.sha256:
            raise CheckpointError(
                f"`{path}` changed while it was read", where=str(directory), hint="try it again"
            )
        files.append(CodeFile(repository=repository, module=module, content=content))
    return files, missing


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"`{path.name}` cannot be read: {error.strerror or error}", where=str(path)
        ) from error
