from __future__ import annotations

from typing import Any

import pytest

from tests.backends.replies import chunk, stream, whole
from trueup.backends.probe import Reply
from trueup.backends.probe_stream import stream_facts, stream_rows, usage_row

DONE = b"[DONE]"
USAGE = {"prompt_tokens": 1, "completion_tokens": 2}
FIRST, LAST = chunk("One,", role="assistant"), chunk(finish="stop")


def test_a_right_stream_is_right_in_every_row() -> None:
    facts = stream_facts(stream(FIRST, chunk(" two"), LAST, DONE))
    assert facts.ends_properly
    assert facts.end_of_answer == "finish_reason"
    assert facts.text == "One, two"
    assert facts.first_token_seconds == 0.01
    assert facts.token_seconds == pytest.approx(0.01)
    assert {seen.verdict for seen in stream_rows(facts).values()} == {"honoured"}


BAD: list[tuple[Reply, str, str, str]] = [
    (stream(FIRST, LAST), "[DONE]", "never sent", "finish_reason"),
    (stream(FIRST, DONE), "finish_reason", "a cut answer looks like a whole one", "done"),
    (stream(FIRST), "finish_reason", "a cut answer", "end"),
    (stream(FIRST, LAST, DONE, fault="it closed"), "end of the body", "it closed", "finish_reason"),
    (stream(FIRST, chunk(finish="error"), DONE), "finish_reason", "`error`", "finish_reason"),
]


@pytest.mark.parametrize(("reply", "row", "text", "end"), BAD)
def test_a_stream_that_ends_wrongly_is_told(reply: Reply, row: str, text: str, end: str) -> None:
    facts = stream_facts(reply)
    assert not facts.ends_properly
    assert facts.end_of_answer == end
    seen = stream_rows(facts)[row]
    assert seen.verdict == "fails"
    assert text in seen.text


ODD: list[tuple[Reply, str, str]] = [
    (stream(FIRST, FIRST, LAST, DONE), "role", "in 2 chunks"),
    (stream(FIRST, chunk("b", id="2"), LAST, DONE), "id", "2 in one answer"),
    (stream(FIRST, LAST, LAST, DONE), "finish_reason", "`stop`, `stop`"),
    (stream(FIRST, LAST, DONE, FIRST), "[DONE]", "1 events after it"),
    (stream(FIRST, b"{", LAST, DONE), "form", "1 events are no JSON"),
    (stream(FIRST, LAST, DONE, content_type="text/plain"), "form", "stated to be `text/plain`"),
    (stream(FIRST, chunk(finish="stop", usage=USAGE), DONE), "usage unasked", "the finish chunk"),
]


@pytest.mark.parametrize(("reply", "row", "text"), ODD)
def test_what_is_odd_in_a_stream_is_told_though_it_ends_properly(
    reply: Reply, row: str, text: str
) -> None:
    facts = stream_facts(reply)
    assert facts.ends_properly
    seen = stream_rows(facts)[row]
    assert seen.verdict == "unclear"
    assert text in seen.text


def test_an_error_in_a_stream_is_no_proper_end() -> None:
    assert not stream_facts(stream(FIRST, {"error": "no"}, LAST, DONE)).ends_properly


def test_a_whole_answer_to_a_stream_request_is_no_stream() -> None:
    facts = stream_facts(whole())
    assert not facts.is_stream
    assert facts.end_of_answer is None
    assert [seen.verdict for seen in stream_rows(facts).values()] == ["ignored"]


OWN = {"id": "1", "choices": [], "usage": USAGE}
PLACES: list[tuple[list[Any], str, str]] = [
    ([FIRST, LAST, OWN, DONE], "honoured", "usage in a chunk of its own"),
    ([FIRST, chunk(finish="stop", usage=USAGE), DONE], "honoured", "usage in the finish chunk"),
    ([FIRST, LAST, DONE], "ignored", "no usage in the stream"),
    ([chunk("a", usage=USAGE), chunk(finish="stop", usage=USAGE)], "honoured", "every chunk"),
    ([FIRST, LAST, chunk(finish="stop", usage=USAGE)], "unclear", "sent 2 times"),
]


@pytest.mark.parametrize(("events", "verdict", "text"), PLACES)
def test_the_place_of_usage_is_told(events: list[Any], verdict: str, text: str) -> None:
    seen = usage_row(stream_facts(stream(*events)))
    assert seen.verdict == verdict
    assert text in seen.text


@pytest.mark.parametrize(
    "shape",
    [[], 3, {"choices": 3}, {"choices": [3]}, {"choices": [{"delta": 3}]}, {"choices": None}],
)
def test_chunks_of_no_shape_are_no_bug(shape: Any) -> None:
    facts = stream_facts(stream(shape))
    stream_rows(facts)
    usage_row(facts)
    assert facts.text == ""
    assert facts.as_dict()["ends_properly"] is False


def test_a_text_completion_is_read_too() -> None:
    events = [{"id": "1", "choices": [{"text": "a", "finish_reason": None}]}]
    assert stream_facts(stream(*events)).text == "a"
