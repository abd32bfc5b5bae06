"""The questions of `trueup backends check`, as rows: what is sent, and who reads the replies.

All are small and harmless: one short prompt, MAX_TOKENS of answer, tools that do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trueup.backends.probe import Kind, Known, Question, Reply, Seen
from trueup.backends.probe_answers import (
    TOOL_NAME,
    choices_counted,
    goes_on,
    is_json,
    logprobs_seen,
    no_call,
    repeatable,
    stop_cut,
    taken,
    tokens_limited,
    tool_called,
    tool_enforced,
    tool_named,
    usage_seen,
)

MAX_TOKENS = 16
TOOL_TOKENS = 64
# Enough events to see that a limit was ignored, few enough not to pay for it.
LEAVE_AFTER = 24
PROMPT = "Count from one to ten in words."
# Names JSON, which OpenAI asks for, and asks for none, so that only a rule can make some.
NO_JSON_PROMPT = "Count from one to ten in words. Plain text, no JSON."
TOOL_PROMPT = f"Call the function `{TOOL_NAME}`."
TOOL = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": "Does nothing.",
        "parameters": {"type": "object", "properties": {}},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer"}},
    "required": ["count"],
    "additionalProperties": False,
}
MIN_DELTAS = 4
UNKNOWN_PARAMETER = "an unknown parameter"
CHAT: tuple[Kind, ...] = ("chat",)

Bodies = Callable[[Known], Sequence[Mapping[str, Any]] | None]


def asked(known: Known, prompt: str = PROMPT, **options: Any) -> dict[str, Any]:
    """A greedy request; an option that is None is left out."""
    words: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}]}
    if known.kind == "completion":
        words = {"prompt": prompt}
    shape = {"model": known.model, **words, known.token_key: MAX_TOKENS, "temperature": 0}
    return {name: value for name, value in {**shape, **options}.items() if value is not None}


def embedding_asked(known: Known) -> dict[str, Any]:
    """A request for one small vector."""
    return {"model": known.model, "input": "one"}


def _with(**options: Any) -> Bodies:
    return lambda known: [asked(known, **options)]


def _tools(**options: Any) -> Bodies:
    def bodies(known: Known) -> Sequence[Mapping[str, Any]]:
        limit = {known.token_key: TOOL_TOKENS}
        return [asked(known, TOOL_PROMPT, tools=[TOOL], **limit, **options)]

    return bodies


def _stop(known: Known) -> Sequence[Mapping[str, Any]] | None:
    stop = stop_of(known.text)
    return None if stop is None else [asked(known, stop=[stop])]


def stop_of(text: str) -> str | None:
    """A string of an answer that it should end before; None where there is none to choose."""
    body = text.strip()
    if len(body) < MIN_DELTAS:
        return None
    middle = len(body) // 2
    stop = body[middle : middle + 2].strip()
    return stop or None


def _seeds(known: Known) -> Sequence[Mapping[str, Any]]:
    return [asked(known, temperature=1, seed=seed) for seed in (7, 7, 8)]


def _limited(known: Known) -> Sequence[Mapping[str, Any]]:
    return [asked(known, stream=True, max_tokens=None, max_completion_tokens=2)]


def _unlimited(known: Known) -> Sequence[Mapping[str, Any]]:
    body = asked(known, stream=True)
    return [{**body, known.token_key: None}]


def _developer(known: Known) -> Sequence[Mapping[str, Any]]:
    messages = [
        {"role": "developer", "content": "Answer in words."},
        {"role": "user", "content": PROMPT},
    ]
    return [asked(known, messages=messages)]


def cut_of(known: Known) -> tuple[str, str] | None:
    """The greedy answer's first half and the rest, cut where the server itself cut.

    None where it is too short, or where its rest could be taken for its beginning.
    """
    if len(known.deltas) < MIN_DELTAS:
        return None
    half = len(known.deltas) // 2
    prefix, rest = "".join(known.deltas[:half]), "".join(known.deltas[half:])
    if len(rest.strip()) < MIN_DELTAS:
        return None
    whole = (prefix + rest).lstrip()
    return None if whole.startswith(rest.lstrip()[:MIN_DELTAS]) else (prefix, rest)


def _continued(*, on_message: Mapping[str, Any], **options: Any) -> Bodies:
    def bodies(known: Known) -> Sequence[Mapping[str, Any]] | None:
        if (cut := cut_of(known)) is None:
            return None
        messages = [
            {"role": "user", "content": PROMPT},
            {"role": "assistant", "content": cut[0], **on_message},
        ]
        return [asked(known, messages=messages, **options)]

    return bodies


def _goes_on(replies: Sequence[Reply], known: Known) -> Seen:
    prefix, rest = cut_of(known) or ("", "")
    return goes_on(replies[0], prefix, rest)


def _stop_cut(replies: Sequence[Reply], known: Known) -> Seen:
    return stop_cut(replies[0], stop_of(known.text) or "", known.text)


def _parameter(
    name: str, bodies: Bodies, read: Callable[..., Seen] = taken, **more: Any
) -> Question:
    return Question(group="parameters", name=name, bodies=bodies, read=read, **more)


def _tool(name: str, bodies: Bodies, read: Callable[..., Seen]) -> Question:
    return Question(group="tools", name=name, bodies=bodies, read=read, kinds=CHAT)


def _json_format(shape: Mapping[str, Any]) -> Bodies:
    return lambda known: [asked(known, NO_JSON_PROMPT, response_format=shape)]


QUESTIONS: tuple[Question, ...] = (
    Question(
        group="stream",
        name="usage asked for",
        bodies=_with(stream=True, stream_options={"include_usage": True}),
        read=usage_seen,
    ),
    _tool("tools", _tools(), tool_called),
    _tool("tool_choice auto", _tools(tool_choice="auto"), tool_called),
    _tool("tool_choice none", _tools(tool_choice="none"), no_call),
    _tool("tool_choice required", _tools(tool_choice="required"), tool_enforced),
    _tool(
        "tool_choice named",
        _tools(tool_choice={"type": "function", "function": {"name": TOOL_NAME}}),
        tool_named,
    ),
    _tool("parallel_tool_calls", _tools(parallel_tool_calls=False), tool_called),
    _parameter("n", _with(n=2), choices_counted),
    _parameter("stop", _stop, _stop_cut),
    _parameter("seed", _seeds, repeatable),
    _parameter("max_completion_tokens", _limited, tokens_limited, leave_after=LEAVE_AFTER),
    _parameter("max_tokens: null", _unlimited, leave_after=LEAVE_AFTER),
    _parameter(
        "response_format json_object", _json_format({"type": "json_object"}), is_json, kinds=CHAT
    ),
    _parameter(
        "response_format json_schema",
        _json_format(
            {"type": "json_schema", "json_schema": {"name": "count", "schema": SCHEMA}}
        ),
        is_json,
        kinds=CHAT,
    ),
    _parameter("logprobs", _with(logprobs=True, top_logprobs=2), logprobs_seen, kinds=CHAT),
    _parameter("logit_bias", _with(logit_bias={"0": -1})),
    _parameter("top_p", _with(top_p=0.9)),
    _parameter("presence_penalty", _with(presence_penalty=0.1)),
    _parameter("frequency_penalty", _with(frequency_penalty=0.1)),
    _parameter("user", _with(user="check")),
    _parameter("role developer", _developer, kinds=CHAT),
    _parameter(UNKNOWN_PARAMETER, _with(trueup_check=True)),
    Question(
        group="continuation",
        name="continue_final_message",
        bodies=_continued(
            on_message={}, continue_final_message=True, add_generation_prompt=False
        ),
        read=_goes_on,
        kinds=CHAT,
    ),
    Question(
        group="continuation",
        name="prefix",
        bodies=_continued(on_message={"prefix": True}),
        read=_goes_on,
        kinds=CHAT,
    ),
)  # fmt: skip
