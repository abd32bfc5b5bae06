from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from tests.backends.replies import KNOWN, chunk, stream, whole
from trueup.backends.probe import Known, Reply, judged
from trueup.backends.probe_answers import goes_on, tokens_kept
from trueup.backends.probe_questions import (
    MAX_TOKENS,
    QUESTIONS,
    TOOL_TOKENS,
    cut_of,
    stop_of,
)

BY_NAME = {question.name: question for question in QUESTIONS}
CALL = {"type": "function", "function": {"name": "ping", "arguments": "{}"}}
OTHER = {"type": "function", "function": {"name": "pong", "arguments": {}}}


def calls(*given: Any) -> Reply:
    return whole(message={"role": "assistant", "content": None, "tool_calls": list(given)})


def texts(*given: str) -> list[Reply]:
    return [whole(text) for text in given]


ROWS: list[tuple[str, Sequence[Reply], str]] = [
    ("tools", [calls(CALL)], "honoured"),
    ("tools", [whole("no")], "taken"),
    ("tools", [calls(3)], "honoured"),
    ("tool_choice none", [calls(CALL)], "ignored"),
    ("tool_choice none", [whole("no")], "taken"),
    ("tool_choice required", [calls(CALL)], "honoured"),
    ("tool_choice required", [whole("no")], "ignored"),
    ("tool_choice named", [calls(CALL)], "honoured"),
    ("tool_choice named", [calls(OTHER)], "ignored"),
    ("tool_choice named", [whole("no")], "ignored"),
    ("parallel_tool_calls", [whole("no")], "taken"),
    ("n", [whole()], "ignored"),
    ("n", [Reply(status=200, body=b'{"choices":[{"index":0},{"index":1}]}')], "honoured"),
    ("n", [Reply(status=200, body=b"{}")], "fails"),
    ("stop", texts("Uno, dos"), "unclear"),
    ("stop", texts("One, two"), "honoured"),
    ("stop", texts("One, two, three, four."), "ignored"),
    ("seed", texts("a", "a", "b"), "honoured"),
    ("seed", texts("a", "c", "b"), "ignored"),
    ("seed", texts("a", "a", "a"), "unclear"),
    ("max_completion_tokens", [stream(chunk("One"), chunk(finish="length"))], "honoured"),
    ("max_completion_tokens", [stream(chunk("One"), is_left=True)], "ignored"),
    ("max_completion_tokens", [stream(chunk("One"), chunk(finish="stop"))], "honoured"),
    ("max_completion_tokens", [stream(chunk(KNOWN.text), chunk(finish="stop"))], "unclear"),
    ("max_completion_tokens", [whole()], "unclear"),
    ("max_tokens: null", [stream(chunk("One"), is_left=True)], "taken"),
    ("response_format json_object", texts(' {"a": '), "honoured"),
    ("response_format json_object", texts("One"), "ignored"),
    ("response_format json_schema", texts(""), "ignored"),
    ("logprobs", [whole(logprobs={"content": [{"token": "a"}]})], "honoured"),
    ("logprobs", [whole(logprobs=None)], "ignored"),
    ("logprobs", [whole(logprobs={"content": []})], "ignored"),
    ("logit_bias", [whole()], "taken"),
    ("an unknown parameter", [Reply(status=200, body=b"[]")], "fails"),
    ("continue_final_message", texts(" three, four."), "honoured"),
    ("continue_final_message", texts(" three,"), "honoured"),
    ("continue_final_message", texts("three, four."), "unclear"),
    ("continue_final_message", texts("One, two, three, four."), "unclear"),
    ("continue_final_message", texts("One, two!"), "ignored"),
    ("continue_final_message", texts("of"), "unclear"),
    ("prefix", texts("Of course: three"), "ignored"),
]


def test_the_stop_string_of_the_rows_is_the_one_they_are_about() -> None:
    assert stop_of(KNOWN.text) == "hr"


@pytest.mark.parametrize(("name", "replies", "verdict"), ROWS)
def test_every_answer_shows_what_it_shows(
    name: str, replies: Sequence[Reply], verdict: str
) -> None:
    assert judged(BY_NAME[name], replies, KNOWN).verdict == verdict


def test_an_answer_that_begins_anew_does_not_go_on() -> None:
    whole_again = goes_on(whole("One, two, three, fo"), "One, two,", " three, four.")
    assert (whole_again.verdict, "again first" in whole_again.text) == ("unclear", True)
    anew = goes_on(whole("One, two"), "One, two,", " three, four.")
    assert (anew.verdict, anew.text) == ("ignored", "begins anew")


def test_all_questions_are_small_and_do_no_harm() -> None:
    count = 0
    for question in QUESTIONS:
        for body in question.bodies(KNOWN) or ():
            count += 1
            assert len(orjson.dumps(body)) < 1000
            limit = TOOL_TOKENS if question.group == "tools" else MAX_TOKENS
            limits = [body.get("max_tokens"), body.get("max_completion_tokens")]
            # Without a limit that is sure to hold, we leave after so many events.
            is_bounded = body.get("max_tokens") is not None or question.leave_after is not None
            assert is_bounded
            assert all(each is None or each <= limit for each in limits)
    assert count <= 30


def test_a_question_without_matter_is_not_asked() -> None:
    nothing = Known(model="m")
    assert BY_NAME["stop"].bodies(nothing) is None
    assert BY_NAME["continue_final_message"].bodies(nothing) is None


def test_an_answer_that_repeats_itself_cannot_be_continued_visibly() -> None:
    assert cut_of(Known(model="m", deltas=("ab ab", " ab ab", " ab ab", " ab"))) is None
    assert cut_of(KNOWN) == ("One, two,", " three, four.")


def test_a_completion_is_asked_with_a_prompt() -> None:
    known = Known(model="m", kind="completion", text=KNOWN.text)
    for question in QUESTIONS:
        if "completion" in question.kinds:
            for body in question.bodies(known) or ():
                assert "prompt" in body
                assert "messages" not in body


def test_servers_whose_limit_has_the_other_name_are_asked_by_it() -> None:
    known = Known(model="m", token_key="max_completion_tokens", text=KNOWN.text)
    for question in QUESTIONS:
        for body in question.bodies(known) or ():
            assert "max_tokens" not in body


LIMITS = [
    (Reply(status=200, body=b'{"choices":[],"usage":{"completion_tokens":17}}'), "ignored"),
    (whole(finish_reason="length"), "honoured"),
    (whole(finish_reason="stop"), "taken"),
]


@pytest.mark.parametrize(("reply", "verdict"), LIMITS)
def test_whether_the_limit_held_is_told(reply: Reply, verdict: str) -> None:
    assert tokens_kept(reply, 16).verdict == verdict
