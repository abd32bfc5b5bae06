"""What a streamed answer shows of the server that sent it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from trueup.backends.probe import REASONING_KEYS, Reply, Seen, parsed

EndOfAnswer = Literal["finish_reason", "done", "end"]
DONE = b"[DONE]"
# Servers put these where a reason should stand; none of them is a complete answer.
FAILED_REASONS = frozenset({"error", "abort", "aborted", "cancelled", "canceled"})
# In these places servers put usage.
USAGE_CHUNK, USAGE_FINISH = "a chunk of its own", "the finish chunk"
USAGE_TEXT, USAGE_EVERY = "a chunk of text", "every chunk"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """A stream as it came; times are seconds, None where nothing could be measured.

    `usage` names the chunks that carry it. `end` is how the body ended, None in order.
    """

    is_stream: bool
    media_type: str
    chunks: int
    deltas: tuple[str, ...]
    roles: int
    ids: int
    finish_reasons: tuple[str, ...]
    is_done: bool
    after_done: int
    malformed: int
    errors: int
    usage: str | None
    end: str | None
    first_token_seconds: float | None
    token_seconds: float | None

    @property
    def text(self) -> str:
        """All that it said."""
        return "".join(self.deltas)

    @property
    def ends_properly(self) -> bool:
        """Whether one who reads it can know that the answer is complete."""
        is_told = bool(self.finish_reasons) and FAILED_REASONS.isdisjoint(self.finish_reasons)
        return is_told and self.is_done and self.end is None and not self.errors

    @property
    def end_of_answer(self) -> EndOfAnswer | None:
        """What tells a complete answer from a cut one there; None where nothing does."""
        if not self.is_stream:
            return None
        if self.finish_reasons:
            return "finish_reason"
        if self.is_done:
            return "done"
        return "end" if self.end is None and self.chunks else None

    def as_dict(self) -> dict[str, Any]:
        """The facts, as JSON."""
        return {**asdict(self), "deltas": len(self.deltas), "ends_properly": self.ends_properly}


def stream_facts(reply: Reply) -> StreamFacts:
    """Read a reply to a request with `stream`."""
    chunks: list[tuple[float, Mapping[str, Any]]] = []
    malformed = after_done = 0
    is_done = False
    for seconds, data in reply.events:
        if data == DONE:
            is_done = True
        elif is_done:
            after_done += 1
        elif isinstance(shape := parsed(data), dict):
            chunks.append((seconds, shape))
        else:
            malformed += 1
    rows = [(seconds, *_choice(chunk)) for seconds, chunk in chunks]
    spoken = [(seconds, text) for seconds, delta, _ in rows if (text := _text(delta))]
    gaps = [late[0] - early[0] for early, late in pairwise(spoken)]
    return StreamFacts(
        is_stream=bool(reply.events),
        media_type=reply.media_type,
        chunks=len(chunks),
        deltas=tuple(text for _, text in spoken),
        roles=sum("role" in delta for _, delta, _ in rows),
        ids=len({chunk.get("id") for _, chunk in chunks}),
        finish_reasons=tuple(str(reason) for _, _, reason in rows if reason),
        is_done=is_done,
        after_done=after_done,
        malformed=malformed,
        errors=sum(bool(chunk.get("error")) for _, chunk in chunks),
        usage=_usage_place([chunk for _, chunk in chunks]),
        end=reply.fault,
        first_token_seconds=spoken[0][0] if spoken else None,
        token_seconds=median(gaps) if gaps else None,
    )


def stream_rows(facts: StreamFacts) -> dict[str, Seen]:
    """The rows of the profile that one plain stream gives."""
    if not facts.is_stream:
        what = facts.media_type or "a body without a type"
        return {"form": Seen(verdict="ignored", text=f"no events: the answer is `{what}`")}
    rows = {
        "form": _form(facts),
        "finish_reason": _finish(facts),
        "[DONE]": _done(facts),
        "end of the body": Seen(verdict="honoured", text="in order")
        if facts.end is None
        else Seen(verdict="fails", text=facts.end),
        "role": Seen(
            verdict="honoured" if facts.roles == 1 else "unclear",
            text=f"in {facts.roles} chunk{'' if facts.roles == 1 else 's'}",
        ),
        "id": Seen(
            verdict="honoured" if facts.ids == 1 else "unclear",
            text="one in all chunks" if facts.ids == 1 else f"{facts.ids} in one answer",
        ),
    }
    if facts.usage is not None:
        rows["usage unasked"] = Seen(verdict="unclear", text=f"sent in {facts.usage}")
    return rows


def usage_row(facts: StreamFacts) -> Seen:
    """What asking for usage in a stream gives."""
    if facts.usage is None:
        return Seen(verdict="ignored", text="no usage in the stream")
    more = ""
    if len(facts.finish_reasons) > 1:
        reasons = ", ".join(f"`{reason}`" for reason in facts.finish_reasons)
        more = f"; finish_reason is sent {len(facts.finish_reasons)} times: {reasons}"
    return Seen(verdict="unclear" if more else "honoured", text=f"usage in {facts.usage}{more}")


def _form(facts: StreamFacts) -> Seen:
    stated = facts.media_type == "text/event-stream"
    odd = [] if stated else [f"stated to be `{facts.media_type}`"]
    odd += [f"{facts.malformed} events are no JSON"] if facts.malformed else []
    text = "; ".join(["server-sent events", *odd])
    return Seen(verdict="unclear" if odd else "honoured", text=text)


def _finish(facts: StreamFacts) -> Seen:
    if not facts.finish_reasons:
        return Seen(verdict="fails", text="none: a cut answer looks like a whole one")
    text = ", ".join(f"`{reason}`" for reason in facts.finish_reasons)
    if not FAILED_REASONS.isdisjoint(facts.finish_reasons):
        return Seen(verdict="fails", text=text)
    is_one = len(facts.finish_reasons) == 1
    return Seen(verdict="honoured" if is_one else "unclear", text=text)


def _done(facts: StreamFacts) -> Seen:
    if not facts.is_done:
        return Seen(verdict="fails", text="never sent")
    if facts.after_done:
        return Seen(verdict="unclear", text=f"sent, and {facts.after_done} events after it")
    return Seen(verdict="honoured", text="sent")


def _usage_place(chunks: list[Mapping[str, Any]]) -> str | None:
    carriers = [chunk for chunk in chunks if isinstance(chunk.get("usage"), dict)]
    if not carriers:
        return None
    if len(carriers) > 1 and len(carriers) >= len(chunks) - 1:
        return USAGE_EVERY
    if not carriers[-1].get("choices"):
        return USAGE_CHUNK
    _, reason = _choice(carriers[-1])
    return USAGE_FINISH if reason else USAGE_TEXT


def _choice(chunk: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """Delta and finish reason of a chunk's first choice."""
    rows = chunk.get("choices")
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    delta = row.get("delta")
    if not isinstance(delta, dict):
        delta = {"text": row["text"]} if "text" in row else {}
    return delta, row.get("finish_reason")


def _text(delta: Mapping[str, Any]) -> str:
    keys = ("content", "text", *REASONING_KEYS)
    return next((delta[key] for key in keys if isinstance(delta.get(key), str) and delta[key]), "")
