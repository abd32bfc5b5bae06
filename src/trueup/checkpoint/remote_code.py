"""The model's own Python files, parsed and never run.

Starts from what `auto_map` names, and from the function that generates, which transformers runs
while it loads; follows relative imports, as transformers does.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trueup.checkpoint.checkpoint import Problem, RemoteModule
from trueup.checkpoint.damage import HEAD_BYTES, mistaken_content
from trueup.checkpoint.python_2 import python_2_sign
from trueup.checkpoint.regular import read_regular

FILE_LIMIT_BYTES = 2 * 1024 * 1024
MODULE_LIMIT = 200
# Run by `from_pretrained(…, trust_remote_code=True)` where it lies there; no config names it.
GENERATE = "custom_generate/generate.py"
REQUIREMENTS = "custom_generate/requirements.txt"
REQUIREMENTS_BYTES = 64 * 1024


def join_auto_maps(*configs: Mapping[str, Any]) -> dict[str, str]:
    """Auto class name to `module.Class` of several JSON files; the first that names it wins.

    A pair, as tokenizers have, gives its slow class, else its fast one.
    """
    joined: dict[str, str] = {}
    for config in configs:
        auto_map = config.get("auto_map")
        if isinstance(auto_map, list | tuple | str):  # tokenizer_config's oldest spelling
            auto_map = {"AutoTokenizer": auto_map}
        if not isinstance(auto_map, dict):
            continue
        for auto_class, named in auto_map.items():
            names = named if isinstance(named, list) else [named]
            first = next((name for name in names if isinstance(name, str) and name), None)
            if first is not None:
                joined.setdefault(auto_class, first)
    return joined


def read_remote_code(
    directory: Path, auto_map: Mapping[str, str], *, generates: bool = False
) -> tuple[dict[str, RemoteModule], tuple[Problem, ...]]:
    """The modules that `auto_map` reaches, by file name, and what is wrong with them.

    `generates` says that a function of its own for generating is among the files. Code of another
    repository (`org/name--module.Class`) is not followed.
    """
    modules: dict[str, RemoteModule] = {}
    problems: list[Problem] = []
    pending: list[tuple[str, str, int | None, str | None]] = []
    for auto_class, reference in sorted(auto_map.items()):
        if "--" in reference:
            continue
        module, dot, name = reference.partition(".")
        if not dot or "." in name or not module.isidentifier():
            problems.append(
                Problem(
                    kind="malformed",
                    path="config.json",
                    key=f"auto_map.{auto_class}",
                    detail=f"`{reference[:80]!r}` is not `module.Class`",
                )
            )
            continue
        pending.append((f"{module}.py", "config.json", None, f"auto_map.{auto_class}"))
    if generates:
        pending.append((GENERATE, "transformers", None, None))
    seen: set[str] = set()
    while pending and len(seen) < MODULE_LIMIT:
        path, asked_by, line, key = pending.pop(0)
        if path in seen:
            continue
        seen.add(path)
        found, problem = _read_module(directory, path, asked_by, line, key)
        if problem is not None:
            problems.append(problem)
        if found is not None:
            modules[path] = found
            pending += [(name, path, at, None) for name, at in _relative_imports(found)]
    return modules, tuple(problems)


def _read_module(
    directory: Path, path: str, asked_by: str, line: int | None, key: str | None
) -> tuple[RemoteModule | None, Problem | None]:
    try:
        content = read_regular(directory / path, FILE_LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        detail = f"asked for by {asked_by}" + (f" at line {line}" if line else "")
        return None, Problem(kind="absent", path=path, detail=detail, key=key)
    except OSError as error:  # no file, a loop of links, not ours to read
        return None, Problem(kind="unreadable", path=path, detail=error.strerror or str(error))
    if len(content) > FILE_LIMIT_BYTES:
        detail = f"larger than {FILE_LIMIT_BYTES:,} bytes"
        return None, Problem(kind="python_syntax", path=path, detail=detail)
    mistaken = mistaken_content(path, content[:HEAD_BYTES])
    if mistaken is not None:
        return None, mistaken
    tree, problem = _parse(content, path)
    if problem is None or problem.kind == "python_syntax":
        problem = _odd_bytes(content, path) or problem
    source = content.decode("utf-8", errors="replace")
    digest = hashlib.sha256(content).hexdigest()
    return RemoteModule(path=path, source=source, sha256=digest, tree=tree), problem


def _parse(content: bytes, path: str) -> tuple[ast.Module | None, Problem | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in somebody else's strings
            return ast.parse(content, filename=path), None
    except SyntaxError as error:
        sign = python_2_sign(error, content)
        return None, Problem(
            kind="python_2" if sign else "python_syntax",
            path=path,
            line=error.lineno,
            detail=sign or error.msg or "does not parse",
        )
    except (ValueError, RecursionError, MemoryError) as error:
        detail = f"does not parse: {type(error).__name__}"
        return None, Problem(kind="python_syntax", path=path, detail=detail)


def _odd_bytes(content: bytes, path: str) -> Problem | None:
    """Where a file is not UTF-8, which transformers reads it as, whatever its first lines say."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte, line = content[error.start], content.count(b"\n", 0, error.start) + 1
        detail = (
            f"not UTF-8 (the byte 0x{byte:02x}): transformers reads code as UTF-8, also where a "
            "coding line, which Python itself obeys, names another encoding"
        )
        return Problem(kind="python_syntax", path=path, line=line, detail=detail)
    return None


def _relative_imports(module: RemoteModule) -> list[tuple[str, int]]:
    """File names and lines of `from .x import y` and `from . import x`, wherever they stand."""
    folder = module.path.rpartition("/")[0]
    found: list[tuple[str, int]] = []
    for node in module.nodes:
        if not isinstance(node, ast.ImportFrom) or node.level != 1:
            continue
        names = [node.module] if node.module else [alias.name for alias in node.names]
        for name in names:
            path = f"{name.replace('.', '/')}.py"
            found.append((f"{folder}/{path}" if folder else path, node.lineno))
    return found


def read_requirements(directory: Path, files: Mapping[str, int]) -> tuple[str, ...]:
    """The packages that the function for generating asks for, as its file says them."""
    if GENERATE not in files or REQUIREMENTS not in files:
        return ()
    try:
        text = read_regular(directory / REQUIREMENTS, REQUIREMENTS_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def parse_file(directory: Path, path: str) -> ast.Module | None:
    """A Python file's tree; None where it is too large, cannot be read or does not parse."""
    try:
        content = read_regular(directory / path, FILE_LIMIT_BYTES + 1)
    except OSError:
        return None
    return _parse(content, path)[0] if len(content) <= FILE_LIMIT_BYTES else None
