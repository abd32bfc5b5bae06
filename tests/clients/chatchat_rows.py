"""The rows of Langchain-Chatchat's table: what happens behind it, in its users' words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.faults.answer import TOOLS
from tests.faults.case import ALWAYS, ONCE, Case
from tests.faults.cases import FAULTS

Door = Literal["plain", "v1", "glm3", "qwen"]
DOORS: tuple[Door, ...] = ("plain", "v1", "glm3", "qwen")
TITLES: Mapping[Door, str] = {
    "plain": "/chat/chat/completions",
    "v1": "/v1/chat/completions with tools",
    "glm3": "agent, model name with glm3 (asks for streams)",
    "qwen": "agent, model name with qwen (does not)",
}
CHAT_DOORS: tuple[Door, ...] = ("plain", "glm3", "qwen")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cause, the fault that plays it, and at which doors it is met.

    `lasts` empty: as long as the fault knows; `asks` is added to the client's request, `backend`
    to the gateway's configuration of the server. `due_alone` replaces what one server alone must
    end in: the profile of this client can do more than the default one.
    """

    cause: str
    fault: str
    doors: tuple[Door, ...] = DOORS
    lasts: tuple[str, ...] = ()
    asks: Mapping[str, Any] = field(default_factory=dict)
    backend: Mapping[str, Any] = field(default_factory=dict)
    due_alone: frozenset[str] = frozenset()


V1: tuple[Door, ...] = ("v1",)
PLAIN: tuple[Door, ...] = ("plain",)
ROWS = (
    Row(cause="connection closed in mid-answer", fault="close-after-3"),
    Row(cause="connection closed in mid-event", fault="close-mid-event", doors=PLAIN),
    Row(cause="closed after [DONE] without the last chunk", fault="no-last-chunk"),
    Row(cause="all text, closed before the finish chunk", fault="close-before-finish"),
    Row(cause="error event in mid-stream, a text", fault="error-event-after-3-text"),
    Row(cause="error event in mid-stream, OpenAI's", fault="error-event-after-3-openai"),
    Row(cause="provider error with finish `error`", fault="error-in-choice", doors=PLAIN),
    Row(cause="error event first", fault="error-event-first-text"),
    Row(cause="503", fault="503"),
    Row(cause="closed before headers", fault="close-before-headers"),
    Row(cause="401 from the model server", fault="401"),
    Row(cause="400 text because of tool_choice", fault="rejects-tool-choice-text", doors=V1),
    Row(cause="400 because of tools", fault="rejects-tools-text", doors=V1),
    Row(cause="stream dies when tools are present", fault="close-in-mid-call", doors=V1),
    Row(cause="stream refused when tools are present", fault="500-with-tools", doors=V1),
    Row(cause="invalid UTF-8 in the stream", fault="invalid-utf8-in-text", doors=("plain", "glm3")),
    Row(cause="silence in mid-answer", fault="stall-after-3"),
    Row(cause="pings alone in mid-answer", fault="heartbeats-after-3", doors=PLAIN),
    Row(cause="silence before headers", fault="stall-before-headers", doors=PLAIN),
    Row(cause="ended in order without finish_reason", fault="end-before-finish"),
    Row(cause="ended in order in mid-answer", fault="end-after-3"),
    Row(cause="[DONE] in mid-answer", fault="done-after-3"),
    Row(cause="HTML page with status 200", fault="html"),
    Row(cause="JSON body for a stream", fault="json-for-a-stream"),
    Row(cause="empty stream", fault="end-empty"),
    Row(cause="empty body", fault="empty-body", doors=CHAT_DOORS),
    Row(cause="null deltas", fault="null-deltas"),
    Row(cause="comments", fault="comments-and-fields", doors=PLAIN),
    Row(cause="usage with empty choices", fault="usage-with-no-choices"),
    Row(cause="a line of 1 MB", fault="line-of-1-mb", doors=PLAIN),
    Row(cause="reasoning_content first", fault="reasoning-first", doors=PLAIN),
    Row(cause="text after [DONE]", fault="data-after-done", doors=PLAIN),
    Row(cause="a slow first token", fault="slow-first-token"),
    Row(
        cause="max_tokens above the context",
        fault="value-of-max-tokens",
        doors=("plain", "v1"),
        asks={"max_tokens": 99999},
        backend={"context_tokens": 2048},
        due_alone=frozenset({"complete"}),
    ),
)


@dataclass(frozen=True)
class Asking:
    """One row met at one door for so long; `model` names it at the gateway, by column."""

    row: Row
    door: Door
    case: Case

    @property
    def name(self) -> str:
        return f"{self.door}.{self.row.fault}.{self.case.lasts}"

    @property
    def is_agent(self) -> bool:
        return self.door in ("glm3", "qwen")

    def model(self, column: str) -> str:
        """What the model is called that a column asks."""
        return f"{self.door}.{column}" if column == "direct" else f"{self.name}.{column}"

    @property
    def wants_call(self) -> bool:
        """Whether the right answer is a tool call."""
        return self.door == "v1" and "max_tokens" not in self.row.asks

    @property
    def shape(self) -> dict[str, Any]:
        """What is asked beside model and messages, as the model server gets it."""
        asks = {**self.case.fault.asks, **self.row.asks}
        return {"tools": TOOLS, **asks} if self.wants_call else asks


def askings(doors: tuple[str, ...] = DOORS) -> Iterator[Asking]:
    """Every row at every door, for as long as the fault knows."""
    for row in ROWS:
        for door in row.doors:
            if door not in doors:
                continue
            for case in FAULTS[row.fault].cases:
                is_meant = not row.lasts or case.lasts in row.lasts
                if is_meant and case.is_stream == (door != "qwen"):
                    yield Asking(row, door, case)


__all__ = ["ALWAYS", "DOORS", "ONCE", "ROWS", "TITLES", "Asking", "Door", "Row", "askings"]
