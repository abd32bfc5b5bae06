"""Cuts the Python files of a folder into functions. Nothing is imported or run."""

from __future__ import annotations

import ast
import os
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages", "venv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function or method; `name` is as in `Class.method`, lines count from 1."""

    file: str
    name: str
    first_line: int
    last_line: int
    code: str

    @property
    def place(self) -> str:
        """Where it is, as editors take it."""
        return f"{self.file}:{self.first_line} {self.name}"


def read_functions(folder: Path) -> tuple[list[Function], list[str]]:
    """All functions of the folder by path and line, and why files were left out.

    Hidden folders and those of installed packages are not looked into.
    """
    found: list[Function] = []
    left_out: list[str] = []
    for path in _python_files(folder):
        file = path.relative_to(folder).as_posix()
        try:
            with tokenize.open(path) as source:  # by the coding line, as Python itself
                found += split(source.read(), file)
        except SyntaxError as error:
            left_out.append(f"{file}:{error.lineno or 1}: {error.msg}")
        # ValueError is a null byte or another encoding; the last two, code nested too deeply.
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            left_out.append(f"{file}: {error}")
    return found, left_out


def split(text: str, file: str) -> list[Function]:
    """The functions of one file, methods too; one within a function belongs to that one.

    Raises: SyntaxError, ValueError
    """
    # Not splitlines(): that also cuts at form feeds, where Python counts no line.
    lines = [f"{line}\n" for line in text.split("\n")]
    found = []
    for prefix, node in _definitions(ast.parse(text), ""):
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        last = node.end_lineno or node.lineno
        found.append(
            Function(
                file=file,
                name=f"{prefix}{node.name}",
                first_line=first,
                last_line=last,
                code="".join(lines[first - 1 : last]),
            )
        )
    return found


def _definitions(
    parent: ast.AST, prefix: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix, node
        elif isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.stmt | ast.ExceptHandler):
            yield from _definitions(node, prefix)  # under `if` or `try`


def _python_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in SKIPPED_FOLDERS and not name.startswith(".")
        )
        for name in sorted(names):
            if name.endswith(".py") and (path := Path(root, name)).is_file():
                yield path
