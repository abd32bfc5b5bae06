"""What the gateway does in place of a backend: tool choices, formats, stop strings, limits."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import FakeBackend
from trueup.backends.base import Accepts, Capabilities
from trueup.config.settings import PROFILES
from trueup.errors import BackendError, RequestError, TrueUpError
from trueup.gateway.clamp import prompt_tokens
from trueup.gateway.emulation import Verify
from trueup.gateway.parameters import MAX_STOP_CHARACTERS, Adapted, adapt
from trueup.gateway.policies import POLICIES

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TEXT: dict[str, Any] = {"model": "m", "prompt": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
FORCED = {"type": "function", "function": {"name": "f"}}
TOOLS = {"tools": [TOOL], "tool_choice": FORCED}
NAMES = frozenset(POLICIES)


def adapted(
    shape: dict[str, Any],
    *unsupported: str,
    drop: tuple[str, ...] = (),
    ignored: tuple[str, ...] = (),
    profile: str = "strict",
    context_tokens: int | None = None,
) -> Adapted:
    accepts = Accepts(
        unsupported=frozenset(unsupported), ignored=frozenset(ignored), droppable=frozenset(drop)
    )
    far = FakeBackend(
        is_foreign=True, capabilities=Capabilities(accepts=accepts, context_tokens=context_tokens)
    )
    path = CHAT if "messages" in shape else COMPLETIONS
    return adapt(path, shape, far, profile=PROFILES[profile], is_strict=False)


def verify_of(schema: Any) -> Verify:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    verify = adapted({**BODY, "response_format": wanted}, "response_format").verify
    assert verify is not None
    return verify


@pytest.mark.parametrize("untaken", [("tools", "tool_choice"), ("tools",), ("tool_choice",)])
def test_tools_that_are_not_to_be_called_are_not_sent(untaken: tuple[str, ...]) -> None:
    asked = {**BODY, "tools": [TOOL], "parallel_tool_calls": False, "tool_choice": "none"}
    found = adapted(asked, *untaken)
    assert (found.shape, found.dropped, found.verify) == (BODY, ("tool_choice",), None)


def test_functions_that_are_not_to_be_called_are_not_sent() -> None:
    asked = {**BODY, "functions": [{"name": "f"}], "function_call": "none"}
    assert adapted(asked, "functions").shape == BODY


def test_what_is_about_tools_goes_with_tools_that_may_be_dropped() -> None:
    asked = {**BODY, "tool_choice": "auto", "parallel_tool_calls": False, "tools": [TOOL]}
    assert adapted(asked, "tools", drop=("tools",)).shape == BODY


@pytest.mark.parametrize("choice", ["required", FORCED])
def test_a_call_that_was_asked_for_is_not_dropped_with_the_tools(choice: Any) -> None:
    asked = {**BODY, "tool_choice": choice, "tools": [TOOL]}
    with pytest.raises(RequestError) as caught:
        adapted(asked, "tools", "tool_choice", drop=("tools",))
    assert caught.value.param == "tool_choice"
    found = adapted(asked, "tools", "tool_choice", drop=("tools", "tool_choice"))
    assert (found.shape, found.verify) == (BODY, None)


@pytest.mark.parametrize(
    "changes", [TOOLS, {"response_format": {"type": "json_object"}}], ids=["choice", "format"]
)
def test_what_may_be_dropped_is_not_checked(changes: dict[str, Any]) -> None:
    (name,) = set(changes) - {"tools"}
    assert adapted({**BODY, **changes}, name).verify is not None
    assert adapted({**BODY, **changes}, name, drop=(name,)).verify is None


@pytest.mark.parametrize(
    "choice", [5, {}, {"function": None}, {"function": "f"}, {"function": {"name": 5}}, "f"]
)
def test_a_choice_that_cannot_be_meant_is_refused(choice: Any) -> None:
    with pytest.raises(RequestError) as caught:
        adapted(
            {**BODY, "tools": [TOOL, {"function": None}, 5], "tool_choice": choice}, "tool_choice"
        )
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "xml"},
        {},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": "x"},
        {"type": "json_schema", "json_schema": {"schema": "x"}},
        {"type": "json_schema", "json_schema": {"schema": {"type": 5}}},
        {"type": "json_schema", "json_schema": {"schema": {"pattern": "("}}},
    ],
)
def test_a_format_that_cannot_be_meant_is_refused(wanted: Any) -> None:
    with pytest.raises(RequestError) as caught:
        adapted({**BODY, "response_format": wanted}, "response_format")
    assert str(caught.value.param).startswith("response_format")
    assert "\n" not in caught.value.cause


def test_a_schema_is_optional() -> None:
    assert verify_of(None)({"content": "5"}) is None


def test_a_clients_schema_makes_the_server_read_no_file_and_ask_no_server(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text('{"type": "integer"}')
    with pytest.raises(RequestError, match="retrieving it failed"):
        verify_of({"$ref": (tmp_path / "secret.json").as_uri()})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/schema"
        for schema in ({"$ref": address}, {"$schema": address}, {"$id": address, "$ref": "other"}):
            with pytest.raises(RequestError, match="no JSON schema"):
                verify_of(schema)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_what_does_not_fit_is_told_shortly() -> None:
    verify = verify_of({"type": "object", "properties": {"a": {"items": {"type": "string"}}}})
    with pytest.raises(BackendError) as caught:
        verify({"content": '{"a": [' + "5," * 9999 + "5]}"})
    assert "a/0" in caught.value.cause
    assert len(caught.value.cause) < 600


def test_a_format_has_no_place_in_a_text_completion() -> None:
    with pytest.raises(RequestError) as caught:
        adapted({**TEXT, "response_format": {"type": "json_object"}}, "response_format")
    assert caught.value.code == "unsupported_parameter"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("be kind", "be kind\n\nAnswer"),
        (None, "Answer"),
        ([{"type": "text", "text": "be kind"}], [{"type": "text", "text": "be kind"}]),
    ],
)
def test_words_are_added_to_a_system_message_of_any_shape(content: Any, told: Any) -> None:
    messages = [{"role": "system", "content": content}, *BODY["messages"]]
    asked = {**BODY, "messages": messages, "response_format": {"type": "json_object"}}
    shape = adapted(asked, "response_format").shape
    assert shape is not None
    assert [each["role"] for each in shape["messages"]] == ["system", "user"]
    assert shape["messages"][0]["content"][: len(told)] == told
    assert messages[0]["content"] == content, "the client's request is not changed"


def test_words_go_to_the_last_question_where_there_is_no_system_message() -> None:
    rounds = [("user", "one"), ("assistant", "1"), ("user", "two"), ("assistant", '{"a":')]
    messages = [{"role": role, "content": content} for role, content in rounds]
    asked = {**BODY, "messages": messages, "response_format": {"type": "json_object"}}
    shape = adapted(asked, "response_format").shape
    assert shape is not None
    assert [each["role"] for each in shape["messages"]] == [role for role, _ in rounds]
    assert shape["messages"][2]["content"].startswith("two\n\nAnswer with one JSON object")
    assert [each for each in shape["messages"] if each not in messages] == [shape["messages"][2]]


def test_several_prompts_and_several_answers_are_not_emulated_at_once() -> None:
    assert adapted({**TEXT, "prompt": ["hi"], "n": 2}, "n").requests == 2
    assert adapted({**TEXT, "prompt": [1, 2], "n": 2}, "n").requests == 2
    with pytest.raises(RequestError) as caught:
        adapted({**TEXT, "prompt": ["hi", "ho"], "n": 2}, "n")
    assert caught.value.param == "n"


def test_a_stop_string_has_an_end() -> None:
    longest = "x" * MAX_STOP_CHARACTERS
    assert adapted({**BODY, "stop": ["a", longest]}, "stop").stop == ("a", longest)
    with pytest.raises(RequestError, match=f"{MAX_STOP_CHARACTERS + 1} characters"):
        adapted({**BODY, "stop": ["a", longest + "x"]}, "stop")


def test_values_that_ask_for_nothing_are_told_by_their_type() -> None:
    assert adapted({**TEXT, "logprobs": 0}, ignored=("logprobs",)).dropped == ("logprobs",)
    assert adapted({**TEXT, "logprobs": False}, ignored=("logprobs",)).dropped == ()


def test_the_newer_name_of_a_limit_wins() -> None:
    asked = {**BODY, "max_tokens": 5, "max_completion_tokens": 7}
    assert adapted(asked, "max_completion_tokens").shape == {**BODY, "max_tokens": 7}
    assert adapted(asked, "max_tokens").shape == {**BODY, "max_completion_tokens": 7}


def test_a_limit_is_cut_to_the_room_after_the_text_of_the_prompt() -> None:
    def limit(content: Any) -> Any:
        asked = {
            "model": "m",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 900,
        }
        shape = adapted(asked, profile="langchain-chatchat", context_tokens=400).shape
        return shape and shape["max_tokens"]

    assert limit("x" * 300) == 400 - 100 - 4
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "x" * 9999}}
    assert limit([{"type": "text", "text": "x" * 300}, image]) == 400 - 100 - 4
    assert limit("x" * 99999) == 100, "it is an estimate: an answer of one token helps nobody"


@pytest.mark.parametrize(
    ("prompt", "tokens"), [("x" * 30, 10), (["x" * 30, "中"], 11), ([1, 2, 3], 3), ([[1, 2]], 2)]
)
def test_prompts_of_texts_and_of_token_ids_are_counted(prompt: Any, tokens: int) -> None:
    assert prompt_tokens({"prompt": prompt}) == tokens


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.just(1.5)
    | st.sampled_from(["", "auto", "none", "required", "json_object", "json_schema", "f", "user"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "function", "name", "json_schema", "schema", "role", "text"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
SHAPES = st.dictionaries(st.sampled_from([*POLICIES, "messages", "prompt"]), JSON, max_size=5)
MESSAGES: tuple[dict[str, Any], ...] = (
    {"content": "{}"},
    {"content": None},
    {"content": "x", "tool_calls": []},
    {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
@given(SHAPES, st.sampled_from([CHAT, COMPLETIONS]), st.booleans(), st.booleans(), st.booleans())
def test_no_request_is_too_odd(
    shape: dict[str, Any], path: str, is_ignored: bool, is_checked: bool, is_clamped: bool
) -> None:
    accepts = Accepts(ignored=NAMES) if is_ignored else Accepts(unsupported=NAMES)
    capabilities = Capabilities(accepts=accepts, context_tokens=100, queues=not is_checked)
    far = FakeBackend(is_foreign=True, capabilities=capabilities)
    profile = PROFILES["langchain-chatchat" if is_clamped else "strict"]
    asked = {**BODY, "prompt": "hi", **shape}
    before = repr(asked)
    try:
        # What decides how many answers there are is read before.
        if type(asked.get("n")) not in (int, type(None)):
            del asked["n"]
            before = repr(asked)
        found = adapt(path, asked, far, profile=profile, is_strict=False)
        for message in MESSAGES if found.verify else ():
            assert found.verify is not None
            found.verify(message)
    except TrueUpError:
        pass  # told, as anything that cannot be meant
    assert repr(asked) == before
