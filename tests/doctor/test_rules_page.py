"""docs/rules.md is what the rules say, and every rule is worth a page."""

import inspect

import pytest

from scripts.rules_page import PAGE, page
from tests.doctor.examples import EXAMPLES
from trueup.doctor.rule import Rule
from trueup.doctor.rules import RULES
from trueup.doctor.rules.walked import FAILURE_RULES

# Of these every model's own fault is an example.
WITHOUT_EXAMPLE = {"SIG101", "SIG102", "CODE101"}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_rule_says_what_is_wrong_in_a_sentence(rule: Rule) -> None:
    what, _, _ = inspect.cleandoc(rule.__doc__ or "").partition("\n\n")
    assert what.endswith(".")
    assert f"### {rule.code}: " in page()


def test_codes_are_of_one_rule_each() -> None:
    codes = [rule.code for rule in RULES]
    assert len(codes) == len(set(codes))


def test_every_failure_of_the_walk_has_an_example() -> None:
    shown = {code for each in EXAMPLES for _, codes in each.rows for code in codes.split()}
    assert {rule.code for rule in FAILURE_RULES} - shown <= WITHOUT_EXAMPLE
