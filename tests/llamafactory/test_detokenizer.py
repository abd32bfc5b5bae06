from __future__ import annotations

import pytest

from trueup.backends.llamafactory.far.detokenizer import Detokenizer

TEXT = "né 你好 👩‍👩‍👧 end"


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode("utf-8", "replace")


def test_no_piece_has_half_a_character_and_each_has_its_tokens() -> None:
    detokenizer = Detokenizer(decode)
    pieces = [detokenizer.push(token) for token in TEXT.encode()]
    assert "".join(text for text, _ in pieces) == TEXT
    assert all("\ufffd" not in text for text, _ in pieces)
    assert all(text.encode() == bytes(tokens) for text, tokens in pieces)
    assert detokenizer.rest() == ("", [])


@pytest.mark.parametrize("given", [0, 1, 3, 10, 25])
def test_it_goes_on_after_tokens_whose_text_is_out(given: int) -> None:
    tokens = list("abc déjà vu 你好".encode())
    start = len(decode(tokens[:given]).rstrip("\ufffd").encode())
    detokenizer = Detokenizer(decode, tokens[:start])
    said = "".join(detokenizer.push(token)[0] for token in tokens[start:])
    assert tokens[:start] + list(said.encode()) == tokens


def test_what_is_unreadable_is_told_at_the_end_or_when_it_cannot_become_a_character() -> None:
    detokenizer = Detokenizer(decode)
    assert detokenizer.push(0xE4) == ("", [])
    assert detokenizer.rest() == ("\ufffd", [0xE4])
    detokenizer = Detokenizer(decode)
    pieces = [detokenizer.push(0xFF) for _ in range(40)]
    assert "".join(text for text, _ in pieces).startswith("\ufffd" * 16)
