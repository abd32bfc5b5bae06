"""What the fault server says when nothing is wrong: one fixed answer in every shape asked for.

A token is one piece of `PIECES`; the text is the same for each request unless the fault says
that it varies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

TEXT = (
    "TrueUp 测试句子：流不会中断。🙂 The quick brown fox jumps over the lazy dog, "
    "然后它停下来想一想。\n第二行有一个行分隔符\u2028在这里，后面还有一个表情：👩‍👩‍👧‍👦，"
    "以及 data: [DONE] 这样的文字。\r\nLine three: “quotes”, \\backslashes\\, \ttabs, ünïcödé; "
    "数字 1234567890; 最后一句话到此结束，谢谢阅读！ The end of the fixed answer. ✅"
)
PIECE_CHARACTERS = 6
JSON_TEXT = '{"city": "北京", "degrees": 21, "sky": "晴 ☀️", "note": "a\u2028b"}'
STOP = "第二行"
TOOL_NAME = "get_weather"
ARGUMENTS = {"city": "北京", "unit": "celsius", "note": '晴 ☀️ \u2028 "quoted" \\ end'}
ARGUMENTS_TEXT = json.dumps(ARGUMENTS, ensure_ascii=False)
CALL_ID = "call_5f0e1a"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": TOOL_NAME,
            "description": "Tells the weather of a city",
            "parameters": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ARGUMENTS},
                "required": list(ARGUMENTS),
            },
        },
    }
]
CREATED = 1_700_000_000


def pieces_of(text: str, length: int = PIECE_CHARACTERS) -> list[str]:
    """The text in pieces; joined they are the text."""
    return [text[start : start + length] for start in range(0, len(text), length)]


@dataclass(frozen=True)
class Asked:
    """One request and what it wants; `varies` numbers another answer, `continues` a prefix.

    `played` is how many faulty answers its key has had before.
    """

    shape: Mapping[str, Any]
    path: str = "/v1/chat/completions"
    answer: str = ""
    varies: int = 0
    continues: bool = False
    pieces: int = PIECE_CHARACTERS
    played: int = 0

    @property
    def is_chat(self) -> bool:
        return self.path.endswith("/chat/completions")

    @property
    def is_stream(self) -> bool:
        return self.shape.get("stream") is True

    @property
    def wants_usage(self) -> bool:
        options = self.shape.get("stream_options")
        return isinstance(options, Mapping) and options.get("include_usage") is True

    @property
    def wants_call(self) -> bool:
        is_named_none = self.shape.get("tool_choice") == "none"
        return bool(self.shape.get("tools")) and not is_named_none and self.answer != "text"

    @property
    def choices(self) -> int:
        return int(self.shape.get("n") or 1)

    @cached_property
    def text(self) -> str:
        wants_json = (self.shape.get("response_format") or {}).get("type", "text") != "text"
        text = JSON_TEXT if wants_json or self.answer == "json" else TEXT
        return f"({self.varies}) " * bool(self.varies) + text

    @cached_property
    def said(self) -> tuple[list[str], str]:
        """The pieces that are sent, and the reason why they end."""
        text = self.text
        stops = self.shape.get("stop") or []
        for stop in [stops] if isinstance(stops, str) else stops:
            text = text.partition(stop)[0]
        pieces = pieces_of(text, self.pieces)
        prefix = self._prefix()
        if prefix and text.startswith(prefix):
            pieces = pieces_of(text[len(prefix) :], self.pieces)
        limit = self.shape.get("max_completion_tokens") or self.shape.get("max_tokens")
        if limit and len(pieces) > limit:
            return pieces[:limit], "length"
        return pieces, "stop"

    def _prefix(self) -> str:
        messages = self.shape.get("messages") or []
        if not self.continues or not messages:
            return ""
        last = messages[-1]
        is_asked = self.shape.get("continue_final_message") is True or last.get("prefix") is True
        return str(last.get("content") or "") if is_asked and last["role"] == "assistant" else ""

    @property
    def usage(self) -> dict[str, int]:
        count = 12 if self.wants_call else len(self.said[0]) * self.choices
        return {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """One chunk around these choices."""
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        around = {
            "id": "chatcmpl-f" if self.is_chat else "cmpl-f",
            "object": kind,
            "created": CREATED,
            "model": str(self.shape.get("model")),
        }
        return {**around, "choices": choices, **more}

    def delta(
        self, delta: Mapping[str, Any], finish: str | None = None, index: int = 0
    ) -> dict[str, Any]:
        """One chunk of one choice; of a text completion its `content` is the text."""
        if not self.is_chat:
            text = delta.get("content") or ""
            return self.chunk(
                [{"index": index, "text": text, "logprobs": None, "finish_reason": finish}]
            )
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self.chunk([choice])

    def chunks(self) -> list[dict[str, Any]]:
        """The whole stream's chunks: roles, pieces (choices by turns), finishes, usage."""
        rows = []
        if self.is_chat:
            rows += [
                self.delta({"role": "assistant", "content": ""}, index=index)
                for index in range(self.choices)
            ]
        for delta in self._call_deltas() if self.wants_call else self._text_deltas():
            rows += [self.delta(delta, index=index) for index in range(self.choices)]
        finish = "tool_calls" if self.wants_call else self.said[1]
        rows += [self.delta({}, finish, index) for index in range(self.choices)]
        if self.wants_usage:
            rows.append(self.chunk([], usage=self.usage))
        return rows

    def _text_deltas(self) -> list[dict[str, Any]]:
        return [{"content": piece} for piece in self.said[0]]

    def _call_deltas(self) -> list[dict[str, Any]]:
        first = {"name": TOOL_NAME, "arguments": ""}
        calls = [{"index": 0, "id": CALL_ID, "type": "function", "function": first}]
        return [
            {"tool_calls": calls},
            *(
                {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
                for piece in pieces_of(ARGUMENTS_TEXT)
            ),
        ]

    def message(self) -> dict[str, Any]:
        """The message of a whole answer."""
        if not self.wants_call:
            return {"role": "assistant", "content": "".join(self.said[0])}
        function = {"name": TOOL_NAME, "arguments": ARGUMENTS_TEXT}
        calls = [{"id": CALL_ID, "type": "function", "function": function}]
        return {"role": "assistant", "content": None, "tool_calls": calls}

    def whole(self) -> dict[str, Any]:
        """The whole answer to a request without streaming."""
        finish = "tool_calls" if self.wants_call else self.said[1]
        rows: list[dict[str, Any]] = []
        for index in range(self.choices):
            around = {"index": index, "logprobs": None, "finish_reason": finish}
            if self.is_chat:
                rows.append({**around, "message": self.message()})
            else:
                rows.append({**around, "text": "".join(self.said[0])})
        kind = "chat.completion" if self.is_chat else "text_completion"
        return {**self.chunk(rows), "object": kind, "usage": self.usage}
