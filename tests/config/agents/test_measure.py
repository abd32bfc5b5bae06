from __future__ import annotations

import pytest

from trueup.config.agents.measure import is_undecided, languages_of, seconds_of, share_of


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        (2, None, 2),
        (0.5, None, 0.5),
        ("2", None, 2),
        ("2s", None, 2),
        ("2 秒", None, 2),
        ("2秒以内", None, 2),
        ("< 2 seconds", None, 2),
        ("<=500ms", None, 0.5),
        ("within 2 minutes", None, 120),
        ("不超过2秒", None, 2),
        (500, "ms", 0.5),
        ("2s", "ms", 2),
        (5000, None, None),
        (0, None, None),
        (-1, None, None),
        ("> 2s", None, None),
        ("2 parsecs", None, None),
        ("soon", None, None),
        ("", None, None),
        (True, None, None),
        (None, None, None),
        ([2], None, None),
        (float("inf"), "s", None),
        (float("nan"), "s", None),
    ],
)
def test_a_time_is_read_where_it_is_clear(
    value: object, unit: str | None, seconds: float | None
) -> None:
    assert seconds_of(value, unit) == seconds


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (0.85, 0.85),
        (85, 0.85),
        ("85%", 0.85),
        ("> 85 %", 0.85),
        ("85％以上", 0.85),
        ("at least 0.9", 0.9),
        ("0.5%", 0.005),
        (1, 1),
        (100, 1),
        (101, None),
        (0, None),
        (-0.5, None),
        (True, None),
        ("high", None),
        (float("nan"), None),
    ],
)
def test_a_share_is_read_where_it_is_clear(value: object, share: float | None) -> None:
    assert share_of(value) == share


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        (["中文", "English"], ("zh", "en")),
        ("zh, en", ("zh", "en")),
        ("中文、英文", ("zh", "en")),
        (["zh", "zh-CN"], ("zh",)),
        (["zh", "klingon"], None),
        (["zh", 1], None),
        ([], None),
        ("", None),
        (3, None),
    ],
)
def test_languages_are_codes_or_all_left_alone(
    value: object, codes: tuple[str, ...] | None
) -> None:
    assert languages_of(value) == codes


@pytest.mark.parametrize(
    ("value", "is_none"),
    [
        (None, True),
        ("", True),
        (" ", True),
        ("TBD", True),
        ("tbd (qwen?)", True),
        ("待定", True),
        ("N/A", True),
        ("?", True),
        ("-", True),
        ("tbd-model", False),
        ("TODO/model", False),
        ("none-such", False),
        ("pending/x", False),
        (0, False),
    ],
)
def test_a_name_that_says_there_is_none_is_known(value: object, is_none: bool) -> None:
    assert is_undecided(value) is is_none
