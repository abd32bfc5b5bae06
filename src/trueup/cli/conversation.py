"""A conversation in the terminal: prompt, streamed answer, history, slash commands."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.key_processor import KeyPressEvent
from prompt_toolkit.shortcuts import print_formatted_text

from trueup.cli.client import Answer, ChatClient
from trueup.cli.main import print_error
from trueup.cli.waiting import WaitingNote
from trueup.config.home import trueup_home
from trueup.errors import TrueUpError

COMMANDS = {
    "/clear": "forget the conversation, keep the system message",
    "/system": "`/system TEXT` sets the system message, alone it shows it, `/system -` removes it",
    "/help": "show this",
    "/exit": "end (Ctrl-D does too)",
}
KEYS = "Enter sends, Alt-Enter starts a new line, Ctrl-C stops an answer, Up brings back a message"


class Conversation:
    """The messages so far, and the loop that adds to them."""

    def __init__(
        self, client: ChatClient, model: str, options: Mapping[str, Any], *, system: str | None
    ) -> None:
        self.client = client
        self.model = model
        self.options = options
        self.system = system
        self.rounds: list[dict[str, str]] = []
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=WordCompleter(list(COMMANDS), sentence=True, meta_dict=COMMANDS),
            complete_while_typing=False,
            multiline=True,
            prompt_continuation="  ",
            key_bindings=_keys(),
        )

    async def hold(self) -> None:
        """Talk until `/exit` or the end of the input."""
        print_formatted_text(HTML("<b>{}</b>  /help for commands and keys").format(self.model))
        while True:
            try:
                text = (await self._session.prompt_async("> ")).strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.startswith("/"):
                if self._obey(text):
                    return
            elif text:
                await self._ask(text)

    def _obey(self, text: str) -> bool:
        """Carry out a slash command; True ends the conversation."""
        command, _, rest = text.partition(" ")
        if command in ("/exit", "/quit"):
            return True
        if command == "/clear":
            self.rounds.clear()
            print("(cleared)")
        elif command == "/system":
            if rest.strip():
                self.system = None if rest.strip() == "-" else rest.strip()
            print(f"(system: {self.system or 'none'})")
        elif command == "/help":
            for name, meaning in COMMANDS.items():
                print(f"  {name:<8} {meaning}")
            print(f"  {KEYS}")
        else:
            print(f"(no command {command}; there are {', '.join(COMMANDS)})")
        return False

    async def _ask(self, text: str) -> None:
        """Stream one answer; a round that failed is left out, so that it can be asked again."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        question = {"role": "user", "content": text}
        answer = Answer()
        task = asyncio.create_task(self._show([*system, *self.rounds, question], answer))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            print("\n(stopped)")
        except TrueUpError as error:
            print()
            print_error(error)
            return
        finally:
            loop.remove_signal_handler(signal.SIGINT)
        if answer.content:
            self.rounds += [question, {"role": "assistant", "content": answer.content}]

    async def _show(self, messages: list[dict[str, str]], answer: Answer) -> None:
        with WaitingNote() as note:
            async for piece in self.client.stream(self.model, messages, answer, self.options):
                note.end()
                print(piece, end="", flush=True)
        print("\n(cut at the token limit)" if answer.finish_reason == "length" else "")


class _Questions(FileHistory):
    """What was asked, without the slash commands."""

    def append_string(self, string: str) -> None:
        if not string.lstrip().startswith("/"):
            super().append_string(string)


def _history() -> History:
    path = trueup_home() / "chat_history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:  # a read-only home: the conversation works, only without a past
        return InMemoryHistory()
    return _Questions(path)


def _keys() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings
