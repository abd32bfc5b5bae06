"""What engines of text have in common: requests into prompts, tokens into text and its end."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trueup.engines.base import FinishReason, Prompt, Step, Work
from trueup.engines.text import AnswerText
from trueup.errors import RequestError
from trueup.protocol.chat import ChatRequest
from trueup.protocol.completion import CompletionRequest

if TYPE_CHECKING:
    from trueup.adapt.load import Loaded

# The longest answer where neither the request nor the model's config names a limit.
DEFAULT_MAX_TOKENS = 2048

Request = ChatRequest | CompletionRequest


class Prompts:
    """Reads requests to one loaded model, and the tokens of its answers."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._tokenizer: Any = loaded.tokenizer
        self._stop_token_ids = frozenset(loaded.stop_token_ids)
        self._special_ids = _special_ids(loaded.tokenizer)
        model: Any = loaded.model
        self._vocabulary_tokens = int(model.get_input_embeddings().weight.shape[0])

    def prepare(self, request: Request) -> tuple[Prompt, ...]:
        """Render, tokenize and check a request.

        Raises:
            RequestError: see `ChatEngine.prepare`.
        """
        for given in (request.resume or {}).values():
            self._check_ids(given, "trueup.continue_token_ids")
        if isinstance(request, ChatRequest):
            token_ids = self._loaded.encode_chat(
                [message.as_dict() for message in request.messages],
                add_generation_prompt=request.add_generation_prompt,
                continue_final_message=request.continue_final_message,
            )
            return (self._prompt(token_ids, request, param="messages", index=0),)
        return tuple(
            self._prompt(self._encode(text, index), request, param="prompt", index=index)
            for index, text in enumerate(request.prompts)
        )

    def end(self, text: AnswerText, token: int, is_last: bool) -> tuple[str, FinishReason | None]:
        """What a token adds to the text, and whether the answer ends with it."""
        is_stop_token = token in self._stop_token_ids
        delta = "" if is_stop_token else text.push(token)
        if (is_stop_token or is_last) and not text.is_stopped:
            delta += text.finish()
        if is_stop_token or text.is_stopped:
            return delta, "stop"
        return delta, "length" if is_last else None

    def replayed(self, request: Request, given: Sequence[int]) -> AnswerText:
        """The state of the text after the tokens that the client has."""
        text = AnswerText(
            self._tokenizer,
            self._special_ids,
            request.sampling.stop,
            drops_leading_space=self._loaded.answers_after_space
            and isinstance(request, ChatRequest)
            and not request.continue_final_message,
        )
        for token in given:
            text.push(token)
        return text

    def ended(
        self, prompt: Prompt, request: Request, choice: int, given: Sequence[int]
    ) -> Step | None:
        """The only step of an answer that is to be continued and has come to its end already."""
        if not given:
            return None
        is_full = len(given) >= prompt.max_tokens
        text = self.replayed(request, given)
        if is_full:
            text.finish()
        is_stopped = given[-1] in self._stop_token_ids or text.is_stopped
        if not is_stopped and not is_full:
            return None
        return Step(
            choice=prompt.first_choice + choice,
            position=len(given),
            token_ids=(),
            text="",
            finish_reason="stop" if is_stopped else "length",
        )

    def _prompt(
        self, token_ids: Sequence[int], request: Request, *, param: str, index: int
    ) -> Prompt:
        if not token_ids:
            raise RequestError(f"`{param}` has no tokens, expected at least one", param=param)
        context = self._loaded.context_tokens
        wanted = request.sampling.max_tokens
        if context is None:
            max_tokens = wanted or DEFAULT_MAX_TOKENS
        else:
            room = context - len(token_ids)
            if room < 1:
                raise RequestError(
                    f"`{param}` has {len(token_ids)} tokens, but the model's context holds "
                    f"{context} with the answer",
                    param=param,
                    code="context_length_exceeded",
                    hint=f"shorten `{param}` to at most {context - 1} tokens",
                )
            max_tokens = min(wanted or room, room)
        return Prompt(
            token_ids=tuple(token_ids),
            max_tokens=max_tokens,
            first_choice=index * request.sampling.n,
        )

    def _encode(self, text: str | tuple[int, ...], index: int) -> Sequence[int]:
        if isinstance(text, tuple):
            self._check_ids(text, f"prompt[{index}]")
            return text
        token_ids: list[int] = self._tokenizer(text, verbose=False)["input_ids"]
        return token_ids

    def _check_ids(self, token_ids: Sequence[int], param: str) -> None:
        largest = max(token_ids, default=0)
        if largest >= self._vocabulary_tokens:
            raise RequestError(
                f"`{param}` has the token id {largest}, but the model knows ids below "
                f"{self._vocabulary_tokens}",
                param=param,
            )


class TextEngine:
    """What both engines of text are built on: a loaded model, its prompts, its work."""

    def __init__(self, loaded: Loaded) -> None:
        self.work = Work()
        self._prompts = Prompts(loaded)
        self._model: Any = loaded.model

    def prepare(self, request: Request) -> tuple[Prompt, ...]:
        """Render, tokenize and check a request.

        Raises:
            RequestError: see `ChatEngine.prepare`.
        """
        return self._prompts.prepare(request)


def seed_of(request: Request) -> int:
    """The request's seed, or one drawn for it."""
    seed = request.sampling.seed
    return secrets.randbits(63) if seed is None else seed


def to_make(prompt: Prompt, request: Request) -> dict[int, tuple[int, ...]]:
    """The prompt's choices that are wanted, each with the tokens that it has already."""
    choices = range(request.sampling.n)
    if request.resume is None:
        return dict.fromkeys(choices, ())
    return {
        choice: given
        for choice in choices
        if (given := request.resume.get(prompt.first_choice + choice)) is not None
    }


def _special_ids(tokenizer: Any) -> frozenset[int]:
    """Ids without text: `skip_special_tokens` leaves them out of a decoded answer."""
    # Releases before 4.34 have plain texts, and fast tokenizers nothing.
    added = getattr(tokenizer, "added_tokens_decoder", {}).items()
    special = {token for token, content in added if getattr(content, "special", False)}
    # Tokenizers of ChatGLM's kind number theirs themselves.
    own = getattr(getattr(tokenizer, "tokenizer", None), "special_tokens", None)
    numbered = own.values() if isinstance(own, dict) else ()
    return frozenset((*tokenizer.all_special_ids, *special, *numbered))
