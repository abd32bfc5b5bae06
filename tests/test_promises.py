"""Promises that no single module can keep: exports, lightness, file lengths, true documents."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trueup
from trueup.cli.main import VERBS, main

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "trueup"
MODULE_LINES = 300
# May only shrink. Data rows without logic are exempt by being listed with their reason.
LONG_MODULES: dict[str, str] = {}
HEAVY = ("torch", "transformers", "tokenizers", "numpy")
SERVER_FREE_OF = (*HEAVY, "pydantic", "ruamel", "rich", "huggingface_hub", "prompt_toolkit")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_public_names_are_sorted_and_resolve() -> None:
    assert trueup.__all__ == sorted(trueup.__all__)
    for name in trueup.__all__:
        assert getattr(trueup, name) is not None


def test_importing_trueup_imports_nothing_heavy() -> None:
    assert modules_after("import trueup").isdisjoint(SERVER_FREE_OF)


def test_the_gateway_starts_without_torch_and_without_what_it_does_not_need() -> None:
    assert modules_after("import trueup.gateway.app").isdisjoint(SERVER_FREE_OF)


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_check_and_plan_import_neither_torch_nor_transformers(verb: str) -> None:
    statement = f"import trueup.cli.main as m; m.main(['{verb}', 'demo', '--format', 'json'])"
    code = (
        f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().endswith("[]"), done.stderr


def test_modules_stay_short() -> None:
    long = {
        str(path.relative_to(SOURCES)): lines
        for path in SOURCES.rglob("*.py")
        if "demo_checkpoint" not in path.parts
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES
    }
    assert set(long) == set(LONG_MODULES), long


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_with_an_example(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "example" in shown
    assert f"trueup {verb}" in shown.partition("example")[2]


@pytest.mark.parametrize("document", ["README.md", "docs/design.md"])
def test_files_that_documents_name_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/.-]+\.(?:py|md|yaml|txt))`", text))
    named |= set(re.findall(r"\]\(([\w/.-]+)\)", text))
    missing = [
        name
        for name in sorted(named)
        if not any((base / name).exists() for base in (ROOT, SOURCES, ROOT / "docs"))
    ]
    assert not missing


def test_no_document_or_source_names_a_command_that_does_not_exist() -> None:
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *SOURCES.rglob("*.py")]
    unknown = {
        f"{path.relative_to(ROOT)}: trueup {verb}"
        for path in texts
        for verb in re.findall(r"`trueup ([a-z]+)[ `]", path.read_text(encoding="utf-8"))
        if verb not in VERBS
    }
    assert not unknown


def test_no_hint_names_a_command_that_does_not_exist() -> None:
    unknown = set()
    for path in SOURCES.rglob("*.py"):
        if "demo_checkpoint" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in ("hint", "command"):
                unknown |= {
                    f"{path.relative_to(ROOT)}:{node.value.lineno}: trueup {verb}"
                    for text in ast.walk(node.value)
                    if isinstance(text, ast.Constant) and isinstance(text.value, str)
                    for verb in re.findall(r"\btrueup ([a-z]+)\b", text.value)
                    if verb not in VERBS
                }
    assert not unknown
