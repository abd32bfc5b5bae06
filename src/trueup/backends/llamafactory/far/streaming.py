"""One answer of an engine that schedules by itself (vLLM, SGLang): texts as ChatModel gives them.

It tells no tokens, so an answer cannot be continued; they are counted by the tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .lines import Message


def answer_by_stream(
    chat_model: Any, request: Message, emit: Callable[..., None], is_cancelled: Callable[[], bool]
) -> None:
    """Answer a request."""
    engine = chat_model.engine
    messages = [dict(each) for each in request["messages"]]
    system, tools = request.get("system"), request.get("tools")
    options = dict(request.get("options") or {})
    turns = [*messages, {"role": "assistant", "content": ""}]
    prompt, _ = engine.template.encode_oneturn(engine.tokenizer, turns, system, tools)
    said: list[str] = []
    stream = chat_model.stream_chat(messages, system, tools, **options)
    reason = None
    for text in stream:
        if is_cancelled():
            reason = "cancelled"
            break
        said.append(text)
        if text and not tools:
            emit("delta", text=text, token_ids=[])
    stream.close()  # its engine's own generator is closed with it, which cancels
    whole = "".join(said)
    made = len(engine.tokenizer.encode(whole, add_special_tokens=False))
    limit = options.get("max_new_tokens") or engine.generating_args.get("max_new_tokens")
    more: dict[str, Any] = {}
    if reason is None:
        reason = "length" if limit and made >= limit else "stop"
        calls = engine.template.extract_tool(whole) if tools else whole
        if tools and isinstance(calls, str):
            emit("delta", text=calls, token_ids=[])
        elif tools:
            reason = "tool_calls"
            more["tool_calls"] = [{"name": call[0], "arguments": call[1]} for call in calls]
    usage = {"prompt_tokens": len(prompt), "completion_tokens": made}
    emit("end", finish_reason=reason, usage=usage, **more)
