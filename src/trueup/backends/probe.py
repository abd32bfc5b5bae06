"""What was asked of a server to get to know it, and what its answer shows: shapes and judgement.

Pure: `trueup backends check` asks and prints. No answer here is believed for its words: a
parameter counts as honoured only where its effect can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Kind = Literal["chat", "completion", "embedding"]
# `taken`: no error, and no effect that could be seen from outside, wanted or not.
Verdict = Literal[
    "honoured", "taken", "ignored", "rejected", "fails", "unclear", "no answer", "not asked"
]

# Statuses that say nothing about what was asked.
NO_REFUSAL = (401, 403, 408, 409, 425, 429)
MAX_SHOWN_CHARACTERS = 120
REASONING_KEYS = ("reasoning_content", "reasoning")
PATHS: Mapping[Kind, str] = {
    "chat": "/chat/completions",
    "completion": "/completions",
    "embedding": "/embeddings",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back; `status` is None where no status line did.

    `events` are seconds since the request was sent and the data of each event. `fault` says why
    the reply is not whole, `is_late` that this was our patience; `is_left` that we went away
    after as much as we wanted.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: tuple[tuple[float, bytes], ...] = ()
    fault: str | None = None
    is_late: bool = False
    is_left: bool = False
    connect_seconds: float | None = None
    seconds: float = 0.0

    @property
    def shape(self) -> Any:
        """The body as JSON; None where it is none."""
        return parsed(self.body)

    @property
    def media_type(self) -> str:
        """What the body is stated to be."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One row of the profile."""

    verdict: Verdict
    text: str


@dataclass(slots=True, kw_only=True)
class Known:
    """What earlier answers told and later questions are made of.

    `text` is the greedy answer to the question that all use, `deltas` the pieces of the same
    answer as a stream; `is_cut` where one of them did not come whole. `token_key` is the
    parameter that limits answers there.
    """

    model: str
    kind: Kind = "chat"
    token_key: str = "max_tokens"
    text: str = ""
    deltas: tuple[str, ...] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Requests that show one thing; `bodies` None says that it cannot be asked after `Known`.

    `leave_after` closes a stream after so many events, where the answer could be endless.
    """

    group: str
    name: str
    bodies: Callable[[Known], Sequence[Mapping[str, Any]] | None]
    read: Callable[[Sequence[Reply], Known], Seen]
    kinds: tuple[Kind, ...] = ("chat", "completion")
    leave_after: int | None = None


def judged(question: Question, replies: Sequence[Reply], known: Known) -> Seen:
    """What the replies to a question show."""
    for reply in replies:
        if (trouble := trouble_of(reply)) is not None:
            return trouble
    return question.read(replies, known)


def _code(reply: Reply) -> object:
    stated = reply.shape.get("error") if isinstance(reply.shape, dict) else None
    return stated.get("code") if isinstance(stated, dict) else None


def trouble_of(reply: Reply) -> Seen | None:
    """Why a reply is no answer; None where it is one."""
    if reply.is_late:
        return Seen(verdict="no answer", text=reply.fault or "no answer")
    if reply.status is None:
        return Seen(verdict="fails", text=reply.fault or "no answer")
    if reply.status != 200:
        if _code(reply) == "answer_rejected":
            # A TrueUp asked in words, and did not pass on what came: it takes the parameter.
            text = f"checked there: status {reply.status}: {error_text(reply)}"
            return Seen(verdict="honoured", text=text)
        is_refused = 400 <= reply.status < 500 and reply.status not in NO_REFUSAL
        verdict: Verdict = "rejected" if is_refused else "fails"
        return Seen(verdict=verdict, text=f"status {reply.status}: {error_text(reply)}")
    if reply.fault is not None:
        return Seen(verdict="fails", text=reply.fault)
    stated = [parsed(data) for _, data in reply.events] or [reply.shape]
    for shape in stated:
        if isinstance(shape, dict) and (shape.get("error") or shape.get("object") == "error"):
            return Seen(verdict="fails", text=f"status 200 and an error: {_message(shape)}")
    return None


def choices_of(reply: Reply) -> list[Mapping[str, Any]]:
    """The choices of a whole answer."""
    rows = reply.shape.get("choices") if isinstance(reply.shape, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def message_of(reply: Reply) -> Mapping[str, Any]:
    """The message of the first choice; empty where there is none."""
    message = choices_of(reply)[0].get("message") if choices_of(reply) else None
    return message if isinstance(message, dict) else {}


def said(reply: Reply) -> str:
    """The text of the first choice, of its reasoning where that is all there is."""
    message = message_of(reply)
    given = [message.get(key) for key in ("content", *REASONING_KEYS)]
    if choices_of(reply):
        given.append(choices_of(reply)[0].get("text"))
    return next((text for text in given if isinstance(text, str) and text), "")


def error_text(reply: Reply) -> str:
    """What an error says, in whatever shape, on one line."""
    shape = reply.shape
    text = _message(shape) if shape is not None else reply.body.decode("utf-8", "replace")
    return one_line(text) or "(no text)"


def error_shape(reply: Reply) -> str:
    """The shape of an error's body, in words."""
    shape = reply.shape
    if not reply.body.strip():
        return "an empty body"
    if not isinstance(shape, dict):
        head = reply.body.lstrip()[:15].lower()
        is_page = reply.media_type == "text/html" or head.startswith((b"<!doctype", b"<html"))
        return "an HTML page" if is_page else "plain text" if shape is None else "another JSON"
    if isinstance(shape.get("error"), dict):
        return "OpenAI's" if "message" in shape["error"] else '{"error": {…}} without a message'
    if isinstance(shape.get("error"), str):
        return '{"error": "text"}'
    if isinstance(shape.get("detail"), list):
        return '{"detail": […]} of pydantic'
    for key in ("detail", "message", "msg"):
        if key in shape:
            return f'{{"{key}": …}}'
    return "another JSON"


def parsed(data: bytes) -> Any:
    """JSON, or None."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def one_line(text: str) -> str:
    """A text of theirs as it may be printed: one line, no control characters, cut."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(line.split())
    return line if len(line) <= MAX_SHOWN_CHARACTERS else line[:MAX_SHOWN_CHARACTERS] + "…"


def _message(shape: Any) -> str:
    """The words in an error of any shape."""
    for key in ("error", "detail", "message", "msg"):
        if isinstance(shape, dict) and shape.get(key):
            return _message(shape[key])
    if isinstance(shape, list) and shape:
        return _message(shape[0])
    return one_line(shape if isinstance(shape, str) else orjson.dumps(shape).decode())
