"""Faults of the protocol: whole responses that are not what was asked for, or oddly so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.faults.answer import Asked
from tests.faults.case import (
    AGAIN,
    ALWAYS,
    BY_PLAIN,
    COMPLETE,
    NOT_A_FAULT,
    ONCE,
    STREAM_ONLY,
    Fault,
)
from tests.faults.steps import (
    DONE,
    END,
    HTML,
    JSON,
    TEXT,
    Pause,
    Play,
    Raw,
    Stall,
    Step,
    Steps,
    always,
    answered,
    dumped,
    event,
    events,
    head,
    healthy_stream,
    of_chunks,
    of_events,
    of_whole,
    part,
    reply,
    stream,
)

FAMILY = "protocol"
HARMLESS = {ALWAYS: (COMPLETE, NOT_A_FAULT)}
PAGE = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"
MESSAGE = "CUDA error: an illegal memory access was encountered"
ERROR_EVENTS: Mapping[str, Any] = {
    "openai": {"error": {"message": MESSAGE, "type": "server_error", "code": "internal_error"}},
    "text": {"error": MESSAGE},
    "detail": {"detail": MESSAGE},
    "vllm": {"object": "error", "message": MESSAGE, "type": "InternalServerError", "code": 500},
    "message": {"message": MESSAGE, "code": 500},
}
NAMED = b"event: error\n"


def _error_event(shape: Any, after: int | None, *last: Step) -> Play:
    """An error event, first (None) or after so many events with content."""

    def play(asked: Asked) -> Steps:
        return stream([*(part(asked, after) if after else []), event(shape)], *last)

    return play


def _finish(reason: str | None) -> Play:
    """Half the text, then a finish chunk with this reason."""
    return of_chunks(
        lambda asked, chunks: [*chunks[:20], asked.delta({}, reason)],
    )


def _finish_of_whole(reason: str | None) -> Play:
    def change(asked: Asked, whole: dict[str, Any]) -> Any:
        choice = whole["choices"][0]
        text = choice["message"]["content"][:50]
        message = {**choice["message"], "content": text}
        return {**whole, "choices": [{**choice, "message": message, "finish_reason": reason}]}

    return of_whole(change)


def _choice(chunk: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The chunk with changes in its choices."""
    return {**chunk, "choices": [{**each, **changes} for each in chunk["choices"]]}


def _delta(chunk: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    choices = [{**each, "delta": {**each["delta"], **changes}} for each in chunk["choices"]]
    return {**chunk, "choices": choices}


def _null_deltas(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    for chunk in chunks:
        yield chunk
        yield asked.chunk([{"index": 0, "delta": None, "finish_reason": None}])
        yield asked.chunk([{"index": 0, "delta": {"content": None}, "finish_reason": None}])
        yield asked.chunk([{"index": 0, "delta": {"role": None}, "finish_reason": ""}])


def _null_deltas_until_finish(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    last = next(at for at, each in enumerate(chunks) if each["choices"][0]["finish_reason"])
    return [*_null_deltas(asked, chunks[:last]), *chunks[last:]]


def _usage_everywhere(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    """As Xinference: usage in the last chunk, unasked; vLLM's continuous_usage_stats."""
    return [{**each, "usage": asked.usage} for each in chunks]


def _usage_with_no_choices(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    bare = [each for each in chunks if each["choices"]]
    return [asked.chunk([]), *bare, asked.chunk([], usage=asked.usage)]


def _second_finish(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    """As Xinference with include_usage: another finish chunk that carries the usage."""
    bare = [each for each in chunks if each["choices"]]
    again = {**asked.delta({}, "length"), "usage": asked.usage}
    return [*bare, again]


def _finish_with_text(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    bare = [each for each in chunks if each["choices"]]
    usage = [each for each in chunks if not each["choices"]]
    return [*bare[:-2], _choice(bare[-2], finish_reason="stop"), *usage]


def _reasoning(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    thoughts = [asked.delta({"reasoning_content": each}) for each in ("Let ", "me ", "think.")]
    return [chunks[0], *thoughts, *chunks[1:]]


def _anonymous(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    """No id, no object, no created, no model."""
    for each in chunks:
        yield {name: each[name] for name in ("choices", "usage") if name in each}


def _drop_finish(asked: Asked, chunks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_choice(each, finish_reason=None) for each in chunks]


def _without_finish(asked: Asked, whole: dict[str, Any]) -> Any:
    return _choice(whole, finish_reason=None)


def _malformed(bad: bytes | str) -> Play:
    return of_events(lambda asked, sent: [*sent[:5], event(bad), *sent[5:]])


def _lossy(bad: bytes | str) -> Play:
    """An event with text is replaced by one that cannot be read."""
    return of_events(lambda asked, sent: [*sent[:5], event(bad), *sent[6:]])


def _role_of_user(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    return [_delta(each, role="assistant") if each["choices"] else each for each in chunks]


def _interrupted(asked: Asked) -> Steps:
    yield head()
    yield from part(asked, 3)
    yield event(ERROR_EVENTS["text"])
    yield Pause(0.1)
    yield from events(asked)[4:]
    yield END


def _empty_deltas(after: int) -> Play:
    """Events without content for ever, after so many with content."""
    return lambda asked: stream(part(asked, after), Stall(event(asked.delta({}))))


def _in_the_other_shape(asked: Asked, chunks: Sequence[dict[str, Any]]) -> Iterable[Any]:
    """A chat in the shape of a completion, or the other way round."""
    for chunk in chunks:
        choices = []
        for each in chunk["choices"]:
            delta, text = each.get("delta", {}), each.get("text")
            said = (
                {"text": delta.get("content") or ""}
                if asked.is_chat
                else {"delta": {"content": text}}
            )
            bare = {key: each[key] for key in each if key not in ("delta", "text")}
            choices.append({**bare, **said})
        yield {**chunk, "choices": choices}


def _with_pings(asked: Asked, sent: Sequence[bytes]) -> Iterable[bytes]:
    """Events that only keep the connection alive, in the shapes that servers give them."""
    pings = (
        b"data:\n\n",
        b"data: \n\n",
        b"event: ping\ndata: ping\n\n",
        b"event: ping\ndata: {}\n\n",
    )
    for at, each in enumerate(sent):
        yield pings[at % len(pings)]
        yield each


def _escaped(shape: Any) -> bytes:
    """JSON in ASCII alone: an emoji is two surrogates."""
    return json.dumps(shape).encode()


def _row(name: str, stream: Play | None = None, plain: Play | None = None, **more: object) -> Fault:
    return Fault(name=name, family=FAMILY, stream=stream, plain=plain, **more)  # type: ignore[arg-type]


def _error_rows() -> Iterable[Fault]:
    for name, shape in ERROR_EVENTS.items():
        said = answered(200, shape)
        yield _row(f"error-event-first-{name}", _error_event(shape, None, END))
        yield _row(f"error-event-after-3-{name}", _error_event(shape, 3, END))
        yield _row(f"error-event-after-3-done-{name}", _error_event(shape, 3, DONE, END))
        yield _row(f"status-200-error-{name}", said, said)


def _empty(body: bytes | str, kind: str = JSON) -> tuple[Play, Play]:
    return answered(200, body, kind), answered(200, body, kind)


FAULTS = (
    _row("no-done", lambda asked: stream(events(asked)[:-1], END), lasts=HARMLESS),
    _row("no-finish", of_chunks(_drop_finish), of_whole(_without_finish)),
    _row(
        "no-finish-and-no-done",
        lambda asked: stream([event(each) for each in _drop_finish(asked, asked.chunks())], END),
    ),
    _row(
        "no-finish-by-design",
        of_chunks(_drop_finish),
        of_whole(_without_finish),
        backend={"end_of_answer": "done"},
        lasts=HARMLESS,
    ),
    _row("done-after-3", lambda asked: stream([*part(asked, 3), DONE])),
    _row("done-first", lambda asked: stream([DONE])),
    _row("finish-error", _finish("error"), _finish_of_whole("error")),
    _row("finish-abort", _finish("abort"), _finish_of_whole("abort")),
    _row("finish-null-in-half", _finish(None), _finish_of_whole(None)),
    _row("duplicate-roles", of_chunks(_role_of_user), lasts=HARMLESS),
    _row("no-role", of_chunks(lambda asked, chunks: chunks[1:]), lasts=HARMLESS),
    _row("null-deltas", of_chunks(_null_deltas_until_finish), lasts=HARMLESS),
    _row(
        "changing-ids",
        of_chunks(
            lambda asked, chunks: [
                {**each, "id": f"chatcmpl-{at}", "created": at, "model": f"m-{at}"}
                for at, each in enumerate(chunks)
            ]
        ),
        lasts=HARMLESS,
    ),
    _row(
        "no-ids",
        of_chunks(_anonymous),
        of_whole(lambda asked, whole: {name: whole[name] for name in ("choices", "usage")}),
        lasts=HARMLESS,
    ),
    _row("usage-with-no-choices", of_chunks(_usage_with_no_choices), lasts=HARMLESS),
    _row("usage-in-every-chunk", of_chunks(_usage_everywhere), lasts=HARMLESS),
    _row(
        "usage-null",
        of_chunks(
            lambda asked, chunks: [
                {**each, "usage": None} if each["choices"] else each for each in chunks
            ]
        ),
        lasts=HARMLESS,
    ),
    _row(
        "empty-deltas-first",
        _empty_deltas(0),
        lasts={STREAM_ONLY: (COMPLETE, BY_PLAIN)},
    ),
    _row(
        "empty-deltas-after-3",
        _empty_deltas(3),
        lasts={STREAM_ONLY: (COMPLETE, BY_PLAIN)},
    ),
    _row("second-finish", of_chunks(_second_finish), lasts=HARMLESS),
    _row("finish-with-last-text", of_chunks(_finish_with_text), lasts=HARMLESS),
    _row("reasoning-first", of_chunks(_reasoning), lasts=HARMLESS),
    _row(
        "text-after-finish",
        of_chunks(lambda asked, chunks: [*chunks, asked.delta({"content": " and more"})]),
        lasts=HARMLESS,
    ),
    _row(
        "unknown-fields",
        of_chunks(
            lambda asked, chunks: [
                {**each, "prompt_filter_results": [{"x": None}], "trueup": {"position": 3}}
                for each in chunks
            ]
        ),
        of_whole(lambda asked, whole: {**whole, "trueup": {"a": 1}}),
        lasts=HARMLESS,
    ),
    _row("malformed-json-extra", _malformed('{"id": "chatcmpl-f", "choi')),
    _row("malformed-json-lost", _lossy('{"choices": [{"delta": {"content": ')),
    _row("event-not-an-object", _lossy("null")),
    _row("event-a-list", _lossy("[1, 2]")),
    _row("choices-not-a-list", _lossy('{"choices": "none"}')),
    _row("content-not-a-text", _lossy('{"choices": [{"index": 0, "delta": {"content": 5}}]}')),
    *_error_rows(),
    _row("error-event-then-more", _interrupted),
    _row(
        "error-event-named",
        lambda asked: stream([*part(asked, 3), NAMED + event({"message": MESSAGE})]),
    ),
    _row("error-event-named-text", lambda asked: stream([*part(asked, 3), NAMED + event(MESSAGE)])),
    _row(
        "error-in-choice",
        of_chunks(
            lambda asked, chunks: [
                *chunks[:4],
                {
                    **asked.delta({"content": ""}, "error"),
                    "error": {"code": 502, "message": "Provider disconnected"},
                },
            ]
        ),
    ),
    _row(
        "wrong-content-type-text",
        lambda asked: [head(200, TEXT), *events(asked), END],
        lambda asked: reply(200, asked.whole(), TEXT),
        lasts=HARMLESS,
    ),
    _row(
        "wrong-content-type-json",
        lambda asked: [head(200, JSON), *events(asked), END],
        lasts=HARMLESS,
    ),
    _row(
        "no-content-type",
        lambda asked: [head(200, None), *events(asked), END],
        lambda asked: [
            Raw(head(200, None, length=len(dumped(asked.whole()))) + dumped(asked.whole()))
        ],
        lasts=HARMLESS,
    ),
    _row("json-for-a-stream", lambda asked: reply(200, asked.whole()), lasts=HARMLESS),
    _row("cut-json-for-a-stream", lambda asked: reply(200, dumped(asked.whole())[:200])),
    _row("stream-for-a-plain", plain=healthy_stream, lasts=HARMLESS),
    _row("cut-stream-for-a-plain", plain=lambda asked: stream(part(asked, 3))),
    _row("malformed-body", plain=lambda asked: reply(200, dumped(asked.whole())[:-20])),
    _row("text-behind-body", plain=lambda asked: reply(200, dumped(asked.whole()) + b"garbage")),
    _row("html", *_empty(PAGE, HTML)),
    _row("html-as-json", *_empty(PAGE, JSON)),
    _row("empty-body", *_empty(b"")),
    _row("null-body", *_empty(b"null")),
    _row("empty-object", *_empty(b"{}")),
    _row("list-body", *_empty(b"[]")),
    _row("no-choices", *_empty(b'{"id": "x", "object": "chat.completion", "choices": []}')),
    _row("null-choices", *_empty(b'{"id": "x", "object": "chat.completion", "choices": null}')),
    _row("null-message", plain=of_whole(lambda asked, whole: _choice(whole, message=None))),
    _row(
        "no-content-status",
        always(Raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
        always(Raw(b"HTTP/1.1 204 No Content\r\n\r\n")),
    ),
    _row("redirect", *(answered(302, "", HTML, Location="/login"),) * 2),
    _row(
        "whole-by-one-chunk",
        of_chunks(
            lambda asked, chunks: [
                {
                    **asked.delta({"role": "assistant", "content": asked.text}, "stop"),
                    "usage": asked.usage,
                }
            ]
        ),
        lasts=HARMLESS,
    ),
    _row(
        "message-in-a-stream",
        of_chunks(lambda asked, chunks: [{**asked.whole(), "object": "chat.completion"}]),
        lasts={
            ONCE: (COMPLETE, AGAIN),
            STREAM_ONLY: (COMPLETE, BY_PLAIN),
        },
    ),
    _row(
        "n-ignored",
        of_chunks(
            lambda asked, chunks: [
                each for each in chunks if not each["choices"] or each["choices"][0]["index"] == 0
            ]
        ),
        of_whole(lambda asked, whole: {**whole, "choices": whole["choices"][:1]}),
        asks={"n": 2},
        lasts={
            ONCE: (COMPLETE, AGAIN),
            ALWAYS: (COMPLETE, "two requests of one choice each"),
        },
    ),
    _row(
        "text-completion-cut",
        lambda asked: stream(part(asked, 3)),
        of_whole(lambda asked, whole: _choice(whole, finish_reason=None)),
        path="/v1/completions",
    ),
    *(
        _row(
            f"shape-of-the-other-path-{name}",
            of_chunks(_in_the_other_shape),
            lasts=HARMLESS,
            path=path,
        )
        for name, path in (("chat", "/v1/chat/completions"), ("text", "/v1/completions"))
    ),
    _row("pings", of_events(_with_pings), lasts=HARMLESS),
    _row(
        "text-unicode-escapes",
        lambda asked: stream([*(event(_escaped(each)) for each in asked.chunks()), DONE]),
        path="/v1/completions",
        lasts=HARMLESS,
    ),
    _row(
        "second-choice-cut",
        of_chunks(
            lambda asked, chunks: [
                each
                for each in chunks
                if not (
                    each["choices"]
                    and each["choices"][0]["index"] == 1
                    and each["choices"][0]["finish_reason"]
                )
            ]
        ),
        asks={"n": 2},
    ),
    _row(
        "unicode-escapes",
        lambda asked: stream([*(event(_escaped(each)) for each in asked.chunks()), DONE]),
        lasts=HARMLESS,
    ),
)
