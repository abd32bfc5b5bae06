from __future__ import annotations

from typing import Any

import pytest

from trueup.errors import RequestError
from trueup.protocol.completion import (
    DEFAULT_MAX_TOKENS,
    completion_chunk,
    completion_response,
    completion_usage_chunk,
    parse_completion_request,
)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "glm", "prompt": "Hi", **fields}


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Hi", ("Hi",)),
        ("", ("",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (["a", [3]], ("a", (3,))),
    ],
)
def test_every_form_of_a_prompt_is_read(prompt: object, expected: tuple[object, ...]) -> None:
    assert parse_completion_request(body(prompt=prompt)).prompts == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, DEFAULT_MAX_TOKENS),
        ({"max_tokens": None}, DEFAULT_MAX_TOKENS),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
    ],
)
def test_the_token_limit_has_the_default_of_the_api(fields: dict[str, Any], expected: int) -> None:
    assert parse_completion_request(body(**fields)).sampling.max_tokens == expected


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": 5}, "prompt", "invalid_value"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_value"),
        ({"prompt": [True]}, "prompt", "invalid_value"),
        ({"prompt": [1, "a"]}, "prompt", "invalid_value"),
        ({"prompt": ["a", 1]}, "prompt[1]", "invalid_value"),
        ({"prompt": [[1], []]}, "prompt[1]", "invalid_value"),
        ({"prompt": [[1, -1]]}, "prompt[0]", "invalid_value"),
        ({"prompt": ["a"] * 129}, "len(prompt)", "invalid_value"),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"echo": True}, "echo", "unsupported_parameter"),
        ({"best_of": 2}, "best_of", "unsupported_parameter"),
        ({"suffix": "x"}, "suffix", "unsupported_parameter"),
        ({"logprobs": 0}, "logprobs", "unsupported_parameter"),
        ({"logit_bias": {"1": 5}}, "logit_bias", "unsupported_parameter"),
        (
            {"prompt": ["a", "b"], "trueup": {"continue_token_ids": [1]}},
            "trueup.continue_token_ids",
            "invalid_value",
        ),
        (
            {"prompt": ["a", "b"], "n": 2, "trueup": {"continue_token_ids": {"4": []}}},
            "trueup.continue_token_ids",
            "invalid_value",
        ),
    ],
)
def test_what_cannot_be_used_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_completion_request(body(**fields))
    assert (caught.value.param, caught.value.code) == (param, code)


def test_choices_of_several_prompts_are_continued_by_their_numbers() -> None:
    given = {"continue_token_ids": {"3": [7], "0": []}}
    request = parse_completion_request(body(prompt=["a", "b"], n=2, trueup=given))
    assert request.resume == {0: (), 3: (7,)}


def test_parameters_that_change_nothing_are_accepted() -> None:
    neutral = body(echo=False, best_of=1, suffix=None, logprobs=None, user="u")
    assert parse_completion_request(neutral) == parse_completion_request(body())


def test_answers_have_the_shape_of_the_api() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    head = {"id": "cmpl-1", "created": 5, "model": "glm"}
    choice = {"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop"}
    shape = {**head, "object": "text_completion"}
    assert completion_response(**head, choices={0: ("a", "stop")}, usage=usage) == {
        **shape,
        "choices": [choice],
        "usage": usage,
    }
    chunk = completion_chunk(**head, index=0, text="a", finish_reason="stop")
    assert chunk == {**shape, "choices": [choice]}
    assert completion_usage_chunk(**head, usage=usage) == {**shape, "choices": [], "usage": usage}
