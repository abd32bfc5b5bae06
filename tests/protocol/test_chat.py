from __future__ import annotations

from typing import Any

import pytest

from trueup.errors import RequestError
from trueup.protocol.chat import (
    Message,
    chat_chunk,
    chat_response,
    chat_usage_chunk,
    parse_chat_request,
)
from trueup.protocol.sampling import Sampling

USER = {"role": "user", "content": "Hi"}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "glm", "messages": [USER], **fields}


def refusal(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_chat_request(body(**fields))
    assert caught.value.status == 400
    return caught.value


def test_a_small_request_gets_the_defaults_of_the_api() -> None:
    request = parse_chat_request(body())
    assert request.model == "glm"
    assert request.messages == (Message(role="user", content="Hi"),)
    assert request.sampling == Sampling()
    assert request.sampling.temperature == 1.0
    assert request.sampling.max_tokens is None
    assert (request.stream, request.include_usage) == (False, False)
    assert (request.add_generation_prompt, request.continue_final_message) == (True, False)


def test_every_sampling_parameter_is_read() -> None:
    request = parse_chat_request(
        body(
            temperature=0,
            top_p=0.5,
            top_k=40,
            max_tokens=7,
            stop=["a", "b"],
            seed=-3,
            n=2,
            presence_penalty=-2,
            frequency_penalty=2.0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert request.sampling == Sampling(
        temperature=0.0,
        top_p=0.5,
        top_k=40,
        max_tokens=7,
        stop=("a", "b"),
        seed=-3,
        n=2,
        presence_penalty=-2.0,
        frequency_penalty=2.0,
    )
    assert (request.stream, request.include_usage) == (True, True)


def test_null_means_absent_for_every_known_field() -> None:
    names = ["temperature", "stop", "tools", "logprobs", "seed", "n", "stream_options", "trueup"]
    assert parse_chat_request(body(**dict.fromkeys(names))) == parse_chat_request(body())


def test_the_newer_name_of_the_token_limit_wins() -> None:
    request = parse_chat_request(body(max_tokens=5, max_completion_tokens=9))
    assert request.sampling.max_tokens == 9


def test_roles_parts_and_harmless_keys_of_messages_are_read() -> None:
    messages = [
        {"role": "developer", "content": "Be brief"},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}] * 2},
        {"role": "assistant", "content": "b", "refusal": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "content": ""},
    ]
    request = parse_chat_request(body(messages=messages))
    assert [each.as_dict() for each in request.messages] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "aa"},
        {"role": "assistant", "content": "b"},
        {"role": "tool", "content": ""},
    ]


@pytest.mark.parametrize("value", [0, -1])
def test_both_spellings_of_no_top_k_are_read(value: int) -> None:
    assert parse_chat_request(body(top_k=value)).sampling.top_k == 0


def test_a_partial_answer_is_continued_by_message_and_by_tokens() -> None:
    partial = [USER, {"role": "assistant", "content": "He"}]
    request = parse_chat_request(body(messages=partial, continue_final_message=True))
    assert (request.continue_final_message, request.add_generation_prompt) == (True, False)
    request = parse_chat_request(body(trueup={"continue_token_ids": [5, 6]}))
    assert request.resume == {0: (5, 6)}


@pytest.mark.parametrize(
    ("given", "resume"),
    [
        ({"1": [5, 6], "2": []}, {1: (5, 6), 2: ()}),
        ({"0": []}, {0: ()}),
        ([], None),
        (None, None),
    ],
)
def test_the_choices_to_be_made_are_named_with_what_is_there_of_them(
    given: object, resume: object
) -> None:
    assert parse_chat_request(body(n=3, trueup={"continue_token_ids": given})).resume == resume


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [USER, "Hi"]}, "messages[1]"),
        ({"messages": [USER, {"role": "bot", "content": "x"}]}, "messages[1].role"),
        ({"messages": [USER, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content[0].text",
        ),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"top_k": 1.0}, "top_k"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop[1]"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
        ({"frequency_penalty": -2.5}, "frequency_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"continue_final_message": True}, "messages[0].role"),
        (
            {
                "messages": [{"role": "assistant", "content": "x"}],
                "continue_final_message": True,
                "add_generation_prompt": True,
            },
            "add_generation_prompt",
        ),
        ({"trueup": {"continue_token_ids": [-1]}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": "5"}}, "trueup.continue_token_ids"),
        ({"n": 2, "trueup": {"continue_token_ids": [1]}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"1": []}}}, "trueup.continue_token_ids"),
        ({"n": 2, "trueup": {"continue_token_ids": {"2": [1]}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"-1": []}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"00": []}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"\u0661": []}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"9" * 5000: []}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"a": []}}}, "trueup.continue_token_ids"),
        ({"trueup": {"continue_token_ids": {"0": None}}}, "trueup.continue_token_ids.0"),
        ({"trueup": {"continue_token_ids": {"0": [True]}}}, "trueup.continue_token_ids.0"),
    ],
)
def test_values_that_cannot_be_used_are_named(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert param in error.cause


@pytest.mark.parametrize(
    ("name", "value", "neutral"),
    [
        ("tools", [{"type": "function"}], []),
        ("tool_choice", "required", "none"),
        ("functions", [{}], []),
        ("function_call", {"name": "x"}, "auto"),
        ("response_format", {"type": "json_object"}, {"type": "text"}),
        ("logprobs", True, False),
        ("top_logprobs", 3, 0),
        ("logit_bias", {"5": 1}, {}),
        ("modalities", ["text", "audio"], ["text"]),
        ("audio", {"voice": "x"}, None),
        ("prediction", {"type": "content"}, None),
        ("reasoning_effort", "high", None),
        ("service_tier", "flex", "auto"),
        ("web_search_options", {}, None),
        ("parallel_tool_calls", 3, True),
    ],
)
def test_what_would_change_the_answer_is_refused_and_what_would_not_is_accepted(
    name: str, value: object, neutral: object
) -> None:
    error = refusal(**{name: value})
    assert error.code == "unsupported_parameter"
    assert error.param == name
    assert parse_chat_request(body(**{name: neutral})) == parse_chat_request(body())


def test_tool_calls_and_images_in_messages_are_refused() -> None:
    error = refusal(messages=[USER, {"role": "assistant", "content": "x", "tool_calls": [{}]}])
    assert (error.param, error.code) == ("messages[1].tool_calls", "unsupported_parameter")
    image = {"type": "image_url", "image_url": {"url": "x"}}
    error = refusal(messages=[{"role": "user", "content": [image]}])
    assert (error.param, error.code) == ("messages[0].content[0].type", "unsupported_content")
    assert "image_url" in error.cause


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("temprature", "temperature"), ("max_token", "max_tokens"), ("zzzzzz", None)],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(
    name: str, nearest: str | None
) -> None:
    error = refusal(**{name: 1})
    assert (error.code, error.param) == ("unknown_parameter", name)
    assert error.hint == (f"the nearest known name is `{nearest}`" if nearest else None)


def test_harmless_parameters_are_accepted() -> None:
    accepted = body(user="u", metadata={"a": "b"}, store=True, safety_identifier="s")
    assert parse_chat_request(accepted) == parse_chat_request(body())


@pytest.mark.parametrize("found", [[], "text", 3, None])
def test_a_body_that_is_no_object_is_refused(found: Any) -> None:
    with pytest.raises(RequestError) as caught:
        parse_chat_request(found)
    assert caught.value.param == "body"


def test_long_values_are_cut_in_messages() -> None:
    assert len(refusal(stop=["x" * 5000] * 20).cause) < 250


def test_answers_have_the_shape_of_the_api() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    head = {"id": "chatcmpl-1", "created": 5, "model": "glm"}
    assert chat_response(**head, choices={1: ("b", "length"), 0: ("a", "stop")}, usage=usage) == {
        **head,
        "object": "chat.completion",
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": reason,
            }
            for index, text, reason in [(0, "a", "stop"), (1, "b", "length")]
        ],
        "usage": usage,
    }
    assert chat_chunk(**head, index=1, delta={"content": "x"}) == {
        **head,
        "object": "chat.completion.chunk",
        "choices": [
            {"index": 1, "delta": {"content": "x"}, "logprobs": None, "finish_reason": None}
        ],
    }
    last = chat_usage_chunk(**head, usage=usage)
    assert (last["choices"], last["usage"]) == ([], usage)
