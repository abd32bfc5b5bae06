"""A request in the terms of a backend: passed, translated, emulated, dropped or refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fakes import FakeBackend, FakeClient, Turn, whole_answer
from tests.gateway.test_chain import AT_ONCE, JSON
from trueup.backends.base import Accepts, Capabilities
from trueup.config.settings import PROFILES
from trueup.errors import BackendError, RequestError
from trueup.gateway.app import Gateway
from trueup.gateway.auth import Access
from trueup.gateway.clamp import check_room
from trueup.gateway.lessons import Lessons
from trueup.gateway.parameters import Adapted, adapt
from trueup.gateway.policies import POLICIES
from trueup.gateway.router import Served
from trueup.gateway.serving import Serving
from trueup.state import StateStore

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
OTHER = {"type": "function", "function": {"name": "g", "parameters": {}}}
CALL = {"function": {"name": "f", "arguments": "{}"}}
VALUES: dict[str, Any] = {
    "stop": ["x"],
    "n": 2,
    "tool_choice": "required",
    "response_format": {"type": "json_object"},
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "seed": 1,
    "temperature": 0.5,
    "top_p": 0.5,
    "presence_penalty": 1.0,
    "frequency_penalty": 1.0,
    "tools": [TOOL],
    "functions": [{"name": "f"}],
    "logit_bias": {"5": 1},
    "stream_options": {},
    "top_logprobs": 5,
    "parallel_tool_calls": False,
}


def backend(**accepts: Any) -> FakeBackend:
    return FakeBackend(
        is_foreign=True, capabilities=Capabilities(accepts=Accepts(**accepts), context_tokens=100)
    )


def adapted(
    changes: dict[str, Any],
    far: FakeBackend | None = None,
    *,
    profile: str = "strict",
    lessons: tuple[str, ...] = (),
    is_strict: bool = False,
) -> Adapted:
    return adapt(
        CHAT,
        {**BODY, **changes},
        far or backend(),
        lessons=lessons,
        profile=PROFILES[profile],
        is_strict=is_strict,
    )


def test_what_needs_no_change_goes_as_it_came() -> None:
    assert adapted({"temperature": 0.5, "odd": 1}).shape is None


def test_the_real_model_name_is_put_in() -> None:
    far = backend()
    far.model = "real"
    assert adapted({}, far).shape == {**BODY, "model": "real"}


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "developer"])
def test_each_policy_is_kept(name: str) -> None:
    changes = {name: VALUES.get(name, "x")}
    if name == "stream_options":
        changes["stream"] = True
    if name == "tool_choice":
        changes["tools"] = [{"type": "function", "function": {"name": "f"}}]
    far = backend(unsupported=frozenset({name}))
    if POLICIES[name] == "refuse":
        with pytest.raises(RequestError) as caught:
            adapted(changes, far)
        assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
        allowed = backend(unsupported=frozenset({name}), droppable=frozenset({name}))
        found = adapted(changes, allowed)
    else:
        found = adapted(changes, far)
        if POLICIES[name] == "emulate" or name == "stream_options":  # nothing is lost
            assert adapted(changes, far, is_strict=True).dropped == found.dropped
        else:
            with pytest.raises(RequestError) as caught:
                adapted(changes, far, is_strict=True)
            assert caught.value.param == name
            assert "`server.strict`" in (caught.value.hint or "")
    assert found.shape is not None
    assert name not in found.shape
    assert found.dropped[0].partition("=")[0] == name


def test_what_was_learned_counts_as_unsupported() -> None:
    found = adapted({"odd": 1, "seed": 5}, lessons=("odd",))
    assert (found.shape, found.dropped) == ({**BODY, "seed": 5}, ("odd",))


def test_what_was_never_asked_is_not_dropped() -> None:
    assert adapted({}, lessons=("seed",)).shape is None


def test_model_and_messages_are_never_dropped() -> None:
    found = adapted({}, backend(unsupported=frozenset({"model", "messages"})))
    assert found.shape == BODY


@pytest.mark.parametrize(("old", "new"), [("max_completion_tokens", "max_tokens"),
                                          ("max_tokens", "max_completion_tokens")])  # fmt: skip
def test_limits_are_translated_both_ways(old: str, new: str) -> None:
    found = adapted({old: 7}, lessons=(old,))
    assert (found.shape, found.dropped) == ({**BODY, new: 7}, (f"{old}={new}",))


def test_developer_becomes_system_where_it_is_not_known() -> None:
    messages = [{"role": "developer", "content": "x"}, *BODY["messages"]]
    found = adapted({"messages": messages}, lessons=("developer",))
    assert found.shape is not None
    assert [each["role"] for each in found.shape["messages"]] == ["system", "user"]
    assert adapted({"messages": messages}).shape is None


def test_stop_is_cut_here_and_n_becomes_several_requests() -> None:
    found = adapted({"stop": ["a", "b"], "n": 3}, lessons=("stop", "n"))
    assert (found.stop, found.requests, found.shape) == (("a", "b"), 3, BODY)
    assert adapted({"stop": "a"}, lessons=("stop",)).stop == ("a",)


def test_what_a_server_ignores_passes_where_it_asks_for_nothing() -> None:
    far = backend(ignored=frozenset({"n", "tool_choice", "logprobs", "response_format"}))
    assert adapted({"n": 1, "tool_choice": "auto", "logprobs": False}, far).dropped == ()
    assert adapted({"n": 2}, far).requests == 2


def test_tool_choice_auto_is_the_default_and_none_means_no_tools() -> None:
    auto = adapted({"tools": [TOOL], "tool_choice": "auto"}, lessons=("tool_choice",))
    assert (auto.shape, auto.verify) == ({**BODY, "tools": [TOOL]}, None)
    none = adapted({"tools": [TOOL], "tool_choice": "none"}, lessons=("tool_choice",))
    assert (none.shape, none.verify) == (BODY, None)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_forced_call_is_checked(choice: Any) -> None:
    found = adapted({"tools": [TOOL, OTHER], "tool_choice": choice}, lessons=("tool_choice",))
    assert found.shape is not None
    assert found.verify is not None
    assert found.shape["tools"] == ([TOOL, OTHER] if choice == "required" else [TOOL])
    assert found.verify({"tool_calls": [CALL]}) is None
    with pytest.raises(BackendError, match="calls nothing"):
        found.verify({"content": "f()"})


def test_a_choice_that_is_not_offered_is_refused() -> None:
    choice = {"type": "function", "function": {"name": "h"}}
    with pytest.raises(RequestError, match="not among `tools`"):
        adapted({"tools": [TOOL], "tool_choice": choice}, lessons=("tool_choice",))


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("content", "is_right", "replaced"),
    [
        ('{"a": 1}', True, None),
        ('```json\n{"a": 1}\n```', True, '{"a": 1}'),
        ('{"a": "x"}', False, None),
        ("{}", False, None),
        ("a is 1", False, None),
        ("", False, None),
    ],
)
def test_a_format_is_asked_for_in_words_and_checked(
    content: str, is_right: bool, replaced: str | None
) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    found = adapted({"response_format": wanted}, lessons=("response_format",))
    assert found.shape is not None
    assert found.verify is not None
    *before, last = BODY["messages"]
    assert found.shape["messages"][:-1] == before
    told = found.shape["messages"][-1]["content"]
    assert told.startswith(f"{last['content']}\n\nAnswer")
    assert "required" in told
    if is_right:
        assert found.verify({"content": content}) == replaced
    else:
        with pytest.raises(BackendError) as caught:
            found.verify({"content": content})
        assert (caught.value.code, caught.value.retryable) == ("answer_rejected", True)


def test_a_schema_that_is_none_is_told() -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": {"type": 5}}}
    with pytest.raises(RequestError, match="no JSON schema"):
        adapted({"response_format": wanted}, lessons=("response_format",))


def test_the_clients_system_message_stays_first() -> None:
    messages = [{"role": "system", "content": "be kind"}, *BODY["messages"]]
    wanted = {"messages": messages, "response_format": {"type": "json_object"}}
    found = adapted(wanted, lessons=("response_format",))
    assert found.shape is not None
    assert len(found.shape["messages"]) == 2
    assert found.shape["messages"][0]["content"].startswith("be kind\n\n")


def test_null_limits_are_none_and_large_ones_are_cut_for_clients_that_cannot_know() -> None:
    assert adapted({"max_tokens": None}).shape == BODY
    with pytest.raises(RequestError) as caught:
        adapted({"max_tokens": 5000})
    assert (caught.value.param, caught.value.code) == ("max_tokens", "context_length_exceeded")
    found = adapted({"max_tokens": 5000}, profile="langchain-chatchat")
    assert found.shape is not None
    assert 50 < found.shape["max_tokens"] < 100


@pytest.mark.parametrize(
    ("prompt", "limit", "param"),
    [
        ([1] * 101, None, "prompt"),
        ([[1], [1] * 101], None, "prompt"),
        ([1] * 60, 41, "max_tokens"),
        ([1] * 60, 40, None),
        ([1] * 100, None, None),
        ("word " * 500, 40, None),  # its tokens are known to nobody here
        (["word " * 500], 40, None),
    ],
)
def test_a_prompt_of_token_ids_has_to_fit_the_context(
    prompt: Any, limit: int | None, param: str | None
) -> None:
    shape = {"prompt": prompt, **({} if limit is None else {"max_tokens": limit})}
    if param is None:
        check_room(shape, 100)
        return
    with pytest.raises(RequestError) as caught:
        check_room(shape, 100)
    assert (caught.value.param, caught.value.code) == (param, "context_length_exceeded")
    check_room(shape, None)


WRONG: dict[str, Any] = {
    "temperature": 9,
    "top_p": 1.5,
    "max_tokens": 0,
    "max_completion_tokens": -1,
    "stop": [5],
    "messages": "hi",
    "tools": {},
    "response_format": "json",
    "stream_options": {},
    "seed": "x",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_everywhere_is_told_before_anybody_is_asked(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        adapted({name: WRONG[name]})
    assert str(caught.value.param).partition("[")[0] == name


@pytest.mark.parametrize("messages", [[], [5], [{"content": "x"}], [{"role": "robot"}]])
def test_messages_are_checked(messages: Any) -> None:
    with pytest.raises(RequestError):
        adapted({"messages": messages})


# Through the gateway: learned once, remembered after a success, told each time.

REJECTED = Turn([b'{"error":{"message":"Unknown parameter: \'odd\'."}}'], 400, JSON)
GOOD = Turn([whole_answer("right")], headers=JSON)


async def ask(far: FakeBackend, store: StateStore, **headers: str) -> FakeClient:
    serving = Serving(policy=AT_ONCE, lessons=Lessons(store))
    serving.router.open(Served(id="m", kind="chat", backend=far))
    client = FakeClient(body={**BODY, "odd": 1}, headers={**JSON, **headers})
    await Gateway(serving, Access(()))(client.scope, client.receive, client.send)
    return client


async def test_a_rejected_parameter_is_dropped_told_and_remembered_across_restarts() -> None:
    store = StateStore()
    store._path = None
    Lessons(store).clear()
    far = FakeBackend(turns=[REJECTED, GOOD], is_foreign=True)
    first = await ask(far, store)
    assert (first.status, first.text, far.open_count) == (200, "right", 2)
    assert first.headers["x-trueup-dropped"] == "odd"
    assert first.headers["x-trueup-tries"] == "2"
    assert "odd" not in orjson.loads(far.requests[1].body)
    store.close()
    again = await ask(far, StateStore())
    assert (again.text, far.open_count) == ("right", 3), "it is asked without it at once"
    assert again.headers["x-trueup-dropped"] == "odd"
    (lesson,) = Lessons(StateStore()).all()
    assert (lesson.backend, lesson.parameter) == ("fake", "odd")
    far.version = "2"
    assert Lessons(StateStore()).of(far) == frozenset(), "another version may take it"
    assert Lessons(StateStore()).clear("fake") == 1
    assert Lessons(StateStore()).all() == []


async def test_what_did_not_help_is_not_remembered_and_strict_gets_the_error() -> None:
    store = StateStore()
    Lessons(store).clear()
    far = FakeBackend(turns=[REJECTED, Turn([b"no"], 400, JSON)], is_foreign=True)
    assert (await ask(far, store)).status == 400
    assert Lessons(store).all() == []
    strict = await ask(
        FakeBackend(turns=[REJECTED, GOOD], is_foreign=True), store, **{"x-trueup-strict": "true"}
    )
    assert (strict.status, strict.json["error"]["message"]) == (400, "Unknown parameter: 'odd'.")


def test_the_documented_policies_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "parameters.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", page, re.M)
    assert dict(rows) == dict(POLICIES)


def test_a_parameter_goes_with_what_it_is_about() -> None:
    found = adapted(
        {"logprobs": True, "top_logprobs": 2}, backend(unsupported=frozenset({"logprobs"}))
    )
    assert found.shape is not None
    assert found.shape.keys() == BODY.keys()
    assert found.dropped == ("logprobs", "top_logprobs")


@pytest.mark.parametrize(
    "changes", [{"logprobs": False}, {"tool_choice": "auto"}, {"n": 1}, {"tools": []}]
)
def test_a_strict_request_loses_nothing_that_asks_for_nothing(changes: dict[str, Any]) -> None:
    far = backend(unsupported=frozenset(changes))
    assert adapted(changes, far, is_strict=True).dropped == tuple(changes)


def test_so_many_answers_as_openai_allows_are_asked_for() -> None:
    assert adapted({"n": 128}, backend()).shape is None
    with pytest.raises(RequestError, match="at most 8"):
        adapted({"n": 9}, backend(unsupported=frozenset({"n"})))


@pytest.mark.parametrize(
    ("changes", "untaken"),
    [
        ({"stop": "x" * 1001}, "stop"),
        ({"stop": ["x"], "echo": True}, "stop"),
        ({"n": 2, "best_of": 3}, "n"),
        ({"n": 9}, "n"),
        ({"tool_choice": {"type": "allowed_tools"}, "tools": [{}]}, "tool_choice"),
    ],
)
def test_what_cannot_be_emulated_may_be_asked_of_another(
    changes: dict[str, Any], untaken: str
) -> None:
    with pytest.raises(RequestError) as caught:
        adapted(changes, backend(unsupported=frozenset({untaken})))
    assert caught.value.code == "unsupported_parameter"


def test_a_call_is_not_required_without_tools() -> None:
    with pytest.raises(RequestError, match="no function"):
        adapted({"tool_choice": "required"}, backend(unsupported=frozenset({"tool_choice"})))
