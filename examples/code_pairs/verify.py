"""Run every source on its group's cases and hold the labels to what it answers.

A variant of the same function must give the outputs of `base.py`, a near miss must differ
on at least one case. Languages whose tools are not on PATH are named and left out.
Usage: `python examples/code_pairs/verify.py [GROUP …]`; exits 1 when a label is wrong,
2 when a group is unknown.
"""

from __future__ import annotations

import ast
import copy
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import build
import harness

TOOLS = {
    "javascript": ("node",),
    "java": ("java",),
    "c": ("gcc",),
    "cpp": ("g++",),
    "rust": ("rustc",),
}
FILES = {
    "javascript": "main.js",
    "java": "Main.java",
    "c": "main.c",
    "cpp": "main.cpp",
    "rust": "main.rs",
}
COMPILERS = {
    "c": ["gcc", "-std=c11", "-Wall", "-o", "main", "main.c", "-lm"],
    "cpp": ["g++", "-std=c++17", "-O0", "-o", "main", "main.cpp"],
    "rust": ["rustc", "--edition", "2021", "-A", "warnings", "-o", "main", "main.rs"],
}
RUN_SECONDS = 60


def run_python(code: str, cases: list[list[Any]]) -> list[Any]:
    """Return what the last function of `code` answers, an error by the name of its class."""
    name = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)][-1]
    namespace: dict[str, Any] = {}
    exec(compile(code, name, "exec"), namespace)
    answers = []
    for case in cases:
        try:
            answers.append(json.loads(json.dumps(namespace[name](*copy.deepcopy(case)))))
        except Exception as error:
            answers.append({"raises": type(error).__name__})
    return answers


def run_elsewhere(language: str, code: str, cases: list[list[Any]]) -> list[Any]:
    """Return what a translation answers; a crash ends the list early.

    Raises:
        ValueError: the program does not compile.
    """
    with tempfile.TemporaryDirectory(prefix="code-pairs-") as folder:
        source = Path(folder) / FILES[language]
        source.write_text(harness.PROGRAMS[language](code, cases), encoding="utf-8")
        if language in COMPILERS:
            built = subprocess.run(COMPILERS[language], cwd=folder, capture_output=True, text=True)
            if built.returncode:
                raise ValueError(built.stderr)
            command = ["./main"]
        else:
            command = [*TOOLS[language], source.name]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=RUN_SECONDS
        )
        if language == "java" and "error: compilation failed" in done.stderr:
            raise ValueError(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]


def same(left: Any, right: Any) -> bool:
    """Whether two answers are equal, numbers up to rounding (1e-9 relative or absolute)."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def answers_of(variant: build.Variant, cases: list[list[Any]]) -> list[Any]:
    """Return what a variant answers, in whatever language it is."""
    if variant.language == "python":
        return run_python(variant.code, cases)
    return run_elsewhere(variant.language, variant.code, cases)


def fault_of(variant: build.Variant, cases: list[list[Any]], expected: list[Any]) -> str | None:
    """Return what contradicts the variant's label, None when nothing does."""
    try:
        answers = answers_of(variant, cases)
    except ValueError as error:
        return f"does not compile: {error}"
    if variant.role == "near_miss":
        return "answers every case like base.py" if same(answers, expected) else None
    for case, answer, wanted in zip(cases, answers, expected, strict=False):
        if not same(answer, wanted):
            return f"{json.dumps(case)} gives {json.dumps(answer)}, not {json.dumps(wanted)}"
    if len(answers) != len(expected):
        return f"answers {len(answers)} of {len(expected)} cases"
    return None


def main(names: list[str]) -> int:
    """Verify the named groups, all without names."""
    here = {name for name, tool in TOOLS.items() if all(map(shutil.which, tool))} | {"python"}
    verified: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    faults = 0
    groups = build.read_groups()
    if unknown := set(names) - {group.name for group in groups}:
        print(f"no folder of sources/: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for group in groups:
        if names and group.name not in names:
            continue
        cases = build.read_cases(group.name)
        expected = run_python(group.same[0].code, cases)
        for variant in (*group.same, *group.near):
            if variant.language not in here:
                left_out[variant.language] += 1
            elif fault := fault_of(variant, cases, expected):
                faults += 1
                print(f"{group.name}/{variant.path.name}: {fault}")
            else:
                verified[variant.language] += 1
    print("verified:", ", ".join(f"{name} {count}" for name, count in sorted(verified.items())))
    if left_out:
        print("no tool on PATH:", ", ".join(f"{n} {c}" for n, c in sorted(left_out.items())))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
