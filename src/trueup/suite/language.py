"""In which language an answer is, and what is asked in each. Pure, without a model.

Scripts tell most languages apart; those in Latin letters are told by their commonest words, so
that a short answer without any of them counts as the one that was expected.
"""

from __future__ import annotations

import re

QUESTIONS = {
    "zh": "请介绍一下你自己。",
    "en": "Please introduce yourself.",
    "ja": "自己紹介をしてください。",
    "ko": "자기소개를 해 주세요.",
    "ru": "Пожалуйста, представься.",
    "fr": "Présente-toi, s'il te plaît.",
    "de": "Bitte stell dich vor.",
    "es": "Preséntate, por favor.",
    "pt": "Apresente-se, por favor.",
    "it": "Presentati, per favore.",
}
BEGINNINGS = {
    "zh": "今天天气很好，我们",
    "en": "Once upon a time there was",
    "ja": "昔々あるところに",
    "ko": "옛날 옛적에",
    "ru": "Однажды в далёкой стране",
    "fr": "Il était une fois",
    "de": "Es war einmal",
    "es": "Érase una vez",
    "pt": "Era uma vez",
    "it": "C'era una volta",
}
NAMES = {
    "zh": "Chinese",
    "en": "English",
    "ja": "Japanese",
    "ko": "Korean",
    "ru": "Russian",
    "fr": "French",
    "de": "German",
    "es": "Spanish",
    "pt": "Portuguese",
    "it": "Italian",
}
COMMON_WORDS = {
    "en": "the a an is are am of to and in i you it that for with was this not can",
    "fr": "le la les un une des est et je de à vous que pour dans pas avec du qui suis",
    "de": "der die das ein eine ist und ich zu nicht von mit sie es den für auf bin kann",
    "es": "el la los un una es y yo de que en para con no se por del lo soy como",
    "pt": "o a os um uma é e eu de que em para com não se por do da sou como",
    "it": "il la i un una è e io di che in per con non si del sono come lo ho",
}
HAN, KANA = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff", r"\u3040-\u30ff"
HANGUL, CYRILLIC = r"\uac00-\ud7af\u1100-\u11ff", r"\u0400-\u04ff"
UNITS = re.compile(rf"(?P<han>[{HAN}])|(?P<kana>[{KANA}])|(?P<word>[^\W\d_{HAN}{KANA}]+)")
SCRIPTS = {"ko": re.compile(rf"[{HANGUL}]"), "ru": re.compile(rf"[{CYRILLIC}]")}
LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
# Names and terms of another script stand in good answers.
LEAST_SHARE = 0.5
# From so many words on, some of a language's commonest are among them.
TELLING_WORDS = 8


def base_of(language: str) -> str:
    """`zh` of `zh-Hant`."""
    return language.partition("-")[0]


def is_known(language: str) -> bool:
    """Whether there is a question in it, and a way to tell it."""
    return base_of(language) in QUESTIONS


def name_of(language: str) -> str:
    """What people call it."""
    return NAMES.get(base_of(language), f"`{language}`")


def share_in(text: str, language: str) -> float:
    """The share of an answer's signs and words that can be of the language; 0 without any."""
    language = base_of(language)
    units = [(match.lastgroup, match.group()) for match in UNITS.finditer(text)]
    if not units:
        return 0.0
    kana = sum(kind == "kana" for kind, _ in units)
    han = sum(kind == "han" for kind, _ in units)
    words = [word.lower() for kind, word in units if kind == "word"]
    if language in ("zh", "ja"):
        # Japanese is told from Chinese by its kana.
        own = han + kana if language == "ja" else han
        is_own = kana > 0 if language == "ja" else kana <= han
        return own / len(units) if is_own else 0.0
    script = SCRIPTS.get(language, LATIN)
    own_words = [word for word in words if script.search(word)]
    common = COMMON_WORDS.get(language)
    is_told = common is None or len(own_words) < TELLING_WORDS
    if not is_told and common is not None and set(common.split()).isdisjoint(own_words):
        return 0.0
    return len(own_words) / len(units)


def is_in(text: str, language: str) -> bool:
    """Whether an answer is in the language, as far as can be told."""
    return share_in(text, language) >= LEAST_SHARE
