"""Reads a model directory into a Checkpoint: small files whole, weight files by their headers.

Never runs or imports anything of the model. What is wrong with a file becomes a Problem; only
a directory that is no model at all is an error.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.adapter import read_adapter
from trueup.checkpoint.checkpoint import Checkpoint, GgufHeader, Problem, ProblemKind, Weights
from trueup.checkpoint.foreign import foreign_layout
from trueup.checkpoint.gguf import GgufError, read_gguf_header
from trueup.checkpoint.hub_classes import choose_class, read_classes
from trueup.checkpoint.json_file import read_json
from trueup.checkpoint.loose_pickles import loose_pickle_problems
from trueup.checkpoint.regular import open_regular, read_regular
from trueup.checkpoint.remote_code import (
    GENERATE,
    join_auto_maps,
    read_remote_code,
    read_requirements,
)
from trueup.checkpoint.sentence_modules import read_sentence_modules
from trueup.checkpoint.source import Source
from trueup.checkpoint.tokenizer_files import read_tokenizer
from trueup.checkpoint.weights import read_weights
from trueup.errors import CheckpointError

ENTRY_LIMIT = 5000
DEPTH_LIMIT = 2
SMALL_SUFFIXES = (".json", ".py", ".model", ".txt", ".jinja", ".tiktoken", ".vocab")
# A folder of such a name stands where a file belongs.
FILES_ALWAYS = (".json", ".py", ".safetensors", ".bin", ".model")
SMALL_FILE_BYTES = 64 * 1024 * 1024
# Of a weight file's content, for the digest: reading all of it would take minutes.
SAMPLES, SAMPLE_BYTES = 16, 4096
SIGNS_OF_A_MODEL = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


def read_checkpoint(source: Source) -> Checkpoint:
    """The facts of the model directory that `source` names.

    Raises: CheckpointError where the directory cannot be listed or holds no model.
    """
    directory, remote = source.directory, source.remote
    files = _list_files(directory)
    if remote is not None:
        files = {**remote.sizes, **files}
    problems: list[Problem] = []
    weights, weight_problems, headers = read_weights(directory, files, source.open)
    config = _read_optional(directory, files, "config.json", problems)
    tokenizer_config = _read_optional(directory, files, "tokenizer_config.json", problems)
    generation_config = _read_optional(directory, files, "generation_config.json", problems)
    adapter, adapter_problems = read_adapter(source, files)
    adapter_files = adapter.weights.files if adapter is not None else ()
    if "config.json" not in files and adapter is None:
        if weights.format == "none" and not any(name in files for name in SIGNS_OF_A_MODEL):
            raise _no_model(directory, files)
        problems.append(
            Problem(kind="absent", path="config.json", detail="the file is not in the directory")
        )
    auto_map = join_auto_maps(config, tokenizer_config)
    remote_code, code_problems = read_remote_code(directory, auto_map, generates=GENERATE in files)
    sentence, sentence_problems, sentence_contents = read_sentence_modules(directory, files)
    gguf, gguf_problems = _read_gguf(source, weights)
    is_of_library = bool(auto_map) or isinstance(config.get("model_type"), str)
    classes, hub_classes = ({}, ()) if is_of_library else read_classes(directory, files)
    tokenizer, tokenizer_problems = read_tokenizer(directory, files, tokenizer_config)
    return Checkpoint(
        directory=directory,
        source=source.source,
        revision=source.revision,
        config=config,
        tokenizer_config=tokenizer_config,
        generation_config=generation_config,
        auto_map=auto_map,
        files=files,
        weights=weights,
        remote_code=remote_code,
        problems=(
            *problems,
            *code_problems,
            *sentence_problems,
            *tokenizer_problems,
            *weight_problems,
            *adapter_problems,
            *gguf_problems,
            *loose_pickle_problems(directory, files, [*weights.files, *adapter_files]),
        ),
        digest=_digest(source, files, weights, {**headers, **sentence_contents}),
        sentence=sentence,
        hub_digests={} if remote is None else remote.digests(weights.files),
        tokenizer=tokenizer,
        hub_model=choose_class(hub_classes, weights.tensors, config, is_of_library=is_of_library),
        classes=classes,
        adapter=adapter,
        gguf=gguf,
        requirements=read_requirements(directory, files),
    )


def _read_gguf(source: Source, weights: Weights) -> tuple[GgufHeader | None, tuple[Problem, ...]]:
    if weights.format != "gguf":
        return None, ()
    name = weights.files[0]
    if source.remote is not None:  # the header has a vocabulary, too much to ask for in ranges
        return None, ()
    try:
        with open_regular(source.directory / name) as file:
            return read_gguf_header(file), ()
    except GgufError as error:
        kind: ProblemKind = "truncated" if error.is_short else "malformed"
        return None, (Problem(kind=kind, path=name, detail=error.detail),)
    except OSError:  # which reading the weights has told
        return None, ()


def _list_files(directory: Path) -> dict[str, int]:
    """Relative names and sizes; folders are followed two deep, links to folders are not."""
    found: dict[str, int] = {}
    pending = [(directory, "", 0)]
    while pending and len(found) < ENTRY_LIMIT:
        folder, prefix, depth = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda each: each.name):
                    name = f"{prefix}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        is_hidden = entry.name.startswith((".", "__"))
                        if depth < DEPTH_LIMIT and not is_hidden:
                            pending.append((Path(entry.path), f"{name}/", depth + 1))
                        if depth == 0 and name.endswith(FILES_ALWAYS):  # reading it will say so
                            found[name] = 0
                    else:
                        _add_file(entry, name, found)
        except OSError as error:
            if folder == directory:
                raise CheckpointError(
                    f"the directory cannot be listed: {error.strerror or error}",
                    where=str(directory),
                ) from error
    return found


def _add_file(entry: os.DirEntry[str], name: str, found: dict[str, int]) -> None:
    try:
        if entry.is_file():
            found[name] = entry.stat().st_size
        else:  # a link to nothing or to itself, a pipe, a device: reading it will say so
            found[name] = 0
    except OSError:
        found[name] = 0


def _read_optional(
    directory: Path, files: Mapping[str, int], name: str, problems: list[Problem]
) -> dict[str, Any]:
    if name not in files:
        return {}
    shape, problem = read_json(directory, name)
    if problem is not None:
        problems.append(problem)
    return shape


def _no_model(directory: Path, files: Mapping[str, int]) -> CheckpointError:
    cause = "the directory holds no model: neither a config.json nor a weight file"
    where = str(directory)
    inside = sorted(name for name in files if name.endswith("/config.json"))
    foreign = foreign_layout(files)
    if foreign is not None:
        return CheckpointError(
            f"the directory holds {foreign.title}, which transformers does not load: "
            f"`{foreign.file}`",
            where=where,
            hint=foreign.hint,
        )
    if "model_index.json" in files:
        cause = "the directory holds a diffusers pipeline, which is not a language model"
    elif inside:
        return CheckpointError(
            cause,
            where=where,
            hint=f"trueup check {shlex.quote(str(directory / Path(inside[0]).parent))}",
        )
    return CheckpointError(cause, where=where)


def _samples(source: Source, name: str, size: int) -> Iterator[bytes]:
    """Blocks all over a file: a model that was trained further has the same header and size.

    Of a file that is on a hub, the hub's own digest.
    """
    if source.remote is not None and (known := source.remote.digest(name)):
        yield known.encode()
        return
    path = source.directory / name
    step = max(SAMPLE_BYTES, size // SAMPLES)
    try:
        with open_regular(path) as file:
            for start in range(0, size, step):
                file.seek(start)
                yield file.read(SAMPLE_BYTES)
    except OSError:
        yield b"unreadable"


def _digest(
    source: Source, files: Mapping[str, int], weights: Weights, contents: Mapping[str, bytes]
) -> str:
    """`contents` are the weight files' headers, and what was read in folders below."""
    digest = hashlib.sha256()
    directory = source.directory
    for name in sorted(files):
        if name in weights.files or not name.endswith(SMALL_SUFFIXES) or "/" in name:
            continue
        digest.update(f"{name}\0{files[name]}\0".encode(errors="surrogateescape"))
        if files[name] <= SMALL_FILE_BYTES:
            try:
                digest.update(read_regular(directory / name))
            except OSError:
                digest.update(b"unreadable")
    for name in weights.files:
        digest.update(f"{name}\0{files.get(name, -1)}\0".encode(errors="surrogateescape"))
        digest.update(contents.get(name, b""))
        for block in _samples(source, name, files.get(name, 0)):
            digest.update(block)
    for name in sorted(contents):
        if "/" in name and name not in weights.files:
            digest.update(f"{name}\0".encode(errors="surrogateescape"))
            digest.update(contents[name])
    return f"sha256:{digest.hexdigest()}"
