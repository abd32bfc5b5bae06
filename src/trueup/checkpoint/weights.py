"""Weight files, read from their headers: names, shapes and sizes, never the numbers.

Chooses the files that transformers would load, in its order of preference. Loads nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from trueup.checkpoint.checkpoint import Problem, TensorInfo, Weights, WeightsFormat
from trueup.checkpoint.damage import HEAD_BYTES, mistaken_content
from trueup.checkpoint.json_file import read_json
from trueup.checkpoint.pickle_words import described
from trueup.checkpoint.pickles import PickleContent, PickleError, read_pickle_header
from trueup.checkpoint.regular import open_regular
from trueup.checkpoint.safetensors_header import HeaderError, read_safetensors_header

# In transformers' own order of preference; the index of a format lists its shards.
SINGLE_FILES: tuple[tuple[str, WeightsFormat], ...] = (
    ("model.safetensors", "safetensors"),
    ("model.safetensors.index.json", "safetensors"),
    ("pytorch_model.bin", "pickle"),
    ("pytorch_model.bin.index.json", "pickle"),
)
INDEX_SUFFIX = ".index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
NOT_WEIGHTS = ("training_args.bin", "optimizer", "scheduler", "rng_state", "scaler")
# Opens a file of the model by its name.
OpenFile = Callable[[str], BinaryIO]


@dataclass(slots=True)
class _Reading:
    """What has been found so far; `headers` are the bytes that the digest covers.

    `of_files` has the tensors by file: two may have one of the same name.
    """

    open: OpenFile
    problems: list[Problem] = field(default_factory=list)
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    of_files: dict[str, Mapping[str, TensorInfo]] = field(default_factory=dict)
    headers: dict[str, bytes] = field(default_factory=dict)
    file_bytes: int = 0


def weight_files(directory: Path, files: Mapping[str, int]) -> tuple[str, ...]:
    """The names of the files that would be loaded, there or not; the index must be there."""
    return _choose(directory, files, _Reading(open=lambda name: open_regular(directory / name)))[1]


def read_weights(
    directory: Path, files: Mapping[str, int], open_file: OpenFile | None = None
) -> tuple[Weights, tuple[Problem, ...], Mapping[str, bytes]]:
    """The weights of a directory, what is wrong with them, and the bytes of their headers.

    `open_file` opens those weight files of `files` that are elsewhere.
    """
    reading = _Reading(open=open_file or (lambda name: open_regular(directory / name)))
    weights_format, names, placed = _choose(directory, files, reading)
    if weights_format == "none":
        return Weights(format="none"), (), {}
    return _read_files(directory, files, weights_format, names, placed, reading)


def _choose(
    directory: Path, files: Mapping[str, int], reading: _Reading
) -> tuple[WeightsFormat, tuple[str, ...], Mapping[str, str]]:
    """The format, the files, and which tensor an index places where."""
    for name, weights_format in SINGLE_FILES:
        if name not in files:
            continue
        shards: tuple[str, ...] = (name,)
        placed: Mapping[str, str] = {}
        if name.endswith(INDEX_SUFFIX):
            placed = _read_index(directory, name, reading)
            shards = tuple(sorted(set(placed.values())))
        return weights_format, shards, placed
    loose = _loose_files(files)
    if loose is None:
        return "none", (), {}
    weights_format, names = loose
    if weights_format != "gguf" and len(names) > 1:
        single = SINGLE_FILES[1 if weights_format == "safetensors" else 3][0]
        reading.problems.append(
            Problem(
                kind="absent",
                path=single,
                detail=f"{len(names)} weight files but no index that says what is in which",
            )
        )
    return weights_format, names, {}


def read_named(
    directory: Path,
    files: Mapping[str, int],
    open_file: OpenFile,
    weights_format: WeightsFormat,
    name: str,
) -> tuple[Weights, tuple[Problem, ...]]:
    """One weight file, whatever it is called, and what is wrong with it."""
    reading = _Reading(open=open_file)
    return _read_files(directory, files, weights_format, (name,), {}, reading)[:2]


def _loose_files(files: Mapping[str, int]) -> tuple[WeightsFormat, tuple[str, ...]] | None:
    """Weight files under names that transformers does not look for."""
    top = sorted(name for name in files if "/" not in name and not name.startswith(NOT_WEIGHTS))
    kinds: tuple[tuple[WeightsFormat, tuple[str, ...]], ...] = (
        ("safetensors", (".safetensors",)),
        ("pickle", PICKLE_SUFFIXES),
        ("gguf", (".gguf",)),
    )
    for weights_format, suffixes in kinds:
        names = tuple(
            name
            for name in top
            if name.endswith(suffixes) and not name.startswith(("adapter_model", "tokenizer"))
        )
        if names:
            return weights_format, names
    return None


def _read_index(directory: Path, name: str, reading: _Reading) -> Mapping[str, str]:
    """`weight_map` of an index: tensor name to file; only plain file names count."""
    shape, problem = read_json(directory, name)
    if problem is not None:
        reading.problems.append(problem)
        return {}
    weight_map = shape.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        reading.problems.append(
            Problem(
                kind="malformed",
                path=name,
                key="weight_map",
                detail="expected an object of tensor names and files",
            )
        )
        return {}
    placed: dict[str, str] = {}
    for tensor, file in weight_map.items():
        if not isinstance(file, str) or ".." in file.split("/") or file.startswith("/"):
            reading.problems.append(
                Problem(
                    kind="malformed",
                    path=name,
                    key=f"weight_map.{tensor}",
                    detail=f"`{_short(file)}` is not the name of a file in this directory",
                )
            )
            continue
        placed[tensor] = file
    reading.headers[name] = json.dumps(placed, sort_keys=True).encode()
    return placed


def _read_files(
    directory: Path,
    files: Mapping[str, int],
    weights_format: WeightsFormat,
    names: tuple[str, ...],
    placed: Mapping[str, str],
    reading: _Reading,
) -> tuple[Weights, tuple[Problem, ...], Mapping[str, bytes]]:
    readable: set[str] = set()
    for name in names:
        if name not in files and not (directory / name).is_file():
            reading.problems.append(_missing_shard(name, placed))
            continue
        if _read_one(name, weights_format, reading):
            readable.add(name)
    for tensor, file in placed.items():
        found = reading.of_files.get(file, {}).get(tensor)
        if found is not None:
            reading.tensors[tensor] = found
        elif file in readable and reading.tensors:
            reading.problems.append(
                Problem(
                    kind="missing_tensor",
                    path=file,
                    key=tensor,
                    detail=f"the index places `{_short(tensor)}` here, the header lacks it",
                )
            )
    reading.problems += _left_out(placed, reading.tensors)
    size_bytes = sum(tensor.size_bytes for tensor in reading.tensors.values())
    weights = Weights(
        format=weights_format,
        files=names,
        tensors=reading.tensors,
        size_bytes=size_bytes or reading.file_bytes,
    )
    return weights, tuple(reading.problems), reading.headers


def _left_out(placed: Mapping[str, str], tensors: Mapping[str, TensorInfo]) -> tuple[Problem, ...]:
    """Tensors of the shards that the index does not name, told once for each shard."""
    found: dict[str, list[str]] = {}
    for tensor in tensors.values() if placed else ():
        if tensor.name not in placed:
            found.setdefault(tensor.file, []).append(tensor.name)
    return tuple(
        Problem(
            kind="left_out",
            path=file,
            key=names[0],
            detail=f"{len(names)} of its tensors are not in the index, `{_short(names[0])}` first",
        )
        for file, names in found.items()
    )


def _missing_shard(name: str, placed: Mapping[str, str]) -> Problem:
    count = sum(1 for file in placed.values() if file == name)
    return Problem(
        kind="missing_shard",
        path=name,
        detail=f"the index places {count} tensors in it and the file is not there",
    )


def _read_one(name: str, weights_format: WeightsFormat, reading: _Reading) -> bool:
    try:
        with reading.open(name) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(HEAD_BYTES)
            reading.file_bytes += size
            problem = mistaken_content(name, head)
            if problem is None and size == 0:
                problem = Problem(kind="truncated", path=name, detail="0 bytes")
            if problem is not None:
                reading.problems.append(problem)
                return False
            file.seek(0)
            header = _read_header(file, name, weights_format, reading) or head
    except (HeaderError, PickleError) as error:
        reading.problems.append(Problem(kind=error.kind, path=name, detail=error.detail))
        return False
    except OSError as error:
        reading.problems.append(
            Problem(kind="unreadable", path=name, detail=error.strerror or str(error))
        )
        return False
    reading.headers[name] = header
    return True


def _read_header(
    file: BinaryIO, name: str, weights_format: WeightsFormat, reading: _Reading
) -> bytes:
    """Take the tensors of a file into `reading`; the header's bytes, none where none is read."""
    if weights_format == "safetensors":
        found, header = read_safetensors_header(file, name)
        reading.tensors.update(found)
        reading.of_files[name] = found
        return header
    if weights_format == "pickle":
        content = read_pickle_header(file, name)
        reading.tensors.update(content.tensors)
        reading.of_files[name] = content.tensors
        reading.problems += _pickle_problems(name, content)
        return content.header
    return b""


def _pickle_problems(name: str, content: PickleContent) -> list[Problem]:
    if content.unsafe:
        return [_unsafe(name, content.unsafe)]
    if content.odd:
        shown = ", ".join(f"`{each}`" for each in content.odd[:8])
        detail = f"written with {shown}, which torch's weights-only loader does not follow"
        return [Problem(kind="odd_pickle", path=name, detail=detail)]
    if content.is_archive:
        return []
    detail = "torch's layout from before 1.6, which the loader cannot map into memory"
    return [Problem(kind="old_layout", path=name, detail=detail)]


def _unsafe(name: str, names: tuple[str, ...]) -> Problem:
    shown = ", ".join(described(names[:8]))
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return Problem(
        kind="unsafe_pickle", path=name, detail=f"unpickling it would import {shown}{more}"
    )


def _short(value: Any) -> str:
    """A value of somebody else's file, fit for one line of a message."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= 120 else f"{text[:117]}..."
