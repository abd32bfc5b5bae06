"""Replies of servers, made by hand."""

from __future__ import annotations

from typing import Any

import orjson

from trueup.backends.probe import Known, Reply

KNOWN = Known(
    model="m",
    text="One, two, three, four.",
    deltas=("One,", " two,", " three,", " four."),
)


def whole(text: str = "One", **more: Any) -> Reply:
    """A whole chat answer; `more` goes into its choice."""
    message = more.pop("message", {"role": "assistant", "content": text})
    choice = {"index": 0, "message": message, "finish_reason": "stop", **more}
    return Reply(status=200, body=orjson.dumps({"choices": [choice]}))


def refusal(status: int, body: bytes, content_type: str = "application/json") -> Reply:
    """An error."""
    return Reply(status=status, body=body, headers={"content-type": content_type})


def chunk(text: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat chunk; `more` goes beside its choices, `role` into its delta."""
    delta: dict[str, Any] = {} if text is None else {"content": text}
    if "role" in more:
        delta["role"] = more.pop("role")
    return {
        "id": more.pop("id", "1"),
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def stream(*events: Any, fault: str | None = None, **more: Any) -> Reply:
    """A stream of these chunks (or bytes), one every 10 ms."""
    data = [each if isinstance(each, bytes) else orjson.dumps(each) for each in events]
    return Reply(
        status=200,
        headers={"content-type": more.pop("content_type", "text/event-stream")},
        body=b"x",
        events=tuple(((index + 1) / 100, each) for index, each in enumerate(data)),
        fault=fault,
        **more,
    )
