"""Faults of tool calls: arguments in pieces, broken or of the wrong type, and calls that die."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.faults.answer import ARGUMENTS, ARGUMENTS_TEXT, CALL_ID, TOOL_NAME, TOOLS, Asked
from tests.faults.case import (
    AGAIN,
    ALWAYS,
    BY_PLAIN,
    COMPLETE,
    EITHER,
    ERROR,
    NO_WAY,
    NOT_A_FAULT,
    ONCE,
    STREAM_ONLY,
    Fault,
)
from tests.faults.steps import (
    DONE,
    END,
    Close,
    Play,
    Reset,
    Stall,
    Steps,
    answered,
    cut_body,
    cut_stream,
    event,
    of_chunks,
    of_whole,
    reply,
    stream,
)

FAMILY = "tools"
HARMLESS = {ALWAYS: (COMPLETE, NOT_A_FAULT)}
LOST: dict[str, Any] = {
    ONCE: (COMPLETE, AGAIN),
    STREAM_ONLY: (COMPLETE, BY_PLAIN),
    ALWAYS: (ERROR, NO_WAY),
}
MALFORMED = ARGUMENTS_TEXT[:-12]


def _call(arguments: Any, **changes: Any) -> dict[str, Any]:
    function = {"name": TOOL_NAME, "arguments": arguments}
    return {"index": 0, "id": CALL_ID, "type": "function", "function": function, **changes}


def _calling(*calls: Any, finish: str = "tool_calls") -> Play:
    """A stream with these calls, each in a chunk."""

    def change(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
        usage = [each for each in chunks if not each["choices"]]
        calling = [asked.delta({"tool_calls": [call]}) for call in calls]
        return [chunks[0], *calling, asked.delta({}, finish), *usage]

    return of_chunks(change)


def _message(change: Callable[[dict[str, Any]], dict[str, Any]], **around: Any) -> Play:
    """A whole answer whose message is changed."""

    def changed(asked: Asked, whole: dict[str, Any]) -> Any:
        choice = whole["choices"][0]
        message = change(choice["message"])
        return {**whole, "choices": [{**choice, **around, "message": message}]}

    return of_whole(changed)


def _with_arguments(arguments: Any) -> Play:
    call = _call(arguments)
    del call["index"]
    return _message(lambda message: {**message, "tool_calls": [call]})


def _finish(reason: str) -> tuple[Play, Play]:
    def change(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
        return [
            asked.delta({}, reason)
            if each["choices"] and each["choices"][0]["finish_reason"]
            else each
            for each in chunks
        ]

    return of_chunks(change), _message(dict, finish_reason=reason)


def _named_each_time(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    """Every fragment says id, type and name again."""
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
        if "tool_calls" in delta:
            said = delta["tool_calls"][0]["function"]["arguments"]
            chunk = asked.delta({"tool_calls": [_call(said)]})
        yield chunk


def _without_index(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
        if "tool_calls" in delta:
            call = {name: each for name, each in delta["tool_calls"][0].items() if name != "index"}
            chunk = asked.delta({"tool_calls": [call]})
        yield chunk


def _null_content(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
        yield asked.delta({**delta, "content": None}) if "tool_calls" in delta else chunk


def _without_finish(asked: Asked) -> Steps:
    whole = [each for each in asked.chunks() if each["choices"]]
    return stream([*map(event, whole[:-1]), DONE])


def _finish_in_mid_call(asked: Asked) -> Steps:
    """Half the arguments, then an orderly end that calls it a tool call."""
    half = asked.chunks()[:5]
    return stream([*map(event, half), event(asked.delta({}, "tool_calls")), DONE])


def _object_fragments(asked: Asked) -> Steps:
    """The arguments as an object, in the one fragment there is."""
    return _calling(_call(ARGUMENTS))(asked)


def _only_plain(asked: Asked) -> Steps:
    if asked.is_stream and asked.shape.get("tools"):
        return reply(400, {"object": "error", "message": "stream is not supported with tools"})
    raise AssertionError("played to streams alone")


def _row(name: str, stream: Play | None, plain: Play | None = None, **more: Any) -> Fault:
    asks = {"tools": TOOLS, **more.pop("asks", {})}
    return Fault(name=name, family=FAMILY, stream=stream, plain=plain, asks=asks, **more)


FAULTS = (
    _row(
        "fragments",
        of_chunks(lambda asked, chunks: chunks),
        of_whole(lambda asked, whole: whole),
        lasts=HARMLESS,
    ),
    _row("call-in-one-chunk", _calling(_call(ARGUMENTS_TEXT)), lasts=HARMLESS),
    _row("named-each-time", of_chunks(_named_each_time), lasts=HARMLESS),
    _row("call-without-index", of_chunks(_without_index), lasts=HARMLESS),
    _row("null-content", of_chunks(_null_content), lasts=HARMLESS),
    _row(
        "call-without-id",
        _calling(_call(ARGUMENTS_TEXT, id=None)),
        _message(
            lambda message: {
                **message,
                "tool_calls": [
                    {"type": "function", "function": message["tool_calls"][0]["function"]}
                ],
            }
        ),
        lasts=HARMLESS,
    ),
    _row(
        "call-with-empty-content",
        None,
        _message(lambda message: {**message, "content": ""}),
        lasts=HARMLESS,
    ),
    _row("malformed-arguments", _calling(_call(MALFORMED)), _with_arguments(MALFORMED)),
    _row("arguments-a-list", _calling(_call("[1]")), _with_arguments("[1]")),
    _row("arguments-as-an-object", _object_fragments, _with_arguments(ARGUMENTS), lasts=HARMLESS),
    _row("finish-stop", *_finish("stop"), lasts=HARMLESS),
    _row(
        "finish-length",
        *_finish("length"),
        lasts={
            ALWAYS: (
                EITHER,
                "the call is whole although the server says that it ran out of tokens",
            ),
        },
    ),
    _row("call-without-finish", _without_finish),
    _row("finish-in-mid-call", _finish_in_mid_call),
    _row("close-in-mid-call", cut_stream(4, Close()), cut_body(Close())),
    _row("reset-in-mid-call", cut_stream(4, Reset()), cut_body(Reset())),
    _row("end-in-mid-call", cut_stream(4, END)),
    _row("stall-in-mid-call", cut_stream(4, Stall()), cut_body(Stall())),
    _row("close-before-call", cut_stream(0, Close()), cut_body(Close())),
    _row("close-after-name", cut_stream(1, Close())),
    _row(
        "500-with-tools",
        answered(500, {"detail": "list index out of range"}),
        answered(500, {"detail": "list index out of range"}),
    ),
    _row("400-for-streams-with-tools", _only_plain, lasts={STREAM_ONLY: (COMPLETE, BY_PLAIN)}),
)
