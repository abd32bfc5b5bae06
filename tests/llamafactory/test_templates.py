from __future__ import annotations

import pytest

from trueup.backends.llamafactory.templates import known_name, nearest_names, warning_of

KNOWN = ["default", "qwen", "qwen3", "qwen2_vl", "llama3", "chatglm3", "glm4"]


@pytest.mark.parametrize(
    ("template", "near"),
    [("qwne", "qwen"), ("lama3", "llama3"), ("chatglm", "chatglm3"), ("qwen2.5-vl", "qwen2_vl")],
)
def test_the_nearest_names_have_the_one_that_was_meant(template: str, near: str) -> None:
    assert near in nearest_names(template, KNOWN)


def test_nothing_is_guessed_where_nothing_is_near() -> None:
    assert nearest_names("zzz", KNOWN) == []


def test_names_that_many_write_are_known_and_told_of() -> None:
    assert [known_name(each) for each in ("qwen2", "qwen2.5", "qwen", "x", None)] == [
        "qwen",
        "qwen",
        "qwen",
        "x",
        None,
    ]
    assert "`qwen` is taken" in str(warning_of("qwen2"))
    assert warning_of("qwen") is None
    assert warning_of(None) is None
