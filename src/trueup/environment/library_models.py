"""Which models an installed transformers implements, read from its sources without importing it.

Parsing takes a third of a second, so the answer is kept under TRUEUP_HOME by version and file.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from trueup.config.home import trueup_home

CONFIG_NAMES = "CONFIG_MAPPING_NAMES"
CAUSAL_NAMES = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"
BASE_NAMES = "MODEL_MAPPING_NAMES"
# auto_mappings.py holds the generated part of the config names since 5.x.
CONFIG_FILES = ("auto_mappings.py", "configuration_auto.py")
MODEL_FILE = "modeling_auto.py"
CACHE_VERSION = 1

T = TypeVar("T")


def library_models(package: Path, version: str) -> dict[str, str | None]:
    """Model types of the transformers at `package`, with their causal language model class.

    Empty where its sources are not laid out as expected.
    """
    folder = package / "models" / "auto"
    return _kept("models", folder, version, lambda: read_library_models(folder))


def library_bases(package: Path, version: str) -> dict[str, str]:
    """Model types of the transformers at `package`, with the class that has no head.

    Empty where its sources are not laid out as expected.
    """
    folder = package / "models" / "auto"
    return _kept("bases", folder, version, lambda: _table(folder / MODEL_FILE, BASE_NAMES))


def read_library_models(folder: Path) -> dict[str, str | None]:
    """What `library_models` answers, from the sources in `models/auto` itself."""
    configs: dict[str, str] = {}
    for name in CONFIG_FILES:
        configs.update(_table(folder / name, CONFIG_NAMES))
    causal = _table(folder / MODEL_FILE, CAUSAL_NAMES)
    return {model_type: causal.get(model_type) for model_type in {**configs, **causal}}


def _kept(what: str, folder: Path, version: str, read: Callable[[], dict[str, T]]) -> dict[str, T]:
    """What `read` answers, from the cache where it was read before."""
    cache = trueup_home() / "cache" / f"{what}-{_key(folder, version)}.json"
    try:
        kept = json.loads(cache.read_bytes())
        if isinstance(kept, dict):
            return kept
    except (OSError, ValueError):
        pass
    found = read()
    if found:
        _keep(cache, found)
    return found


def _table(path: Path, name: str) -> dict[str, str]:
    """The pairs of strings in every assignment to or `update` of the module's `name`.

    A class may be a tuple of classes: the first is the one that a plain config gets.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    pairs: dict[str, str] = {}
    for statement in tree.body:
        if not _is_about(statement, name):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.List):
                for pair in node.elts:
                    if isinstance(pair, ast.Tuple) and len(pair.elts) == 2:
                        _add(pair.elts[0], pair.elts[1], pairs)
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    _add(key, value, pairs)
    return pairs


def _is_about(statement: ast.stmt, name: str) -> bool:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.attr == "update"
    ):
        targets = [statement.value.func.value]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _add(key: ast.expr | None, value: ast.expr, pairs: dict[str, str]) -> None:
    if isinstance(value, ast.Tuple) and value.elts:
        value = value.elts[0]
    if (
        isinstance(key, ast.Constant)
        and isinstance(key.value, str)
        and isinstance(value, ast.Constant)
        and isinstance(value.value, str)
    ):
        pairs[key.value] = value.value


def _key(folder: Path, version: str) -> str:
    parts = [str(CACHE_VERSION), version, str(folder)]
    for name in (*CONFIG_FILES, MODEL_FILE):
        try:
            status = (folder / name).stat()
        except OSError:
            continue
        parts.append(f"{name} {status.st_mtime_ns} {status.st_size}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _keep(cache: Path, models: Mapping[str, object]) -> None:
    """Write the cache; a home that cannot be written costs time, not the answer."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        half = cache.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(models, sort_keys=True), encoding="utf-8")
        half.replace(cache)
    except OSError:
        pass
