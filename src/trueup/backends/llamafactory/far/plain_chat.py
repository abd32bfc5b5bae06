"""The terminal conversation of `llamafactory-cli chat` over pipes, as it is.

Nothing but the next prompt marks the end of a reply, and a reply may contain one: it is taken at
the end of the output alone, after a silence. A line is a message; there are no settings, no usage.
"""

from __future__ import annotations

import codecs
import os
import select
import threading
from collections.abc import Callable
from typing import Any

from .channel import Channel
from .faults import SpecFault
from .lines import Message
from .serving import answer_one

PROMPT = b"\nUser: "
REPLY = b"Assistant: "
SILENCE_SECONDS = 0.05
PIECE_BYTES = 2**16
COMMANDS = ("exit", "clear")


class PlainChat:
    """One conversation; `said` gets the lines that come before it."""

    def __init__(self, incoming: int, outgoing: int, *, said: Any) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._said = said
        self._turns: list[Message] = []

    def begins(self) -> bool:
        """Wait for the first prompt; False where it ended, or is served by the hook until then."""
        rest = b""
        while True:
            if rest.endswith(PROMPT) and self._is_silent():
                return True
            piece = os.read(self._outgoing, PIECE_BYTES)
            if not piece:
                return False
            os.write(2, piece)
            *lines, last = (rest + piece).split(b"\n")
            self._said.extend(line.decode("utf-8", "replace") for line in lines)
            rest = b"\n" + last

    def answer(
        self, request: Message, emit: Callable[..., None], is_cancelled: Callable[[], bool]
    ) -> None:
        """Answer a request.

        Raises: SpecFault for one that cannot be told over a terminal.
        """
        *earlier, last = request["messages"]
        text = last["content"]
        if "\n" in text or "\r" in text:
            raise SpecFault("PlainLines", "a message of several lines")
        if text.strip() in COMMANDS:
            raise SpecFault("PlainLines", f"the message `{text.strip()}`")
        if request.get("system") or request.get("tools"):
            raise SpecFault("PlainLines", "a system prompt of the request, or tools")
        if earlier != self._turns:
            if earlier:
                raise SpecFault("PlainLines", "a conversation that was held elsewhere")
            self._tell("clear")
            self._reply(lambda text: None)
            self._turns = []
        self._tell(text)
        reply = self._reply(lambda text: emit("delta", text=text, token_ids=[]))
        self._turns = [*earlier, last, {"role": "assistant", "content": reply}]
        emit("end", finish_reason="cancelled" if is_cancelled() else "stop", usage=None)

    def _tell(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        while data:
            data = data[os.write(self._incoming, data) :]

    def _reply(self, tell: Callable[[str], None]) -> str:
        """The reply up to the next prompt; `tell` gets its pieces."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        held, is_begun, whole = b"", False, ""
        while True:
            is_over = held.endswith(PROMPT) and self._is_silent()
            if is_over:
                # `print()` ends the reply, and the prompt begins with a line feed of its own.
                held = held[: -len(PROMPT)].removesuffix(b"\n")
            if not is_begun and REPLY in held:
                held, is_begun = held.partition(REPLY)[2], True
            ready = len(held) if is_over else max(0, len(held) - len(PROMPT) - 1)
            if is_begun and (ready or is_over):
                text = decoder.decode(held[:ready], final=is_over)
                held = held[ready:]
                if text:
                    tell(text)
                    whole += text
            if is_over:
                return whole
            piece = os.read(self._outgoing, PIECE_BYTES)
            if not piece:
                raise EOFError("llamafactory-cli ended in mid-reply")
            held += piece

    def _is_silent(self) -> bool:
        return not select.select([self._outgoing], [], [], SILENCE_SECONDS)[0]


def serve_plain(chat: PlainChat, channel: Channel) -> None:
    """Answer until the conversation ends, whose status tells why."""
    facts = {"concurrent": 1, "continues": False, "is_plain": True}
    channel.listen()
    channel.send({"event": "state", "state": "ready", **facts})
    ended = threading.Event()

    def how(
        chat: PlainChat,
        request: Message,
        emit: Callable[..., None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        try:
            chat.answer(request, emit, is_cancelled)
        except (EOFError, BrokenPipeError):
            ended.set()

    while not ended.is_set():
        answer_one(chat, channel.requests.get(), channel, how)
