"""The agent that talks: it answers in the user's language and remembers the last rounds."""

from __future__ import annotations

from collections.abc import Iterator

import openai
from connection import asking
from openai.types.chat import ChatCompletionMessageParam

ROLE = "user_communication"
INSTRUCTION = "Answer in the language of the user. 用用户的语言回答。"
REMEMBERED_ROUNDS = 4
# So that the rounds also fit into a small model's context.
REMEMBERED_CHARACTERS = 1000


class UserAgent:
    """A conversation through the role `user_communication`, streamed."""

    role = ROLE

    def __init__(self, client: openai.OpenAI) -> None:
        self._client = client
        self._rounds: list[tuple[str, str]] = []

    def answer(self, message: str) -> Iterator[str]:
        """Pieces of the answer as they come; only a whole one is remembered.

        Raises: AgentError
        """
        parts = []
        with (
            asking(self._client, ROLE),
            self._client.chat.completions.create(
                model=ROLE, messages=self._messages(message), stream=True
            ) as stream,
        ):
            for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    parts.append(text)
                    yield text
        self._rounds = [*self._rounds, (message, "".join(parts))][-REMEMBERED_ROUNDS:]
        while sum(len(text) for each in self._rounds for text in each) > REMEMBERED_CHARACTERS:
            del self._rounds[0]

    def _messages(self, message: str) -> list[ChatCompletionMessageParam]:
        messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": INSTRUCTION}]
        for question, answer in self._rounds:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
        return [*messages, {"role": "user", "content": message}]
