"""Asks as OpenAI's clients do and says whether the answer is what its specification says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.clients.xinference_rows import CHAT, Row, Verdict
from tests.faults.form import Broken, Said, read_stream, read_whole
from tests.faults.raw import Heard, ask_raw
from tests.faults.right import Right

FINISHES = frozenset({"stop", "length", "tool_calls"})
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Answered:
    """What came of a request, and why it is called so."""

    verdict: Verdict
    reason: str
    heard: Heard
    said: Said | None = None

    @property
    def text(self) -> str:
        return "".join((self.said.texts if self.said else {}).values())


async def ask(
    url: str,
    row: Row,
    model: str,
    *,
    is_stream: bool,
    limit_seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Answered:
    """Ask a row and judge the form of what comes."""
    sent = dict(headers or {})
    if row.profile:
        sent["X-TrueUp-Profile"] = row.profile
    shape = row.shape(model, is_stream)
    heard = await ask_raw(url, row.path, shape, limit_seconds=limit_seconds, headers=sent)
    return judge(heard, row, shape, is_stream=is_stream)


def judge(heard: Heard, row: Row, shape: Mapping[str, Any], *, is_stream: bool) -> Answered:
    """Say what came of a response to `shape`."""
    shown = heard.body[-SHOWN_CHARACTERS:].decode(errors="replace")
    right = _form(row, shape)
    if heard.status == 200 and row.path not in (CHAT, "/v1/completions"):
        return Answered("answered", "", heard)
    try:
        said = read_stream(heard, right) if is_stream else read_whole(heard, right)
    except Broken as broken:
        return Answered("broken", f"status {heard.status}: {broken}: {shown}", heard)
    if said.error is not None:
        is_refused = 400 <= heard.status < 500
        return Answered("refused" if is_refused else "error", said.error, heard, said)
    if trouble := _trouble(heard, said, row, right, is_stream):
        return Answered("broken", f"{trouble}: {shown}", heard, said)
    return Answered("answered", "", heard, said)


def _form(row: Row, shape: Mapping[str, Any]) -> Right:
    """The form that is due; nothing is known of the text."""
    wants_usage = bool(shape.get("stream") and shape.get("stream_options"))
    return Right(
        texts=frozenset(),
        finishes=FINISHES,
        choices=int(shape.get("n") or 1),
        tool="",
        arguments=None,
        usages=frozenset({int(wants_usage)}),
        is_chat=row.path == CHAT,
    )


def _trouble(heard: Heard, said: Said, row: Row, right: Right, is_stream: bool) -> str:
    """What is wrong with an answer of the right form."""
    if set(said.finishes) != set(range(right.choices)):
        return f"finished choices are {sorted(said.finishes)} of {right.choices}"
    for index, finish in said.finishes.items():
        if finish not in right.finishes or (row.finish and finish != row.finish):
            return f"finish_reason of choice {index} is `{finish}`"
        if not said.texts.get(index) and not said.calls.get(index):
            return f"choice {index} is empty"
    if row.completion_tokens is not None and not is_stream:
        tokens = json.loads(heard.body)["usage"]["completion_tokens"]
        if tokens != row.completion_tokens:
            return f"{tokens} completion tokens, not {row.completion_tokens}"
    told = heard.headers.get("x-trueup-dropped", "")
    if row.dropped and row.dropped not in told:
        return f"`{row.dropped}` has no effect and nobody was told: X-TrueUp-Dropped is `{told}`"
    return ""
