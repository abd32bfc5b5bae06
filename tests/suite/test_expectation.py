from __future__ import annotations

import pytest

from trueup.suite import expectation
from trueup.suite.expectation import Expectation, disappointments, shown


@pytest.mark.parametrize(
    ("expected", "text", "against"),
    [
        (Expectation(), "anything", []),
        (Expectation(contains=("a", "b")), "b and a", []),
        (Expectation(contains=("a", "x")), "a", ["it does not contain `x`"]),
        (Expectation(contains=("HELLO",)), "hello", ["it does not contain `HELLO`"]),
        (Expectation(contains=("HELLO",), ignore_case=True), "hello", []),
        (Expectation(not_contains=("no",)), "no", ["it contains `no`, which it must not"]),
        (Expectation(not_contains=("NO",), ignore_case=True), "no",
         ["it contains `NO`, which it must not"]),
        (Expectation(matches=(r"^\d+$", "4.")), "42", []),
        (Expectation(matches=(r"^\d$", "4.")), "42", [r"it does not match `^\d$`"]),
        (Expectation(matches=("a.b",)), "a\nb", []),
        (Expectation(matches=("ÄB",), ignore_case=True), "äb", []),
        (Expectation(language="zh"), "hello there", ["it is not in Chinese"]),
    ],
)  # fmt: skip
def test_what_speaks_against_an_answer(
    expected: Expectation, text: str, against: list[str]
) -> None:
    assert disappointments(expected, text) == against


def test_a_pattern_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectation, "MATCH_SECONDS", 0.3)
    (told,) = disappointments(Expectation(matches=(r"(a+)+$",)), "a" * 60 + "!")
    assert told.startswith("`(a+)+$` found no end")


def test_a_long_answer_is_shown_by_its_beginning_on_one_line() -> None:
    assert shown("a\n b") == "a b"
    assert len(shown("x" * 1000)) == 161
