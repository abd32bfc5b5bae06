"""Tool calls in fragments, as servers send them, and what a finished one has to be."""

from __future__ import annotations

from typing import Any

import pytest

from trueup.errors import BackendError
from trueup.gateway.toolcalls import CallFragments, finished_calls

CUSTOM = {"id": "c1", "type": "custom", "custom": {"name": "x", "input": "no { JSON"}}


def fragment(name: str | None = None, arguments: str = "", **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"function": function, **more}


@pytest.mark.parametrize(
    "fragments",
    [
        [fragment("f", "{", index=0, id="abc"), fragment(None, "}", index=0)],
        [fragment("f", "{", id="abc"), fragment(None, "}")],
        [fragment("f", "{"), fragment(None, "}")],
        [fragment("f", "{", index=0, id="a"), fragment(None, "}", index=0, id="b")],
        [fragment("f", "{", id="a"), fragment(None, "}", id="a")],
    ],
)
def test_fragments_of_one_call_are_one_call(fragments: list[dict[str, Any]]) -> None:
    calls = CallFragments()
    for each in fragments:
        calls.add([each])
    (call,) = finished_calls(calls.shapes())
    assert call["function"] == {"name": "f", "arguments": "{}"}


def test_calls_with_one_index_and_names_and_ids_of_their_own_are_several() -> None:
    calls = CallFragments()
    calls.add([fragment("f", "{}", index=0, id="a")])
    calls.add([fragment("g", "{}", index=0, id="b")])
    assert [each["function"]["name"] for each in finished_calls(calls.shapes())] == ["f", "g"]


def test_a_call_of_a_custom_tool_is_passed_on_as_it_is() -> None:
    assert finished_calls([CUSTOM]) == [CUSTOM]


def test_a_call_of_a_custom_tool_is_gathered_from_its_fragments() -> None:
    calls = CallFragments()
    calls.add([{"index": 0, "id": "c1", "custom": {"name": "x", "input": "no "}}])
    calls.add([{"index": 0, "custom": {"input": "{ JSON"}}])
    assert finished_calls(calls.shapes()) == [CUSTOM]


def test_a_call_without_a_name_is_none() -> None:
    with pytest.raises(BackendError, match="without a function's name"):
        finished_calls([{"id": "a", "function": {"arguments": "{}"}}])
