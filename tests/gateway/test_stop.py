"""Cutting at stop strings, however the text comes."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.engines.text import StopStrings
from trueup.gateway.stop import StopCut

TEXTS = st.text(alphabet="ab中", max_size=30)
STOPS = st.lists(st.text(alphabet="ab中", min_size=1, max_size=4), min_size=1, max_size=3)


def naive_cut(text: str, stops: list[str]) -> str | None:
    """The text before the stop that a reader of single characters meets first, None without."""
    for end in range(1, len(text) + 1):
        if met := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, met))]
    return None


@settings(max_examples=500)
@given(TEXTS, STOPS, st.lists(st.integers(0, 30), max_size=6))
def test_any_split_gives_the_text_before_the_first_stop(
    text: str, stops: list[str], places: list[int]
) -> None:
    cut = StopCut(stops)
    bounds = [0, *sorted(place for place in places if place <= len(text)), len(text)]
    out = "".join(cut.push(text[start:end]) for start, end in itertools.pairwise(bounds))
    expected = naive_cut(text, stops)
    assert cut.is_stopped is (expected is not None)
    assert out + cut.finish() == (text if expected is None else expected)


@settings(max_examples=200)
@given(TEXTS, STOPS)
def test_no_more_is_held_back_than_may_begin_a_stop(text: str, stops: list[str]) -> None:
    cut = StopCut(stops)
    out = ""
    for place, character in enumerate(text, 1):
        out += cut.push(character)
        held = text[len(out) : place]
        assert cut.is_stopped or not held or any(stop.startswith(held) for stop in stops)


def test_our_own_engine_cuts_at_the_same_place() -> None:
    for text, stops in (
        ("one END", ["END", "E"]),
        ("abab", ["ba", "bab"]),
        ("xabcd", ["abcd", "c"]),
    ):
        ours, theirs = StopCut(stops), StopStrings(stops)
        assert ours.push(text) == theirs.push(text)


def test_the_first_stop_wins_and_nothing_comes_after_it() -> None:
    cut = StopCut(["END", "E"])
    assert cut.push("one E") == "one "
    assert cut.is_stopped
    assert (cut.push("two"), cut.finish()) == ("", "")
