"""What an engine is: a loaded model that answers requests, one prompt after another.

An engine is synchronous and is used by one thread, the worker's model thread. It does not
schedule: which prompt comes next is its caller's decision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from trueup.protocol.chat import ChatRequest
from trueup.protocol.completion import CompletionRequest

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt ready for the model; its first choice has the index `first_choice`.

    `max_tokens` is the longest answer that the request and the context allow, tokens that
    are continued included.
    """

    token_ids: tuple[int, ...]
    max_tokens: int
    first_choice: int = 0


@dataclass(slots=True, kw_only=True)
class Work:
    """What an engine has computed since its start.

    Tokens that it read (prompts, and answers that are continued) and tokens that it made.
    """

    prefilled_tokens: int = 0
    decoded_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one step of generation adds to choice `choice`.

    `text` may be empty: characters wait for their last byte, and what may begin a stop
    string waits until it does not. `position` is the index of `token_ids[0]` in the answer,
    so `position + len(token_ids)` tokens were made so far, the stop token included.
    """

    choice: int
    position: int
    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason | None = None


class ChatEngine(Protocol):
    """Answers chat and completion requests."""

    work: Work

    def prepare(self, request: ChatRequest | CompletionRequest) -> tuple[Prompt, ...]:
        """Render and tokenize a request: one prompt for chat, one for each of a completion.

        Belongs to the model thread as well: a fast tokenizer serves one thread at a time.

        Raises:
            RequestError: the prompt does not fit the context, or the model has no chat
                template, or its template refuses the messages.
        """
        ...

    def generate(
        self,
        prompt: Prompt,
        request: ChatRequest | CompletionRequest,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[Step]:
        """Answer one prompt: the choices one after another, each ended by a finish reason.

        `is_cancelled` is asked before every forward pass; when it says yes, the iterator
        ends without a finish reason. With `resume` only its choices come; the first step of one
        comes after the tokens that it has and has their number as its position.

        Raises:
            BackendError: the model's output is no number.
        """
        ...
