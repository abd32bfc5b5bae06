"""Writes docs/rules.md from the rules themselves, with the tests' examples.

python -m scripts.rules_page           # write
python -m scripts.rules_page --check   # 1 where the page is not what would be written
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

from tests.doctor.examples import EXAMPLES, Example
from trueup.doctor.finding import ROUTES
from trueup.doctor.joining import STAGES
from trueup.doctor.rule import Rule
from trueup.doctor.rules import RULES

PAGE = Path(__file__).parent.parent / "docs" / "rules.md"
TOP = """\
# Rules

What `trueup check` looks for, by the code that a finding has. This page is written by
`python -m scripts.rules_page` from the rules themselves; each example is the change of a healthy
model that the tests make, and the releases beside it are those on which they try it.

- **Stage**: where the failure is met, in the order in which a model is brought up.
- **Releases**: those of transformers on which it breaks; a finding about a name that the library
  has or has not tells the releases of that name itself.
- **Evidence**: `observed` in a run, `reported` by users of the models, `index`: read from what the
  releases themselves contain.
- **Routes closed**: what `trueup plan` does not choose then; the native route runs none of a
  model's own code.

An error is the first failure of a stage, a warning what is behind it, or what fails on a way that
may not be taken. `trueup check --error TEXT` explains a pasted error by the same codes.
"""
NO_CHANGE = "any"


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
    text = inspect.cleandoc(rule.__doc__ or "")
    what, _, rest = text.partition("\n\n")
    lines = [f"### {rule.code}: {' '.join(what.split()).rstrip('.')}\n"]
    if rest:
        lines.append(f"{rest}\n")
    closed = ", ".join(route for route in ROUTES if route in rule.blocks) or "none"
    lines.append(
        f"{rule.severity.capitalize()} · releases: {_releases(rule)} · evidence: "
        f"{rule.evidence} · routes closed: {closed}\n"
    )
    example = next((each for each in EXAMPLES if each.first_code == rule.code), None)
    if example is not None:
        lines += [f"```python\n{example.shown.strip()}\n```\n", f"{_tried(example)}\n"]
    return "\n".join(lines)


def _releases(rule: Rule) -> str:
    ends = [end for end in (rule.until, rule.superseded) if end is not None]
    if rule.since is None and not ends:
        return NO_CHANGE
    since = f"from {rule.since}" if rule.since else "the oldest"
    return f"{since} to before {ends[0]}" if ends else since


def _tried(example: Example) -> str:
    told = [f"{version}: {codes or 'no finding'}" for version, codes in example.rows]
    return "Tried on " + ", ".join(told) + "."


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
