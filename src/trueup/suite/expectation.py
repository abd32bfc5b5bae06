"""Whether an answer is what a prompt's author expects of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from trueup.suite.language import is_in, name_of

# A pattern can take for ever on a text, and nothing in this process could stop it.
MATCH_SECONDS = 5.0
MATCHER = (
    "import json, re, sys\n"
    "patterns, text = json.load(sys.stdin)\n"
    "print(json.dumps([bool(re.search(each, text, re.DOTALL)) for each in patterns]))"
)
SHOWN_CHARACTERS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What has to stand in an answer, what must not, and what it has to match."""

    contains: tuple[str, ...] = ()
    not_contains: tuple[str, ...] = ()
    matches: tuple[str, ...] = ()
    ignore_case: bool = False
    language: str | None = None


def shown(text: str) -> str:
    """The beginning of an answer on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


def disappointments(expectation: Expectation, text: str) -> list[str]:
    """What speaks against an answer; none where it is as expected."""
    against = []
    judged = text.casefold() if expectation.ignore_case else text

    def cased(word: str) -> str:
        return word.casefold() if expectation.ignore_case else word

    if missing := [each for each in expectation.contains if cased(each) not in judged]:
        against.append(f"it does not contain {_listing(missing)}")
    if present := [each for each in expectation.not_contains if cased(each) in judged]:
        against.append(f"it contains {_listing(present)}, which it must not")
    if expectation.matches:
        against += _unmatched(expectation, text)
    if expectation.language and not is_in(text, expectation.language):
        against.append(f"it is not in {name_of(expectation.language)}")
    return against


def _unmatched(expectation: Expectation, text: str) -> list[str]:
    flag = "(?i)" if expectation.ignore_case else ""
    patterns = [f"{flag}{each}" for each in expectation.matches]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", MATCHER],
            input=json.dumps([patterns, text]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
            timeout=MATCH_SECONDS,
        )
    except subprocess.TimeoutExpired:
        told = _listing(list(expectation.matches))
        return [f"{told} found no end within {MATCH_SECONDS:.0f} s: write a simpler pattern"]
    found = json.loads(done.stdout)
    missing = [
        each for each, is_there in zip(expectation.matches, found, strict=True) if not is_there
    ]
    return [f"it does not match {_listing(missing)}"] if missing else []


def _listing(texts: list[str]) -> str:
    return ", ".join(f"`{each}`" for each in texts)
