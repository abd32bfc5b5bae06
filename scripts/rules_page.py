"""Writes docs/rules.md from the rules themselves, with the tests' examples.

python -m scripts.rules_page           # write
python -m scripts.rules_page --check   # 1 where the page is not what would be written
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tests.doctor.examples import EXAMPLES
from tests.doctor.file_examples import FILE_EXAMPLES
from trueup.doctor.finding import ROUTES
from trueup.doctor.joining import STAGES
from trueup.doctor.rule import Rule
from trueup.doctor.rule_text import text_of
from trueup.doctor.rules import RULES
from trueup.doctor.rules.failure_rule import FailureRule

PAGE = Path(__file__).parent.parent / "docs" / "rules.md"
TOP = """\
# Rules

What `trueup check` looks for, by the code that a finding has. This page is written by
`python -m scripts.rules_page` from the rules themselves and from the examples that the tests make
and check: the change of a healthy model's code, or the files that differ from a whole directory's,
with `entry.py` for a file that `auto_map` names. The releases beside an example are those on which
it is tried, with all that is found there.

- **Stage**: where the failure is met, in the order in which a model is brought up.
- **Releases**: those of transformers on which it breaks; a finding about a name that the library
  has or has not tells the releases of that name itself.
- **Evidence**: `observed` in a run, `reported` by users of the models, `index`: read from what the
  releases themselves contain, or from the files.
- **Routes closed**: what `trueup plan` does not choose then; the native route runs none of a
  model's own code.

An error is the first failure of a stage, a warning what is behind it, or what fails on a way that
may not be taken. `trueup check --error TEXT` explains a pasted error by the same codes; what reads
like a message here is recognised.
"""
NO_CHANGE = "any"
WIDTH = 100


def page() -> str:
    """The whole page."""
    parts = [TOP]
    for stage in STAGES:
        rules = [rule for rule in RULES if rule.stage == stage]
        if rules:
            parts.append(f"## {stage}\n")
            parts += [_section(rule) for rule in sorted(rules, key=lambda each: each.code)]
    return "\n".join(parts).rstrip() + "\n"


def _section(rule: Rule) -> str:
    text = text_of(rule)
    closed = ", ".join(route for route in ROUTES if route in rule.blocks) or "none"
    lines = [
        f"### {rule.code}: {text.what}",
        *(_wrapped(paragraph) for paragraph in text.why),
        _wrapped(f"**Remedy:** {text.remedy}"),
        f"{rule.severity.capitalize()} · releases: {_releases(rule)} · evidence: "
        f"{rule.evidence} · routes closed: {closed}",
    ]
    example = next((each for each in EXAMPLES if each.first_code == rule.code), None)
    files = next((each for each in FILE_EXAMPLES if each.code == rule.code), None)
    if example is not None:
        lines += [f"```python\n{example.shown.strip()}\n```", _tried(example.rows)]
    elif files is not None:
        lines += [f"```text\n{files.shown()}\n```", _tried(files.tried)]
    return "\n\n".join(lines) + "\n"


def _wrapped(paragraph: str) -> str:
    return textwrap.fill(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)


def _releases(rule: Rule) -> str:
    ends = [end for end in (rule.until, rule.superseded) if end is not None]
    if rule.since is None and not ends:
        is_told = isinstance(rule, FailureRule) and type(rule).life is not FailureRule.life
        return "those without the name" if is_told else NO_CHANGE
    since = f"from {rule.since}" if rule.since else "the oldest"
    return f"{since} to before {ends[0]}" if ends else since


def _tried(rows: Sequence[tuple[str | None, str]]) -> str:
    told = [f"{version}: {codes or 'no finding'}" for version, codes in rows if version]
    without = [f"Tried without transformers: {codes}." for version, codes in rows if not version]
    return " ".join([*without, f"Tried on {', '.join(told)}."] if told else without)


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args()
    if not options.check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    is_same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
    if not is_same:
        print("docs/rules.md is old: run `python -m scripts.rules_page`", file=sys.stderr)
    return int(not is_same)


if __name__ == "__main__":
    raise SystemExit(main())
