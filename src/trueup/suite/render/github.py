"""What failed as GitHub's workflow commands: `::error file=…,line=…,title=…::…`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.suite.render.words import counts_words, unhappy


def github(report: Mapping[str, Any], *, root: Path) -> str:
    """A line for each problem of what failed or could not be judged, and one for the whole.

    Files below `root`, the repository, are named relative to it: only those can be marked.
    """
    lines = [line for case in unhappy(report) for line in _case_lines(case, root)]
    summary = report["summary"]
    level = "notice" if summary["passed"] == summary["cases"] else "warning"
    lines.append(f"::{level} title=trueup suite::{_data(counts_words(summary))}")
    return "\n".join(lines) + "\n"


def _case_lines(case: Mapping[str, Any], root: Path) -> Iterator[str]:
    """One for each problem; the last one tells what to use instead."""
    problems = [case, *case["more"]]
    for number, problem in enumerate(problems, start=1):
        instead = case["instead"] if number == len(problems) else None
        yield _line(case, problem, instead, root)


def _line(
    case: Mapping[str, Any], problem: Mapping[str, Any], instead: str | None, root: Path
) -> str:
    level = "error" if case["state"] == "failed" else "warning"
    where = problem["where"] or {}
    properties = {}
    if where.get("path"):
        properties["file"] = _relative(where["path"], root)
        if where.get("line"):
            properties["line"] = str(where["line"])
    properties["title"] = f"trueup suite: {case['id']}"
    told = [problem["cause"]]
    if where and not where.get("path"):
        told.append(f"where: {where['text']}")
    told += [
        f"{name}: {text}"
        for name, text in (("hint", problem["hint"]), ("instead", instead))
        if text
    ]
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {shown}::{_data(chr(10).join(map(str, told)))}"


def _relative(path: str, root: Path) -> str:
    whole = Path(path).absolute()
    return str(whole.relative_to(root) if whole.is_relative_to(root) else whole)


def _data(text: str) -> str:
    text = "".join(each if each.isprintable() or each in "\r\n" else " " for each in text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
