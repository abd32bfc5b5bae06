"""What one side said: arrays by name and facts as JSON, in one npz without pickles.

Written by a child process or on another machine, read by whoever compares. The facts hold a
digest of every array and of themselves, so a changed byte is told.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trueup.errors import CheckpointError

Array = npt.NDArray[Any]
FACTS = "facts.json"
ANSWERS_VERSION = 1
# What numpy and its archives raise for a file of another kind, or a damaged one.
NOT_OURS = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Arrays such as `prompt-5/logits` [positions, vocabulary], and the facts around them."""

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any]

    def cases(self) -> tuple[str, ...]:
        """The names of what was asked."""
        ends = "/logits"
        return tuple(name.removesuffix(ends) for name in self.arrays if name.endswith(ends))


def write_answers(
    path: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any], *, is_small: bool = False
) -> None:
    """Write the file, whole or not at all; `is_small` compresses it.

    Raises: OSError.
    """
    told: dict[str, Any] = {
        **facts,
        "answers_version": ANSWERS_VERSION,
        "arrays": {name: array_digest(values) for name, values in arrays.items()},
    }
    told["digest"] = facts_digest(told)
    packed: dict[str, Any] = {
        **arrays,
        FACTS: np.frombuffer(json.dumps(told).encode(), dtype=np.uint8),
    }
    half = path.with_name(f"{path.name}.half-{os.getpid()}")
    try:
        with half.open("wb") as file:
            # Numbers alone: numpy 1.x has no `allow_pickle` here and would take it for an array.
            (np.savez_compressed if is_small else np.savez)(file, **packed)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def read_answers(path: Path) -> Answers:
    """Read the file back.

    Raises: CheckpointError where it cannot be read, or is not what was written.
    """
    try:
        # Opened here: numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
        facts = json.loads(arrays.pop(FACTS).tobytes())
        listed, digest = facts["arrays"], facts.pop("digest")
    except OSError as error:
        raise CheckpointError(
            f"the file cannot be read: {error.strerror or 'it is no npz'}", where=str(path)
        ) from error
    except NOT_OURS as error:
        # What numpy says of other files is how to load them with pickles, as nobody should.
        raise CheckpointError(
            "this is no file that `trueup verify --record` wrote, or it is damaged",
            where=str(path),
            hint="record it again",
        ) from error
    _check(path, arrays, facts, listed, digest)
    return Answers(arrays=arrays, facts=facts)


def _check(
    path: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any], listed: Any, digest: Any
) -> None:
    changed = ""
    if facts.get("answers_version") != ANSWERS_VERSION:
        changed = (
            f"its `answers_version` is `{facts.get('answers_version')}`, expected "
            f"`{ANSWERS_VERSION}`"
        )
    elif facts_digest(facts) != digest:
        changed = "its facts are not those that were written: somebody changed the file"
    elif not isinstance(listed, dict) or set(listed) != set(arrays):
        changed = "its arrays are not those that were written: somebody changed the file"
    else:
        name = next((each for each in listed if array_digest(arrays[each]) != listed[each]), None)
        if name is not None:
            changed = f"`{name}` is not what was written: somebody changed the file"
    if changed:
        raise CheckpointError(changed, where=str(path), hint="record it again")


def facts_digest(facts: Mapping[str, Any]) -> str:
    """`sha256:…` over a JSON value, whatever the order of its keys."""
    return f"sha256:{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()}"


def array_digest(values: Array) -> str:
    """`sha256:…` over kind, shape and bytes."""
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape}\0".encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return f"sha256:{digest.hexdigest()}"
