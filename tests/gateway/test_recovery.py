"""Answers that break off after something was delivered: continued, completed, or told as cut."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.fakes import LOCAL, SSE, FakeBackend, FakeClient, Step, Turn, answer, chunk, whole_answer
from tests.gateway.test_chain import BODY, JSON, ask, foreign, gateway
from trueup import events
from trueup.backends.base import Accepts, Capabilities, Limits
from trueup.errors import BackendError
from trueup.events import ContinuationStarted, Event
from trueup.gateway.recovery import MAX_BARREN, MAX_CONTINUATIONS, Recovery

CUT = BackendError("the worker broke off", retryable=True, code="worker_failed")
TEXT = "one two three"


def sse(shape: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(shape) + b"\n\n"


def delta(said: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": said, "finish_reason": finish}
    return sse({"id": "far-1", "object": "x", "created": 1, "model": "m", "choices": [choice]})


def own(*turns: Turn, is_exact: bool = True) -> FakeBackend:
    capabilities = Capabilities(
        continuation="token_ids", is_exact=is_exact, takes_seed=True, queues=True
    )
    return FakeBackend(turns=turns, name="own", capabilities=capabilities)


def tokens(text: str, position: int, *ids: int, index: int = 0, finish: str | None = None) -> bytes:
    shape = orjson.loads(chunk(text, index=index, finish=finish).removeprefix(b"data: "))
    shape["trueup"] = {"position": position, "token_ids": list(ids)}
    return sse(shape)


def finish_chunk(client: FakeClient) -> dict[str, Any]:
    shapes = [orjson.loads(each) for each in client.events if each != b"[DONE]"]
    (found,) = [s for s in shapes if s.get("choices") and s["choices"][0]["finish_reason"]]
    return dict(found)


def error_code(client: FakeClient) -> str:
    assert client.events[-1] == b"[DONE]"
    return str(orjson.loads(client.events[-2])["error"]["code"])


@pytest.fixture
def told() -> Any:
    heard: list[Event] = []
    stop = events.subscribe(heard.append)
    yield heard
    stop()


@pytest.mark.parametrize("is_exact", [True, False])
async def test_our_own_worker_goes_on_after_the_tokens_that_were_delivered(
    is_exact: bool, told: list[Event]
) -> None:
    backend = own(
        Turn([tokens("a", 0, 5), tokens("b", 1, 6, 7), CUT]),
        Turn([tokens("c", 3, 8), tokens("", 4, finish="stop"), b"data: [DONE]\n\n"]),
        is_exact=is_exact,
    )
    client = await ask(gateway(backend), model="own", stream=True)
    assert (client.text, client.events[-1]) == ("abc", b"[DONE]")
    first, second = (orjson.loads(request.body) for request in backend.requests)
    assert second.pop("trueup") == {"continue_token_ids": {"0": [5, 6, 7]}}
    assert first == second, "the same seed, or it is another answer"
    ids = {orjson.loads(each)["id"] for each in client.events[:-1]}
    assert len(ids) == 1
    note = {"tries": 2, "continuations": 1, "exact": is_exact}
    assert finish_chunk(client)["trueup"] == note
    assert [e.how for e in told if isinstance(e, ContinuationStarted)] == ["token_ids"]
    assert backend.open_count == backend.closed_count == 2


async def test_only_open_choices_are_continued_and_all_tokens_are_counted() -> None:
    usage = sse({"id": "x", "choices": [], "usage": {"completion_tokens": 3, "total_tokens": 8}})
    backend = own(
        Turn([tokens("a", 0, 5), tokens("", 1, 9, finish="stop"), tokens("x", 0, 4, index=1), CUT]),
        Turn(
            [
                tokens("y", 1, 4, index=1),
                tokens("", 2, 9, index=1, finish="stop"),
                usage,
                b"data: [DONE]\n\n",
            ]
        ),
    )
    client = await ask(
        gateway(backend), model="own", stream=True, n=2, stream_options={"include_usage": True}
    )
    sent = orjson.loads(backend.requests[1].body)
    assert sent["trueup"] == {"continue_token_ids": {"1": [4]}}
    counted = orjson.loads(client.events[-2])["usage"]
    assert counted["completion_tokens"] == 2 + 3
    assert counted["total_tokens"] == 2 + 8


async def test_a_worker_that_dies_again_and_again_is_continued_as_long_as_it_comes_further() -> (
    None
):
    turns = [Turn([tokens("a", i, i), CUT]) for i in range(5)]
    backend = own(*turns, Turn([tokens("", 5, finish="stop")]))
    client = await ask(gateway(backend), model="own", stream=True)
    assert client.text == "aaaaa"
    assert finish_chunk(client)["trueup"]["continuations"] == 5
    stuck = own(Turn([tokens("a", 0, 1), CUT]), Turn([CUT]))
    client = await ask(gateway(stuck), model="own", stream=True)
    assert error_code(client) == "stream_incomplete"
    assert stuck.open_count >= 1 + MAX_BARREN


async def test_continuations_end() -> None:
    backend = own(*(Turn([tokens("a", i, i), CUT]) for i in range(99)))
    client = await ask(gateway(backend), model="own", stream=True)
    assert error_code(client) == "stream_incomplete"
    assert backend.open_count < 2 * MAX_CONTINUATIONS


@pytest.mark.parametrize(
    ("continuation", "expected"),
    [
        (
            "continue_final_message",
            {"continue_final_message": True, "add_generation_prompt": False},
        ),
        ("prefix", {}),
    ],
)
async def test_a_foreign_server_goes_on_after_a_partial_message(
    continuation: str, expected: dict[str, Any]
) -> None:
    backend = foreign(
        Turn([delta({"role": "assistant", "content": ""}), delta({"content": "one "})]),
        Turn([delta({"role": "assistant"}), delta({"content": "two"}), delta({}, "stop")]),
        continuation=continuation,
    )
    client = await ask(gateway(backend), stream=True, max_tokens=10)
    assert client.text == "one two"
    assert client.body.count(b'"role"') == 1
    sent = orjson.loads(backend.requests[1].body)
    partial = sent["messages"][-1]
    assert (partial["role"], partial["content"]) == ("assistant", "one ")
    assert partial.get("prefix", False) is (continuation == "prefix")
    assert {name: sent[name] for name in expected} == expected
    assert sent["max_tokens"] < 10


@pytest.mark.parametrize("is_repeated", [True, False])
async def test_an_answer_that_begins_again_is_not_joined_to_what_was_delivered(
    is_repeated: bool,
) -> None:
    first = "one two " if is_repeated else "three"
    backend = foreign(
        Turn([delta({"role": "assistant", "content": "one "}), delta({"content": "two "})]),
        Turn([delta({"content": part}) for part in (first[:2], first[2:])] + [delta({}, "stop")]),
        Turn([whole_answer("one two three")], headers=JSON),
        continuation="prefix",
    )
    client = await ask(gateway(backend), stream=True)
    assert client.text == "one two three"
    assert backend.open_count == (3 if is_repeated else 2)


@pytest.mark.parametrize("again", ["one two three", "other", None])
async def test_a_continuation_that_comes_whole_is_not_taken_for_the_end(again: str | None) -> None:
    backend = foreign(
        Turn([delta({"content": "one "})]),
        Turn([whole_answer("two three")], headers=JSON),
        Turn([whole_answer(again)], headers=JSON) if again else Turn(status=500),
        continuation="continue_final_message",
    )
    client = await ask(gateway(backend), stream=True)
    if again == "one two three":
        assert (client.text, client.events[-1]) == (again, b"[DONE]")
        assert finish_chunk(client)["choices"][0]["finish_reason"] == "stop"
    else:
        assert (client.text, error_code(client)) == ("one ", "stream_incomplete")


async def test_no_stream_ends_without_evidence_that_it_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def give_up(recovery: Recovery) -> None:
        """As if it had brought the answer to its end."""

    monkeypatch.setattr(Recovery, "run", give_up)
    client = await ask(gateway(foreign(Turn([delta({"content": "one "})]))), stream=True)
    assert error_code(client) == "stream_incomplete"


@pytest.mark.parametrize("headers", [{}, {"x-trueup-profile": "langchain-chatchat"}])
async def test_only_what_went_on_is_told_as_a_continuation(headers: dict[str, str]) -> None:
    begun = Turn([delta({"content": "one "})])
    failed = [Turn(status=500)] * MAX_BARREN
    asked = {**BODY, "stream": True}
    for ending, told in ((whole_answer(TEXT), (1, True)), (whole_answer("other"), None)):
        backend = foreign(
            begun,
            *failed,
            Turn([ending], headers=JSON),
            continuation="continue_final_message",
            is_exact=False,
        )
        client = FakeClient(body=asked, headers={**JSON, **headers})
        await gateway(backend)(client.scope, client.receive, client.send)
        assert backend.open_count > 1 + MAX_BARREN
        if told:
            note = finish_chunk(client)["trueup"]
            assert (note["continuations"], note["exact"]) == told
        else:
            assert b"continuations" not in client.body


async def test_tokens_before_a_continuation_are_answer_and_not_prompt() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 6, "total_tokens": 13}
    more = [*(delta({"content": "more "}) for _ in range(6)), delta({}, "stop")]
    backend = foreign(
        Turn([delta({"role": "assistant"}), *(delta({"content": w}) for w in "abcd")]),
        Turn([*more, sse({"id": "x", "choices": [], "usage": usage})]),
        continuation="continue_final_message",
    )
    client = await ask(gateway(backend), stream=True, stream_options={"include_usage": True})
    last = orjson.loads(client.events[-2])
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13}
    assert last["trueup"] == {"usage": "estimated"}


async def test_counts_of_an_answer_that_was_asked_again_are_taken_as_they_are() -> None:
    end = delta({"content": "b"}, "stop").replace(b'"index":0', b'"index":1')
    partial = {"completion_tokens": 2, "prompt_tokens": 3, "total_tokens": 5}
    begun = [delta({"content": "one "}), end, sse({"id": "x", "choices": [], "usage": partial})]
    shape = orjson.loads(whole_answer(TEXT))
    shape["choices"] += [{**shape["choices"][0], "index": 1}]
    shape["choices"][1] = {**shape["choices"][1], "message": {"role": "assistant", "content": "b"}}
    shape["usage"] = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
    backend = foreign(
        Turn([*begun, CUT]),
        Turn([orjson.dumps(shape)], headers=JSON),
        accepts=Accepts(unsupported=frozenset({"stop"})),  # finish chunks are not held then
    )
    options = {"include_usage": True}
    client = await ask(gateway(backend), stream=True, n=2, stop="zzz", stream_options=options)
    assert orjson.loads(client.events[-2])["usage"] == shape["usage"]


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_that_has_all_its_tokens_is_ended_and_not_continued(limit: str) -> None:
    begun = [delta({"role": "assistant"}), *(delta({"content": word}) for word in "abcd")]
    backend = foreign(Turn(begun), continuation="continue_final_message")
    client = await ask(gateway(backend), stream=True, **{limit: 4})
    assert (client.text, client.events[-1]) == ("abcd", b"[DONE]")
    assert finish_chunk(client)["choices"][0]["finish_reason"] == "length"
    assert b"continuations" not in client.body
    assert backend.open_count == 1


HIDDEN: dict[str, list[bytes]] = {
    "reasoning": [delta({"reasoning_content": "hm"}), delta({"content": "one "})],
    "several choices": [delta({"content": "one "})],
    "tools": [delta({"content": "one "})],
}


@pytest.mark.parametrize("what", HIDDEN)
async def test_what_the_text_does_not_show_is_not_continued_after_a_text(what: str) -> None:
    backend = foreign(
        Turn(HIDDEN[what]), Turn([whole_answer("other")], headers=JSON), continuation="prefix"
    )
    more: dict[str, Any] = {"n": 2} if what == "several choices" else {}
    if what == "tools":
        more = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    client = await ask(gateway(backend), stream=True, **more)
    assert error_code(client) == "stream_incomplete"
    for request in backend.requests[1:]:
        assert orjson.loads(request.body)["messages"][-1]["role"] == "user"


WHOLES: dict[str, tuple[list[Step], bool]] = {
    "the same answer": ([whole_answer(TEXT)], True),
    "another answer": ([whole_answer("two one")], False),
    "a shorter answer": ([whole_answer("one")], False),
    "nothing": ([whole_answer("")], False),
}


@pytest.mark.parametrize("what", WHOLES)
async def test_only_an_answer_that_begins_with_what_was_delivered_is_completed(what: str) -> None:
    steps, is_completed = WHOLES[what]
    backend = foreign(Turn([delta({"content": "one "})]), Turn(steps, headers=JSON))
    client = await ask(gateway(backend), stream=True)
    if is_completed:
        assert (client.text, client.events[-1]) == (TEXT, b"[DONE]")
        assert finish_chunk(client)["trueup"]["continuations"] == 1
    else:
        assert client.text == "one "
        assert error_code(client) == "stream_incomplete"


async def test_reasoning_has_to_be_the_same_as_well() -> None:
    thought = [delta({"reasoning_content": "hm "}), delta({"content": "one "})]

    def whole(reasoning: str) -> Turn:
        shape = orjson.loads(whole_answer(TEXT))
        shape["choices"][0]["message"]["reasoning_content"] = reasoning
        return Turn([orjson.dumps(shape)], headers=JSON)

    same = await ask(gateway(foreign(Turn(thought), whole("hm "))), stream=True)
    assert same.text == TEXT
    other = await ask(gateway(foreign(Turn(thought), whole("hm hm"))), stream=True)
    assert error_code(other) == "stream_incomplete"


async def test_somebody_else_may_complete_it_with_exactly_the_same_answer() -> None:
    broken = foreign(Turn([delta({"content": "one "})]), Turn(status=500))
    second = foreign(Turn([whole_answer(TEXT)], headers=JSON), name="second")
    client = await ask(gateway(broken, second), stream=True)
    assert client.text == TEXT
    assert second.open_count == 1


async def test_an_answer_that_took_long_is_completed_with_new_patience() -> None:
    async def grow_old() -> None:
        (answering,) = app.serving.answering
        answering.chain.began_at -= 1e6

    backend = foreign(
        Turn([delta({"content": "one "}), grow_old]),
        Turn(status=500),
        Turn([whole_answer(TEXT)], headers=JSON),
    )
    app = gateway(backend)
    client = await ask(app, stream=True)
    assert client.text == TEXT


async def test_a_server_that_costs_money_is_not_asked_again() -> None:
    backend = foreign(
        Turn([delta({"content": "one "})]),
        Turn([whole_answer(TEXT)], headers=JSON),
        asks_again=False,
    )
    client = await ask(gateway(backend), stream=True)
    assert error_code(client) == "stream_incomplete"
    assert backend.open_count == 1


async def test_a_role_alone_is_no_answer_and_the_next_try_may_say_anything() -> None:
    begun = Turn([delta({"role": "assistant", "content": ""})])
    backend = foreign(begun, Turn(answer("right")))
    client = await ask(gateway(backend), stream=True)
    assert client.text == "right"
    assert client.body.count(b'"role"') == 1
    ids = {orjson.loads(each)["id"] for each in client.events[:-1]}
    assert ids == {"chatcmpl-1"}, "of the first try nothing was sent"
    assert b"continuations" not in client.body


async def test_the_headers_tell_who_answered_and_not_who_only_gave_a_role() -> None:
    begun = Turn([delta({"role": "assistant", "content": ""})])
    broken, second = foreign(begun, begun, Turn(status=500)), foreign(Turn(answer("right")))
    second.name = "second"
    client = await ask(gateway(broken, second), stream=True)
    assert (client.text, client.headers["x-trueup-backend"]) == ("right", "second")
    assert client.headers["x-trueup-tries"] == str(broken.open_count + 1)


async def test_an_error_after_a_role_still_has_a_status_of_its_own() -> None:
    begun = Turn([delta({"role": "assistant", "content": ""})])
    client = await ask(gateway(foreign(begun, begun, Turn(status=500))), stream=True)
    assert client.status == 500


async def test_a_role_is_sent_as_it_came_and_no_earlier_than_the_answer() -> None:
    async def nothing_yet() -> None:
        assert client.status is None

    role, text = delta({"role": "assistant", "content": ""}), delta({"content": "a"})
    steps: list[Step] = [role, nothing_yet, text, delta({}, "stop"), b"data: [DONE]\n\n"]
    client = FakeClient(body={**BODY, "stream": True}, headers=JSON)
    await gateway(foreign(Turn(steps)))(client.scope, client.receive, client.send)
    assert client.body == b"".join(each for each in steps if isinstance(each, bytes))


@pytest.mark.parametrize("said", [{"role": "assistant"}, {"role": "assistant", "content": None}])
async def test_an_answer_without_a_word_has_a_role_and_an_end(said: dict[str, Any]) -> None:
    backend = foreign(Turn([delta(said), delta({}, "stop")]))
    client = await ask(gateway(backend), stream=True)
    roles = [e for e in client.events if b'"role"' in e]
    assert roles == client.events[:1]
    assert finish_chunk(client)["choices"][0]["finish_reason"] == "stop"


async def test_roles_of_several_choices_are_each_sent_once() -> None:
    def both(said: dict[str, Any]) -> bytes:
        rows = [{"index": i, "delta": said, "finish_reason": None} for i in (0, 1)]
        return sse({"id": "far-1", "object": "x", "created": 1, "model": "m", "choices": rows})

    ends = [delta({}, "stop"), delta({}, "stop").replace(b'"index":0', b'"index":1')]
    backend = foreign(Turn([both({"role": "assistant"}), both({"content": "a"}), *ends]))
    client = await ask(gateway(backend), stream=True, n=2)
    shapes = [orjson.loads(each) for each in client.events[:-1]]
    rows = [row for each in shapes for row in each["choices"]]
    for index in (0, 1):
        deltas = [row["delta"] for row in rows if row["index"] == index]
        assert [("role" in each) for each in deltas] == [True, *[False] * (len(deltas) - 1)]
        assert "".join(each.get("content") or "" for each in deltas) == "a"


async def test_a_role_is_no_token() -> None:
    begun = [delta({"role": "assistant", "content": ""}), delta({"content": "one "})]
    backend = foreign(Turn(begun), Turn(status=500))
    client = await ask(gateway(backend), stream=True)
    error = orjson.loads(client.events[-2])["error"]
    assert "after 1 tokens" in error["message"]


def call(arguments: Any, finish: str | None = None, name: str | None = "f") -> bytes:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return delta({"tool_calls": [{"index": 0, "id": "c1", "function": function}]}, finish)


TOOLS = {"tools": [{"type": "function", "function": {"name": "f"}}], "stream": True}


async def test_tool_calls_are_held_back_until_they_are_whole() -> None:
    cut = Turn([call('{"a": '), CUT], headers=SSE)
    whole = Turn([call('{"a":'), call(" 1}", name=None), delta({}, "stop")], headers=SSE)
    backend = foreign(cut, whole)
    client = await ask(gateway(backend), **TOOLS)
    shapes = [orjson.loads(each) for each in client.events[:-1]]
    (said,) = [s for s in shapes if s["choices"][0]["delta"].get("tool_calls")]
    (only,) = said["choices"][0]["delta"]["tool_calls"]
    assert only["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert finish_chunk(client)["choices"][0]["finish_reason"] == "tool_calls"
    assert backend.open_count == 2


@pytest.mark.parametrize(
    ("arguments", "expected"), [({"a": 1}, '{"a":1}'), ("", "{}"), ('{"a":', None), ("[1]", None)]
)
async def test_arguments_become_json_text_or_an_error(arguments: Any, expected: str | None) -> None:
    backend = foreign(Turn([call(arguments), delta({}, "tool_calls")]))
    client = await ask(gateway(backend), **TOOLS)
    if expected is None:
        assert (client.status, client.json["error"]["code"]) == (502, "tool_call_malformed")
    else:
        assert orjson.dumps(expected)[1:-1] in client.body


async def test_arguments_that_the_token_limit_cut_are_what_they_are() -> None:
    client = await ask(gateway(foreign(Turn([call('{"a":'), delta({}, "length")]))), **TOOLS)
    assert finish_chunk(client)["choices"][0]["finish_reason"] == "length"


async def test_names_come_in_fragments_and_ids_are_made_their_own() -> None:
    def fragment(index: int, name: str | None, arguments: str) -> bytes:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        shape = {"index": index, "id": "same", "function": function}
        return delta({"tool_calls": [shape]})

    steps = [
        fragment(0, "get_", ""),
        fragment(0, "f", '{"a"'),
        fragment(0, None, ":1}"),
        fragment(1, "g", ""),
        fragment(1, "g", "{}"),
        delta({}, "tool_calls"),
    ]
    client = await ask(gateway(foreign(Turn(steps))), **TOOLS)
    shapes = [orjson.loads(each) for each in client.events[:-1]]
    calls = [c for s in shapes for c in s["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["function"]["name"] for call in calls] == ["get_f", "g"]
    assert [call["function"]["arguments"] for call in calls] == ['{"a":1}', "{}"]
    assert len({call["id"] for call in calls}) == 2


async def test_an_end_with_tool_calls_and_without_any_is_no_answer() -> None:
    client = await ask(gateway(foreign(Turn([delta({}, "tool_calls")]))), **TOOLS)
    assert (client.status, client.json["error"]["code"]) == (502, "stream_malformed")


def test_the_fake_of_our_own_is_like_our_own() -> None:
    assert LOCAL.continuation == "token_ids"


async def test_a_server_that_restarts_in_mid_answer_is_waited_for() -> None:
    gone = BackendError("nobody listens", retryable=True, code="backend_unreachable")
    backend = foreign(
        Turn([delta({"content": "one"}), BackendError("cut", retryable=True)]),
        *[Turn([gone])] * (MAX_BARREN + 5),
        Turn([delta({"content": " two"}), delta({}, "stop"), b"data: [DONE]\n\n"]),
        continuation="continue_final_message",
    )
    client = await ask(gateway(backend), stream=True)
    assert (client.text, client.events[-1]) == ("one two", b"[DONE]")
    assert backend.open_count == MAX_BARREN + 7


async def test_a_continuation_that_is_told_to_wait_long_is_asked_for_in_another_way() -> None:
    busy = Turn([b'{"error":{"message":"full"}}'], 503, {**JSON, "retry-after": "600"})
    backend = foreign(
        Turn([delta({"content": "one"}), CUT]),
        busy,
        Turn([whole_answer("one two")], headers=JSON),
        continuation="continue_final_message",
    )
    client = await ask(gateway(backend), stream=True)
    assert client.text == "one two"


async def test_what_the_one_who_completed_an_answer_left_out_is_told() -> None:
    first = foreign(Turn([delta({"content": "one"}), CUT]), asks_again=False, name="first")
    second = foreign(
        Turn([whole_answer("one two")], headers=JSON),
        name="second",
        accepts=Accepts(unsupported=frozenset({"user"})),
    )
    client = await ask(gateway(first, second), stream=True, user="u")
    told = finish_chunk(client)["trueup"]
    assert (told["backend"], told["dropped"]) == ("second", ["user"])


async def test_a_backend_whose_streams_are_continued_well_opens_no_breaker() -> None:
    backend = foreign(
        *[
            turn
            for _ in range(9)
            for turn in (
                Turn([delta({"content": "one"}), CUT]),
                Turn([delta({"content": " two"}), delta({}, "stop"), b"data: [DONE]\n\n"]),
            )
        ],
        continuation="continue_final_message",
    )
    app = gateway(backend)
    for _ in range(9):
        assert (await ask(app, stream=True)).text == "one two"
    assert app.serving.breakers.state("far") == "closed"


async def test_a_server_that_closes_on_continuations_is_asked_for_the_whole_answer() -> None:
    closed = BackendError("gone", retryable=True, code="backend_closed")
    backend = foreign(
        Turn([delta({"content": "one"}), CUT]),
        *[Turn([closed])] * MAX_BARREN,
        Turn([whole_answer("one two")], headers=JSON),
        continuation="continue_final_message",
    )
    app = gateway(backend)
    app.serving.policy = replace(app.serving.policy, restart_seconds=0.0)
    assert (await ask(app, stream=True)).text == "one two"


async def test_an_answer_whose_time_is_over_is_not_begun_anew() -> None:
    async def wait() -> None:
        await asyncio.sleep(3600)

    backend = foreign(Turn([delta({"content": "one"}), wait]), continuation="prefix")
    backend.capabilities = replace(backend.capabilities, limits=Limits(total_seconds=0.05))
    client = await ask(gateway(backend), stream=True)
    assert (error_code(client), backend.open_count) == ("stream_incomplete", 1)


async def test_the_clients_own_beginning_of_an_answer_is_gone_on_with() -> None:
    backend = foreign(
        Turn([delta({"content": " upon"}), CUT]),
        Turn([delta({"content": " a time"}), delta({}, "stop"), b"data: [DONE]\n\n"]),
        continuation="continue_final_message",
    )
    messages = [{"role": "user", "content": "tell"}, {"role": "assistant", "content": "Once"}]
    client = await ask(gateway(backend), stream=True, messages=messages)
    assert client.text == " upon a time"
    asked = orjson.loads(backend.requests[1].body)["messages"]
    assert [each["content"] for each in asked] == ["tell", "Once upon"]


async def test_chunks_that_are_no_tokens_do_not_count_as_a_reached_limit() -> None:
    letters = [delta({"content": each}) for each in "one two"]
    backend = foreign(
        Turn([*letters, CUT]),
        Turn([whole_answer("one two three")], headers=JSON),
        continuation="continue_final_message",
    )
    client = await ask(gateway(backend), stream=True, max_tokens=5)
    assert (client.text, finish_chunk(client)["choices"][0]["finish_reason"]) == (
        "one two three",
        "stop",
    )


async def test_an_answer_that_is_begun_again_after_a_blank_is_noticed() -> None:
    text = "Hello world"
    backend = foreign(
        Turn([delta({"content": text}), CUT]),
        Turn([delta({"content": f" {text}, and more"}), delta({}, "stop"), b"data: [DONE]\n\n"]),
        Turn([whole_answer(f"{text}, and more")], headers=JSON),
        continuation="continue_final_message",
    )
    assert (await ask(gateway(backend), stream=True)).text == f"{text}, and more"


async def test_text_under_a_name_that_nobody_knows_is_not_joined_to_another_answers() -> None:
    backend = foreign(
        Turn([delta({"thinking": "AAA"}), CUT]),
        Turn([delta({"thinking": "BBB"}), delta({"content": "x"}, "stop"), b"data: [DONE]\n\n"]),
    )
    client = await ask(gateway(backend), stream=True)
    assert error_code(client) == "stream_incomplete"
    assert not any(b"BBB" in each for each in client.events)


async def test_who_is_gone_is_not_waited_for_where_another_one_completes_the_answer() -> None:
    gone = BackendError("gone", retryable=True, code="backend_unreachable")
    first = foreign(
        Turn([delta({"content": "one"}), CUT]),
        Turn([gone]),
        continuation="continue_final_message",
        recovery_seconds=3600.0,
    )
    second = foreign(Turn([whole_answer("one two")], headers=JSON), name="second")
    app = gateway(first, second)
    app.serving.breakers.of("far").succeeded()
    client = await ask(app, stream=True)
    assert client.text == "one two"
    assert first.open_count == 1 + MAX_BARREN
