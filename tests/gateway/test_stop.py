"""Cutting at stop strings, however the text comes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from trueup.gateway.stop import StopCut

TEXTS = st.text(alphabet="ab中", max_size=30)
STOPS = st.lists(st.text(alphabet="ab中", min_size=1, max_size=4), min_size=1, max_size=3)


@given(TEXTS, STOPS, st.lists(st.integers(0, 30), max_size=6))
def test_any_split_gives_the_text_before_the_first_stop(
    text: str, stops: list[str], places: list[int]
) -> None:
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    cut = StopCut(stops)
    bounds = [0, *sorted(place for place in places if place <= len(text)), len(text)]
    out = "".join(cut.push(text[start:end]) for start, end in itertools.pairwise(bounds))
    if found:
        # In pieces a stop string may be whole before an earlier, longer one is.
        assert cut.is_stopped
        assert text.startswith(out)
        assert not any(stop in out for stop in stops)
    else:
        assert not cut.is_stopped
        assert out + cut.finish() == text


def test_the_first_stop_wins_and_nothing_comes_after_it() -> None:
    cut = StopCut(["END", "E"])
    assert cut.push("one E") == "one "
    assert cut.is_stopped
    assert (cut.push("two"), cut.finish()) == ("", "")
