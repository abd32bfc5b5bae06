"""A cause: the stage, the exception type, and the deepest frame in the model's own files.

Labels and predictions are both brought to this shape, and `matches` is the whole of what counts
as right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

NEAR_LINES = 3
MODULE = "<module>"
# What a frame of a comprehension or a lambda adds to its function's name.
INNER = re.compile(r"(\.<locals>)?\.<(listcomp|setcomp|dictcomp|genexpr|lambda)>$")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{3,}")
QUOTED = re.compile(r"'([^']+)'|`([^`]+)`|\"([^\"]+)\"|(\w+)\(\) got an unexpected")
# Words of Python's and the library's own sentences: naming one says nothing of the cause.
COMMON = {"object", "attribute", "module", "import", "name", "type", "none", "nonetype", "keyword"}
COMMON |= {"argument", "expected", "unexpected", "transformers", "torch", "config", "model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What fails, or is said to; `text` is the message of one, the words of the other."""

    stage: str
    exception: str | None
    file: str | None = None
    line: int | None = None
    function: str | None = None
    text: str = ""
    code: str | None = None

    def __str__(self) -> str:
        place = f" in {self.file}:{self.line} {self.function or ''}".rstrip() if self.file else ""
        return f"{self.exception}{place}: {self.text.splitlines()[0] if self.text else ''}"

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What makes two causes of one stage the same one."""
        return (self.exception, self.file, self.function, None if self.file else self.text)


def matches(label: Cause, prediction: Cause, directory: Path, *, strictly: bool = False) -> bool:
    """Whether the prediction names the cause: stage, exception type and place.

    The place is file and function; `strictly`, it is the line within three or the same statement.
    Where the label has no frame of the model's own, the prediction has to name something that
    the message quotes.
    """
    if label.stage != prediction.stage or label.exception != prediction.exception:
        return False
    if label.file is None:
        return bool(quoted(label.text) & words(prediction.text)) or not quoted(label.text)
    if label.file != prediction.file or prediction.line is None or label.line is None:
        return False
    if strictly:
        near = abs(label.line - prediction.line) <= NEAR_LINES
        return near or prediction.line in statement(directory / label.file, label.line)
    return _around(label.function) == _around(prediction.function)


def quoted(message: str) -> frozenset[str]:
    """The identifiers that an error message quotes."""
    found = " ".join(part for match in QUOTED.findall(message) for part in match)
    if not found and "packages that were not found" in message:
        found = message.partition("environment:")[2].partition(". Run")[0]
    return words(found)


def words(text: str) -> frozenset[str]:
    return frozenset(word for word in IDENTIFIER.findall(text) if word.lower() not in COMMON)


def _around(function: str | None) -> str | None:
    """The function that a comprehension or a lambda stands in, whose frame is its own in 3.11."""
    return None if function is None else INNER.sub("", function)


@cache
def _functions(path: Path) -> tuple[tuple[int, int, str], ...]:
    """First line, last line and qualified name of every function and class, outermost first."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    found: list[tuple[int, int, str]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}"
                first = min([child.lineno, *(one.lineno for one in child.decorator_list)])
                found.append((first, child.end_lineno or child.lineno, name))
                inner = "." if isinstance(child, ast.ClassDef) else ".<locals>."
                visit(child, name + inner)
            else:
                visit(child, prefix)

    visit(tree, "")
    return tuple(found)


def function_at(path: Path, line: int) -> str:
    """The qualified name of the innermost function or class around a line, as frames have it."""
    inside = [name for first, last, name in _functions(path) if first <= line <= last]
    return inside[-1] if inside else MODULE


@cache
def statement(path: Path, line: int) -> range:
    """The lines of the innermost simple statement around a line."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return range(0)
    around = [
        range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and not hasattr(node, "body")
        if node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return min(around, key=len, default=range(0))


def of_outcome(stage: str, outcome: Mapping[str, Any]) -> Cause:
    """The cause of a failed outcome; `generate.cached` is a part of the stage `generate`."""
    frame = outcome.get("frame") or {}
    return Cause(
        stage=stage.partition(".")[0],
        exception=outcome.get("exception", outcome["outcome"].capitalize()),
        file=frame.get("file"),
        line=frame.get("line"),
        function=frame.get("function"),
        text=outcome.get("message", ""),
    )


def of_finding(finding: Mapping[str, Any], directory: Path) -> Cause:
    """The cause that a finding of `trueup check --format json` predicts."""
    where = finding.get("where") or {}
    file, line = str(where.get("path")), where.get("line")
    place: dict[str, Any] = {}
    if line is not None and file.endswith(".py"):
        # The head of a class is in the class, and run by the module.
        is_of_module = finding.get("function") == MODULE
        function = MODULE if is_of_module else function_at(directory / file, line)
        place = {"file": file, "line": line, "function": function}
    return Cause(
        stage=finding["stage"],
        exception=finding.get("exception"),
        text=finding["cause"],
        code=finding["code"],
        **place,
    )
