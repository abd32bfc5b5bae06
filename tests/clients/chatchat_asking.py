"""Asks Langchain-Chatchat as its users do, and says what they get to see."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.clients.chatchat_rows import Asking
from tests.faults.form import Broken, Said, events_of
from tests.faults.raw import ENDED, Heard, ask_raw
from tests.faults.right import Right, right_answer

COMPLETE = "complete"
NOTED = "noted"  # ended in order, and the text says what is missing
CUT = "RemoteProtocolError"  # as httpx calls it
ERROR_EVENT = "error event"
ERROR_AS_TEXT = "error as text"
EMPTY = "empty"
SHORT = "short"
HANGS = "hangs"
NOTE = re.compile(r"\[The answer is incomplete: [^\x00]+\]\s*$")
# A tool of its own, so that a request goes to the agent; nothing calls it.
AGENT_TOOL = "calculate"
LLM_FINISHED, AGENT_FINISHED, FAILED = 3, 5, 8
_keys = itertools.count(1)


@dataclass(frozen=True)
class Seen:
    """What a user sees, and the evidence."""

    verdict: str
    reason: str = ""


async def ask(url: str, asking: Asking, column: str, *, limit_seconds: float) -> Seen:
    """Ask what a column asks, and judge it."""
    model = asking.model(column)
    marker = f"{asking.case.marker}#{column}-{asking.door}-{next(_keys)}"
    messages = [{"role": "user", "content": f"{marker} Say the sentence."}]
    shape: dict[str, Any] = {"model": model, "messages": messages, "stream": True}
    path = "/chat/chat/completions"
    if asking.is_agent:
        shape |= {"tools": [AGENT_TOOL], "chat_model_config": agent_models(model)}
    else:
        shape |= asking.shape
        path = "/v1/chat/completions" if asking.door == "v1" else path
    heard = await ask_raw(url, path, shape, limit_seconds=limit_seconds)
    return judge(heard, asking)


def agent_models(model: str) -> dict[str, Any]:
    """As LLM_MODEL_CONFIG: an agent does not look at the request's model."""
    base = {"model": model, "temperature": 0.1, "max_tokens": 1000, "history_len": 3}
    prompts = {"llm_model": "default", "action_model": "ChatGLM3"}
    return {
        name: {**base, "prompt_name": prompt, "callbacks": True} for name, prompt in prompts.items()
    }


def judge(heard: Heard, asking: Asking) -> Seen:
    """Say what came of a response."""
    tail = heard.body[-300:].decode(errors="replace")
    if heard.end.startswith("hung"):
        return Seen(HANGS, tail)
    if heard.end != ENDED:
        return Seen(CUT, f"{heard.end}: {tail}")
    if heard.status != 200:
        return Seen(f"status {heard.status}", tail)
    right = right_answer(asking.case, asking.shape)
    try:
        shapes = [json.loads(data) for data in events_of(heard.body)]
        seen = _judge_agent(shapes, right) if asking.is_agent else _judge_chat(shapes, right)
    except (Broken, ValueError, KeyError, TypeError) as error:
        return Seen("broken", f"{error!r}: {tail}")
    return seen


def _judge_chat(shapes: list[Any], right: Right) -> Seen:
    said = Said()
    for shape in shapes:
        if "error" in shape:
            return Seen(ERROR_EVENT, f"after {len(shapes) - 1} events: {shape['error']}")
        for choice in shape["choices"]:
            said.add(choice["index"], choice["delta"] or {}, choice["finish_reason"])
    return _compared(said, right)


def _compared(said: Said, right: Right) -> Seen:
    text = said.texts.get(0, "")
    calls = said.arguments_of(0) if said.calls else []
    due = [] if right.arguments is None else [(right.tool, right.arguments)]
    if text in right.texts and calls == due:
        finish = said.finishes.get(0)
        return Seen(COMPLETE) if finish in right.finishes else Seen(SHORT, f"finish is `{finish}`")
    if note := NOTE.search(text):
        before = text[: note.start()].rstrip("\n")
        is_beginning = any(each.startswith(before) for each in right.texts) and not calls
        if is_beginning and said.finishes:
            return Seen(NOTED, note[0].strip())
    if not text and not calls:
        return Seen(EMPTY, f"finish is `{said.finishes.get(0)}`")
    if any(each.startswith(text) for each in right.texts):
        return Seen(SHORT, f"{len(text)} characters, {len(calls)} calls, finishes {said.finishes}")
    return Seen("wrong", text[-200:])


def _judge_agent(shapes: list[Any], right: Right) -> Seen:
    """An agent's stream has no finish_reason; its last word is what counts."""
    final = ""
    for status, text in _agent_texts(shapes):
        if status == FAILED:
            return Seen(ERROR_AS_TEXT, text)
        if status in (LLM_FINISHED, AGENT_FINISHED):
            final = text
    if final in _stripped(right.texts):
        return Seen(COMPLETE)
    if note := NOTE.search(final):
        before = final[: note.start()].rstrip()
        if any(each.startswith(before) for each in right.texts):
            return Seen(NOTED, note[0].strip())
    return Seen(SHORT if final else EMPTY, final[-200:])


def _agent_texts(shapes: list[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for shape in shapes:
        for choice in shape["choices"]:
            yield shape["status"], choice["delta"].get("content") or ""


def _stripped(texts: frozenset[str]) -> set[str]:
    return {*texts, *(each.strip() for each in texts)}
