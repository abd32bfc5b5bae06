"""Who talks with the keeper."""

from __future__ import annotations

import asyncio

from .lines import Message, line_of


class Client:
    """One connection; `follows` are the answers whose events it gets."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.name = ""
        self.follows: set[str] = set()

    def send(self, message: Message) -> None:
        """Write a message; a connection that is gone takes nothing."""
        if not self.writer.is_closing():
            self.writer.write(line_of(message))
