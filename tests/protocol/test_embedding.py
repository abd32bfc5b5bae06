from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from trueup.errors import RequestError
from trueup.protocol.embedding import (
    MAX_INPUTS,
    embedding_response,
    parse_embedding_request,
)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "codebert", "input": "x = 1", **fields}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", ("x",)),
        (" ", (" ",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([0], ((0,),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (["a", [3]], ("a", (3,))),
        (["a"] * MAX_INPUTS, ("a",) * MAX_INPUTS),
        (list(range(MAX_INPUTS + 1)), (tuple(range(MAX_INPUTS + 1)),)),
    ],
)
def test_every_form_of_input_is_read(value: object, expected: tuple[object, ...]) -> None:
    assert parse_embedding_request(body(input=value)).inputs == expected


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ("", "input"),
        ([], "input"),
        ({}, "input"),
        (3, "input"),
        (True, "input"),
        ([""], "input[0]"),
        (["a", ""], "input[1]"),
        (["a", []], "input[1]"),
        (["a", 3], "input[1]"),
        (["a", None], "input[1]"),
        ([None], "input[0]"),
        ([1, "a"], "input"),
        ([1, -1], "input"),
        ([True], "input"),
        ([1.5], "input[0]"),
        ([[1], [2, "a"]], "input[1]"),
        (["a"] * (MAX_INPUTS + 1), "input"),
    ],
)
def test_an_input_that_is_nothing_to_embed_is_named(value: object, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_embedding_request(body(input=value))
    assert (caught.value.param, caught.value.status) == (param, 400)
    assert f"`{param}`" in caught.value.cause


def test_too_many_inputs_are_told_with_their_number_and_the_way_out() -> None:
    with pytest.raises(RequestError) as caught:
        parse_embedding_request(body(input=["a"] * 5000))
    assert "5000 inputs, expected at most 2048" in caught.value.cause
    assert "several requests" in (caught.value.hint or "")


@pytest.mark.parametrize("field", ["model", "input"])
@pytest.mark.parametrize("is_null", [True, False])
def test_what_must_be_there_is_named(field: str, is_null: bool) -> None:
    fields = body()
    if is_null:
        fields[field] = None
    else:
        del fields[field]
    with pytest.raises(RequestError) as caught:
        parse_embedding_request(fields)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("none", "none"),
        ("start", "start"),
        ("end", "end"),
        ("END", "end"),
        (True, "end"),
        (False, "none"),
        (None, "none"),
    ],
)
def test_truncate_is_a_word_or_what_other_servers_take(value: object, expected: str) -> None:
    assert parse_embedding_request(body(truncate=value)).truncate == expected


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"truncate": "middle"}, "truncate"),
        ({"truncate": 1}, "truncate"),
        ({"truncate": ["end"]}, "truncate"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": ["float"]}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": -1}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": "16"}, "dimensions"),
        ({"windows": "true"}, "windows"),
        ({"prompt_name": ""}, "prompt_name"),
        ({"model": 3}, "model"),
        ({"windows": True, "truncate": "end"}, "truncate"),
        ({"windows": True, "truncate": True}, "truncate"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_embedding_request(body(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize("truncate", ["none", False, None])
def test_windows_go_with_no_truncation(truncate: object) -> None:
    request = parse_embedding_request(body(windows=True, truncate=truncate))
    assert (request.windows, request.truncate) == (True, "none")


def test_both_ways_out_of_a_long_input_at_once_are_a_contradiction() -> None:
    with pytest.raises(RequestError, match="`windows` and `truncate` are both given"):
        parse_embedding_request(body(windows=True, truncate="start"))


@pytest.mark.parametrize(
    ("name", "nearest"), [("trunkate", "truncate"), ("dimension", "dimensions"), ("zzz", None)]
)
def test_an_unknown_field_is_refused_with_the_nearest_name(name: str, nearest: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        parse_embedding_request(body(**{name: 1}))
    assert (caught.value.param, caught.value.code) == (name, "unknown_parameter")
    assert (f"`{nearest}`" in (caught.value.hint or "")) is (nearest is not None)


def test_null_is_absent_and_the_user_says_nothing_about_the_answer() -> None:
    fields = dict.fromkeys(("encoding_format", "dimensions", "truncate", "windows", "prompt_name"))
    request = parse_embedding_request(body(user="me", **fields))
    assert request == parse_embedding_request(body())
    assert request.encoding_format == "float"


def answer(*, is_base64: bool, **notes: list[int]) -> dict[str, Any]:
    vectors = np.array([[0.1, -2.5], [3e-30, 7.0]], dtype=np.float32)
    return embedding_response(
        model="m", vectors=vectors, is_base64=is_base64, prompt_tokens=7, notes=notes
    )


def test_base64_holds_every_bit_of_the_floats_little_endian() -> None:
    floats = [row["embedding"] for row in answer(is_base64=False)["data"]]
    coded = [row["embedding"] for row in answer(is_base64=True)["data"]]
    for row, text in zip(floats, coded, strict=True):
        assert isinstance(text, str)
        assert np.frombuffer(base64.b64decode(text), dtype="<f4").tolist() == row.tolist()


def test_the_answer_has_the_shape_of_the_api() -> None:
    shape = answer(is_base64=False)
    assert [(row["object"], row["index"]) for row in shape["data"]] == [
        ("embedding", 0),
        ("embedding", 1),
    ]
    assert (shape["object"], shape["model"]) == ("list", "m")
    assert shape["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_what_became_of_long_inputs_is_said_and_nothing_where_there_were_none() -> None:
    assert "trueup" not in answer(is_base64=True, truncated=[], windowed=[])
    assert answer(is_base64=True, truncated=[1], windowed=[])["trueup"] == {"truncated": [1]}
