"""Reads what a checkpoint made by Sentence Transformers says besides transformers' own files.

`modules.json` lists what follows the model (pooling, normalisation, …), each with a folder and a
config of its own. JSON only: nothing of it is imported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from trueup.checkpoint.checkpoint import Problem, SentenceModule, SentenceModules
from trueup.checkpoint.json_file import LIMIT_BYTES, read_json
from trueup.checkpoint.regular import read_regular

LIST_FILE = "modules.json"
SETTINGS_FILE = "config_sentence_transformers.json"
# The name of this file came from the first model that had it.
TRANSFORMER_FILES = ("sentence_bert_config.json", "sentence_roberta_config.json")


@dataclass(slots=True)
class _Reading:
    """What was read so far; `bytes_read` are for the checkpoint's digest."""

    directory: Path
    files: Mapping[str, int]
    problems: list[Problem] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)

    def json(self, name: str) -> dict[str, Any]:
        """The object in a file; empty where there is none."""
        if name not in self.files:
            return {}
        shape, problem = read_json(self.directory, name)
        if problem is not None:
            self.problems.append(problem)
        else:
            self.contents[name] = json.dumps(shape, sort_keys=True).encode()
        return shape


def read_sentence_modules(
    directory: Path, files: Mapping[str, int]
) -> tuple[SentenceModules, tuple[Problem, ...], Mapping[str, bytes]]:
    """The modules of a checkpoint, what is wrong with their files, and what was read by file.

    Without a `modules.json` there are none.
    """
    if LIST_FILE not in files:
        return SentenceModules(), (), {}
    reading = _Reading(directory, files)
    listed = _listed(reading)
    settings = reading.json(SETTINGS_FILE)
    transformer = next((reading.json(name) for name in TRANSFORMER_FILES if name in files), {})
    modules = SentenceModules(
        is_present=True,
        modules=tuple(_module(reading, entry) for entry in listed),
        settings=settings,
        transformer=transformer,
    )
    return modules, tuple(reading.problems), reading.contents


def _listed(reading: _Reading) -> list[Mapping[str, Any]]:
    """The entries of modules.json: a list, where all other files hold an object."""
    try:
        content = read_regular(reading.directory / LIST_FILE, LIMIT_BYTES)
        shape = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reading.problems.append(Problem(kind="not_json", path=LIST_FILE, detail=detail))
        return []
    reading.contents[LIST_FILE] = content
    if isinstance(shape, list) and all(isinstance(entry, dict) for entry in shape):
        return shape
    detail = "expected a list of objects with `type` and `path`"
    reading.problems.append(Problem(kind="not_json", path=LIST_FILE, detail=detail))
    return []


def _module(reading: _Reading, entry: Mapping[str, Any]) -> SentenceModule:
    folder = str(entry.get("path") or "")
    is_inside = not PurePosixPath(folder).is_absolute() and ".." not in PurePosixPath(folder).parts
    place = str(PurePosixPath(folder) / "config.json")
    config = reading.json(place) if folder and is_inside else {}
    return SentenceModule(
        type=str(entry.get("type") or "").rpartition(".")[2], path=folder, config=config
    )
