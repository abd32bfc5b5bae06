"""A whole answer of a chat or a completion: read from any backend's body, and written again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from trueup.errors import BackendError, RequestError
from trueup.gateway.finish import finish_reason
from trueup.gateway.json_text import written
from trueup.gateway.odd_json import odd_json, whole_text
from trueup.gateway.refusal import stated_error
from trueup.gateway.toolcalls import finish_reason_of, finished_calls
from trueup.protocol.answer import chat_id, completion_id

REASONING_KEYS = ("reasoning_content", "reasoning")
# One of them has the answer.
ANSWER_KEYS = frozenset({"content", "tool_calls", "function_call", "refusal", "audio",
                         *REASONING_KEYS})  # fmt: skip
# Of a message, what is read; anything else is passed on as it came.
READ_KEYS = frozenset({"role", "content", "tool_calls", *REASONING_KEYS})


@dataclass(slots=True, kw_only=True)
class WholeChoice:
    """One complete choice; `extra` is what its message has beside what is read here."""

    text: str
    finish_reason: str
    reasoning: str = ""
    reasoning_keys: Sequence[str] = REASONING_KEYS[:1]
    calls: Sequence[Mapping[str, Any]] = ()
    logprobs: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def message(self) -> dict[str, Any]:
        """The message of a chat completion."""
        shape: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.reasoning:
            shape |= dict.fromkeys(self.reasoning_keys, self.reasoning)
        if self.calls:
            shape["content"] = self.text or None
            shape["tool_calls"] = list(self.calls)
        return {**shape, **self.extra}


@dataclass(slots=True, kw_only=True)
class Whole:
    """A complete answer; `body` is what the backend sent where nothing of it needs mending.

    `is_estimated`: nobody counted its tokens, its usage is ours.
    """

    head: Mapping[str, Any]
    choices: Sequence[WholeChoice]
    usage: Mapping[str, Any] | None = None
    body: bytes | None = None
    is_estimated: bool = False

    def as_body(self, *, is_chat: bool) -> bytes:
        """The body for a client that wants it whole.

        Raises:
            BackendError: it holds what cannot be written again.
        """
        if self.body is not None:
            return self.body
        rows: list[dict[str, Any]] = []
        for index, choice in enumerate(self.choices):
            said = {"message": choice.message()} if is_chat else {"text": choice.text}
            rows.append(
                {
                    "index": index,
                    **said,
                    "logprobs": choice.logprobs,
                    "finish_reason": choice.finish_reason,
                }
            )
        shape: dict[str, Any] = {
            **self.head,
            "object": "chat.completion" if is_chat else "text_completion",
            "choices": rows,
        }
        if self.usage is not None:
            shape["usage"] = self.usage
        if self.is_estimated:
            shape["trueup"] = {"usage": "estimated"}
        try:
            return written(shape)
        except RequestError as error:
            raise incomplete("answered with JSON that is nested too deeply") from error


def read_whole(body: bytes, *, choices: int, is_chat: bool, is_lenient: bool = False) -> Whole:
    """The answer that a backend's body holds.

    `is_lenient` takes a body that is no UTF-8, with U+FFFD for what cannot be read.

    Raises:
        TrueUpError: the backend states an error, or the answer is not complete.
    """
    shape, is_plain = _parsed(body, is_lenient)
    if not isinstance(shape, dict):
        raise incomplete("answered with status 200 and no JSON object")
    rows = shape.get("choices")
    rows = rows if isinstance(rows, list) else []
    # What has both is an answer that an error broke off.
    stated = shape.get("error") if rows else error_in(shape)
    if stated:
        raise stated_error(stated, status=502)
    if not rows:
        raise incomplete("answered with status 200 and no choices")
    if len(rows) < choices:
        raise BackendError(
            f"the backend answered with {len(rows)} choices, expected {choices}",
            retryable=True,
            code="choices_missing",
        )
    if (ordered := sorted(rows, key=_index)) != rows:
        rows, is_plain = ordered, False
    read = [_choice(row, is_chat) for row in rows[:choices]]
    usage = shape.get("usage")
    head = {key: shape[key] for key in shape if key not in ("choices", "usage")}
    is_same = all(same for _, same in read) and len(rows) == choices and is_plain
    if not isinstance(head.get("id"), str) or "object" not in head or "created" not in head:
        is_same = False
        new_id = chat_id() if is_chat else completion_id()
        head = {"created": int(time.time()), "model": "", **head, "id": head.get("id") or new_id}
    return Whole(
        head=head,
        choices=[choice for choice, _ in read],
        usage=usage if isinstance(usage, dict) else None,
        body=body if is_same else None,
    )


def error_in(shape: Mapping[str, Any]) -> Any:
    """The error that an object without choices states, in whatever shape; None for none."""
    if stated := shape.get("error"):
        return stated
    if shape.get("object") == "error":
        return shape
    if shape.get("error_code"):
        return {"message": shape.get("text") or shape.get("error_msg") or str(shape)}
    for key in ("errors", "exception", "detail", "message", "msg"):
        if stated := shape.get(key):
            return {"message": stated if isinstance(stated, str) else written(stated).decode()}
    return None


def incomplete(how: str, code: str = "answer_incomplete") -> BackendError:
    """The error of an answer that is none."""
    return BackendError(f"the backend {how}", retryable=True, code=code)


def with_text(whole: Whole, texts: Sequence[tuple[str, str]]) -> Whole:
    """The answer with other texts and finish reasons, choice by choice."""
    choices = [
        replace(choice, text=text, finish_reason=reason)
        for choice, (text, reason) in zip(whole.choices, texts, strict=True)
    ]
    return replace(whole, choices=choices, body=None)


def joined(wholes: Sequence[Whole]) -> Whole:
    """One answer out of several: the choices of all, the counts added where all were counted."""
    usages = [whole.usage for whole in wholes if is_counted(whole.usage)]
    usage = None
    if len(usages) == len(wholes):
        prompt = max(count_of(each, "prompt_tokens") for each in usages)  # the same in each
        answer = sum(count_of(each, "completion_tokens") for each in usages)
        usage = usage_of(prompt, answer)
    choices = [choice for whole in wholes for choice in whole.choices]
    return Whole(
        head=wholes[0].head,
        choices=choices,
        usage=usage,
        is_estimated=any(whole.is_estimated for whole in wholes),
    )


def is_counted(usage: Mapping[str, Any] | None) -> bool:
    """Whether a usage says how long the answer is: some servers send one of nulls."""
    return usage is not None and usage.get("completion_tokens").__class__ is int


def count_of(usage: Mapping[str, Any] | None, name: str) -> int:
    """A count of a usage; 0 for what is none."""
    value = usage.get(name) if usage else None
    return value if value.__class__ is int else 0


def usage_of(prompt: int, answer: int) -> dict[str, Any]:
    """A usage with these counts."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }


def _parsed(body: bytes, is_lenient: bool) -> tuple[Any, bool]:
    """What a body holds, and whether it is JSON as it stands."""
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError:
        return whole_text(odd_json(body.decode("utf-8", "replace") if is_lenient else body)), False


def _index(row: Any) -> int:
    """Its place, for a stable sort: of rows that do not tell theirs none is moved."""
    index = row.get("index") if isinstance(row, dict) else None
    return index if index.__class__ is int else 0


def _choice(row: Any, is_chat: bool) -> tuple[WholeChoice, bool]:
    """A choice, and whether it can be sent on as it came."""
    if not isinstance(row, dict):
        raise incomplete("answered with a choice that is no object")
    if row.get("error"):
        raise stated_error(row["error"], status=502)
    reason = finish_reason(row.get("finish_reason"))
    if reason is None:
        raise incomplete("ended a choice without a finish reason")
    if not is_chat:
        text = row.get("text")
        if not isinstance(text, str):
            raise incomplete("answered with a choice without a text")
        return WholeChoice(text=text, finish_reason=reason, logprobs=row.get("logprobs")), True
    message = row.get("message")
    if not isinstance(message, dict):
        raise incomplete("answered with a choice without a message")
    content = message.get("content")
    if not message.keys() & ANSWER_KEYS:
        raise incomplete("answered with a message that says nothing")
    if content is not None and not isinstance(content, str):
        raise incomplete("answered with a content that is no text")
    given = message.get("tool_calls")
    calls = finished_calls(given, is_cut=reason == "length") if given else []
    ended = finish_reason_of(reason, calls)
    if ended == "tool_calls" and not calls:
        raise incomplete("ended with tool calls and has none", "tool_call_malformed")
    is_same = ended == reason and (given is None or given == calls != []) and "role" in message
    said = {key: said for key in REASONING_KEYS if isinstance(said := message.get(key), str)}
    reasoning = next(filter(None, said.values()), "")
    choice = WholeChoice(
        text=content or "",
        finish_reason=ended,
        reasoning=reasoning,
        reasoning_keys=[key for key, each in said.items() if each == reasoning],
        calls=calls,
        logprobs=row.get("logprobs"),
        extra={k: v for k, v in message.items() if k not in READ_KEYS and v not in (None, [])},
    )
    return choice, is_same
