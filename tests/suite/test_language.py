from __future__ import annotations

import pytest

from trueup.suite.language import BEGINNINGS, NAMES, QUESTIONS, is_in, is_known, share_in

ENGLISH = "The endpoint answers with a stream of chunks, and it ends in order for every client."
GERMAN = "Der Server antwortet mit einem Strom von Stücken, und er endet für alle ordentlich."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好！我是一个小模型。", "zh"),
        ("我是 TrueUp 的演示模型：按 ChatGLM2 结构训练。", "zh"),
        ("你好", "zh-Hant"),
        ("Paris.", "en"),
        (ENGLISH, "en"),
        ("こんにちは、私は小さなモデルです。", "ja"),
        ("안녕하세요, 저는 작은 모델입니다.", "ko"),
        ("Привет, я маленькая модель.", "ru"),
        (GERMAN, "de"),
        ("Bonjour, je suis un petit modèle et je réponds à des questions pour vous.", "fr"),
    ],
)
def test_an_answer_is_in_its_language(text: str, language: str) -> None:
    assert is_in(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("12345 !!", "zh"),
        (ENGLISH, "zh"),
        ("你好！我是一个小模型。", "en"),
        ("你好！我是一个小模型。", "ja"),
        ("こんにちは、わたしはモデルです。", "zh"),
        (GERMAN, "en"),
        (ENGLISH, "de"),
        (ENGLISH, "ru"),
    ],
)
def test_an_answer_in_another_language_is_told(text: str, language: str) -> None:
    assert not is_in(text, language)


def test_the_share_counts_words_of_letters_and_single_signs() -> None:
    assert share_in("我是 TrueUp", "zh") == pytest.approx(2 / 3)


def test_every_language_has_a_name_a_question_and_a_beginning_in_it() -> None:
    assert set(QUESTIONS) == set(NAMES) == set(BEGINNINGS)
    for texts in (QUESTIONS, BEGINNINGS):
        assert [name for name, text in texts.items() if not is_in(text, name)] == []
    assert is_known("zh-CN")
    assert not is_known("sw")
