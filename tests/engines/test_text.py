from __future__ import annotations

import random
from itertools import pairwise

import pytest

from tests.engines.tiny import byte_fallback_tokenizer, byte_level_tokenizer
from trueup.engines.text import AnswerText, Detokenizer, StopStrings

TEXTS = [
    "Hello world, hello there!",
    "你好，世界！",
    "a 😀👍🏽 b — é",
    " two  spaces  and\nnewlines\n\n",
    "龘靐齉爩",
    "",
]
TOKENIZERS = {"byte level": byte_level_tokenizer, "byte fallback": byte_fallback_tokenizer}


def ids_of(name: str, text: str) -> list[int]:
    tokenizer = TOKENIZERS[name]()
    if name == "byte level":
        return tokenizer(text)["input_ids"]
    # Built by hand: spaces as `▁`, what the vocabulary lacks as bytes.
    ids = []
    for character in text.replace(" ", "▁"):
        token = tokenizer.convert_tokens_to_ids(character)
        known = token is not None and token != tokenizer.convert_tokens_to_ids("<unk>")
        pieces = [character] if known else [f"<0x{byte:02X}>" for byte in character.encode()]
        ids += [tokenizer.convert_tokens_to_ids(piece) for piece in pieces]
    return ids


def deltas(name: str, ids: list[int], special: frozenset[int] = frozenset()) -> list[str]:
    detokenizer = Detokenizer(TOKENIZERS[name](), special)
    return [*(detokenizer.push(token) for token in ids), detokenizer.finish()]


def whole(name: str, ids: list[int]) -> str:
    return TOKENIZERS[name]().decode(
        ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_deltas_join_to_the_decoded_whole_and_never_split_a_character(name: str, text: str) -> None:
    ids = ids_of(name, text)
    parts = deltas(name, ids)
    assert "".join(parts) == whole(name, ids)
    assert "\ufffd" not in "".join(parts)
    if name == "byte level":
        assert "".join(parts) == text


def test_a_space_at_the_start_is_dropped_once_and_later_ones_stay() -> None:
    tokenizer = byte_fallback_tokenizer()
    pieces = ["▁Hello", "▁world", "▁", "▁", "▁the", "▁world"]
    ids = tokenizer.convert_tokens_to_ids(pieces)
    assert "".join(deltas("byte fallback", ids)) == "Hello world   the world"


@pytest.mark.parametrize("count", [1, 2, 40])
def test_special_tokens_in_mid_answer_lose_no_space(count: int) -> None:
    tokenizer = byte_fallback_tokenizer()
    ids = tokenizer.convert_tokens_to_ids(["▁Hello", *["<end>"] * count, "▁world"])
    special = frozenset(tokenizer.all_special_ids)
    assert "".join(deltas("byte fallback", ids, special)) == "Hello world"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_complete_characters_are_given_out_at_once(name: str) -> None:
    ids = ids_of(name, "你😀")
    detokenizer = Detokenizer(TOKENIZERS[name](), frozenset())
    seen = "".join(detokenizer.push(token) for token in ids)
    assert seen == "你😀"
    assert detokenizer.finish() == ""


def test_an_unfinished_character_at_the_end_is_shown_as_the_decoder_shows_it() -> None:
    ids = ids_of("byte level", "a龘")[:-1]
    parts = deltas("byte level", ids)
    assert "".join(parts[:-1]) == "a"
    assert "".join(parts) == whole("byte level", ids)


def test_random_bytes_keep_every_valid_character_and_the_joined_text_of_byte_level() -> None:
    draw = random.Random(7)
    for _ in range(200):
        ids = [draw.randrange(2, 320) for _ in range(40)]
        assert "".join(deltas("byte level", ids)) == whole("byte level", ids)


def test_invalid_bytes_do_not_swallow_what_follows() -> None:
    tokenizer = byte_fallback_tokenizer()
    bad = ["<0x80>"] * 9 + ["<0xE4>", "a", "你", "▁the"]
    text = "".join(deltas("byte fallback", tokenizer.convert_tokens_to_ids(bad)))
    assert text.endswith("a你 the")
    assert text.count("\ufffd") == 10


def test_decoding_cost_does_not_grow_with_the_answer() -> None:
    sizes = []

    class Counting:
        def decode(self, ids: list[int], **_: object) -> str:
            sizes.append(len(ids))
            return byte_level_tokenizer().decode(ids)

    detokenizer = Detokenizer(Counting(), frozenset())
    for token in ids_of("byte level", "你好 hello 😀 " * 60):
        detokenizer.push(token)
    assert max(sizes) <= 8


def stopped(stop: list[str], pieces: list[str]) -> tuple[str, bool]:
    matcher = StopStrings(stop)
    text = "".join(matcher.push(piece) for piece in pieces)
    return (text, True) if matcher.is_met else (text + matcher.finish(), False)


@pytest.mark.parametrize(
    ("stop", "text", "expected"),
    [
        ([], "abc", ("abc", False)),
        (["b"], "abc", ("a", True)),
        (["abc"], "ababc", ("ab", True)),
        (["aab"], "aaaab", ("aa", True)),
        (["END"], "the EN", ("the EN", False)),
        (["abcd", "bc"], "abcd", ("a", True)),
        (["cd", "abcd"], "xabcd", ("x", True)),
        (["好！"], "你好，好！吧", ("你好，", True)),
        (["\n\n"], "one\ntwo\n\nthree", ("one\ntwo", True)),
    ],
)
def test_a_stop_string_cuts_the_text_however_it_arrives(
    stop: list[str], text: str, expected: tuple[str, bool]
) -> None:
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            pieces = [text[:first], text[first:second], text[second:]]
            assert stopped(stop, pieces) == expected, pieces
    assert stopped(stop, list(text)) == expected


def test_only_what_may_begin_a_stop_string_is_held_back() -> None:
    matcher = StopStrings(["###", "Human:"])
    assert matcher.push("fine #") == "fine "
    assert matcher.push("x ##") == "#x "
    assert matcher.push(" Hum") == "## "
    assert matcher.push("ble") == "Humble"


def test_random_texts_are_cut_before_the_stop_string_that_is_complete_first() -> None:
    draw = random.Random(3)
    for _ in range(2000):
        stop = ["".join(draw.choices("ab", k=draw.randint(1, 4))) for _ in range(2)]
        text = "".join(draw.choices("abc", k=12))
        ends = [
            (end, -len(each))
            for each in stop
            for end in range(len(text) + 1)
            if text[:end].endswith(each)
        ]
        expected = (text[: min(ends)[0] + min(ends)[1]], True) if ends else (text, False)
        cuts = [0, *sorted(draw.sample(range(1, 12), 3)), 12]
        assert stopped(stop, [text[a:b] for a, b in pairwise(cuts)]) == expected


def test_a_stop_string_hidden_in_the_last_held_bytes_is_met_at_the_end() -> None:
    text = AnswerText(byte_level_tokenizer(), frozenset(), ["\ufffd"])
    ids = ids_of("byte level", "a龘")[:-1]
    seen = "".join(text.push(token) for token in ids) + text.finish()
    assert seen == "a"
    assert text.is_stopped


@pytest.mark.parametrize("stop", [[], ["\n"]])
def test_white_space_that_is_chat_format_is_dropped_before_the_answer_only(stop: list[str]) -> None:
    tokenizer = byte_level_tokenizer()
    ids = tokenizer("\n two  words \n")["input_ids"]
    for drops, expected in ((True, "two  words "), (False, "" if stop else "\n two  words ")):
        text = AnswerText(tokenizer, frozenset(), stop, drops_leading_space=drops)
        said = "".join(text.push(token) for token in ids) + text.finish()
        assert said.removesuffix("\n") == expected
