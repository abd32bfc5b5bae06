"""docs/rules.md is what the rules say, and every rule is worth a page."""

import re

import pytest

from scripts.rules_page import PAGE, page
from tests.doctor.examples import EXAMPLES
from tests.doctor.file_examples import FILE_EXAMPLES
from trueup.doctor.rule import Rule
from trueup.doctor.rule_text import text_of
from trueup.doctor.rules import RULES

# What a remedy begins with.
IMPERATIVES = {
    "Add", "Ask", "Call", "Change", "Compare", "Compute", "Convert", "Copy", "Correct", "Delete",
    "Do", "Drop", "Fetch", "Get", "Give", "Guard", "Inherit", "Initialise", "Install", "Join",
    "Keep", "Let", "Load", "Look", "Make", "Map", "Merge", "Move", "Pass", "Read", "Recompute",
    "Remove", "Rename", "Report", "Rewrite", "Run", "Save", "Set", "Stream", "Take", "Test", "Use",
    "Write",
}  # fmt: skip
PAGES = {text.partition(":")[0]: text for text in page().split("\n### ")[1:]}
MOST_LINES, LONGEST_LINE = 20, 120
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


@each_rule
def test_a_rule_says_what_is_wrong_in_a_sentence(rule: Rule) -> None:
    assert (rule.__doc__ or "").partition("\n\n")[0].endswith(".")
    assert PAGES[rule.code].startswith(f"{rule.code}: {text_of(rule).what}\n")


@each_rule
def test_a_rule_says_what_to_do(rule: Rule) -> None:
    remedy = text_of(rule).remedy
    assert remedy.partition(" ")[0] in IMPERATIVES
    assert remedy.endswith((".", "`."))
    assert "**Remedy:** " in PAGES[rule.code]


@each_rule
def test_a_rule_says_since_when_and_how_that_is_known(rule: Rule) -> None:
    assert " · releases: " in PAGES[rule.code]
    assert f" · evidence: {rule.evidence} · " in PAGES[rule.code]


@each_rule
def test_a_rule_has_a_short_example_that_is_tried(rule: Rule) -> None:
    _, fence, after = PAGES[rule.code].partition("\n```")
    example, end, tried = after.partition("\n```\n")
    assert fence
    assert end
    shown = example.split("\n")[1:]
    assert any(line.strip() for line in shown)
    assert len(shown) <= MOST_LINES
    assert max(len(line) for line in shown) <= LONGEST_LINE
    assert "\nTried " in tried
    assert rule.code in tried


def test_the_changelog_lists_every_code() -> None:
    text = (PAGE.parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\b[A-Z]+\d{3}\b", text))
    for family, first, last in re.findall(r"\b([A-Z]+)(\d{3}) to \1(\d{3})\b", text):
        listed |= {f"{family}{number}" for number in range(int(first), int(last) + 1)}
    assert {rule.code for rule in RULES} <= listed


def test_codes_are_of_one_rule_each() -> None:
    codes = [rule.code for rule in RULES]
    assert len(codes) == len(set(codes))


def test_examples_are_of_rules() -> None:
    codes = {rule.code for rule in RULES}
    assert {each.first_code for each in EXAMPLES} - {""} <= codes
    assert {each.code for each in FILE_EXAMPLES} <= codes
