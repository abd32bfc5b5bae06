"""The torch engine: chat and completions over a model of the transformers library.

Its own decode loop, one prompt at a time: no batching, no scheduling, no HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from trueup.engines.base import FinishReason, Prompt, Step, Work
from trueup.engines.head import widen_head
from trueup.engines.sampling import Sampler
from trueup.engines.sequence import ModelSequence, forward_options, piece_tokens
from trueup.engines.text import AnswerText
from trueup.errors import RequestError
from trueup.protocol.chat import ChatRequest
from trueup.protocol.completion import CompletionRequest

if TYPE_CHECKING:
    from trueup.adapt.load import Loaded

# The longest answer where neither the request nor the model's config names a limit.
DEFAULT_MAX_TOKENS = 2048

Request = ChatRequest | CompletionRequest


class TorchChatEngine:
    """Answers chat and completion requests with one loaded model (see `ChatEngine`)."""

    def __init__(self, loaded: Loaded) -> None:
        self.work = Work()
        self._loaded = loaded
        self._model: Any = loaded.model
        self._tokenizer: Any = loaded.tokenizer
        self._stop_token_ids = frozenset(loaded.stop_token_ids)
        self._special_ids = _special_ids(loaded.tokenizer)
        self._vocabulary_tokens = int(self._model.get_input_embeddings().weight.shape[0])
        self._piece_tokens = piece_tokens(self._model)
        self._options = forward_options(self._model)
        widen_head(self._model)

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

    def generate(
        self, prompt: Prompt, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Step]:
        """Answer one prompt, step by step (see `ChatEngine.generate`)."""
        sampling = request.sampling
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        choices = []
        for choice, given in _to_make(prompt, request).items():
            ended = self._ended(prompt, request, given)
            if ended is None:
                choices.append((choice, given))
                continue
            yield Step(
                choice=prompt.first_choice + choice,
                position=len(given),
                token_ids=(),
                text="",
                finish_reason=ended,
            )
        if not choices:
            return
        sequence = ModelSequence(self._model, options=self._options)
        logits = self._prefill(sequence, prompt.token_ids, is_cancelled)
        if logits is None:
            return
        for number, (choice, given) in enumerate(choices, start=1):
            if is_cancelled():
                return
            yield from self._answer(
                prompt,
                request,
                is_cancelled,
                choice=choice,
                given=given,
                sampler=Sampler(sampling, seed=seed, choice=choice),
                sequence=sequence if number == len(choices) else sequence.copy(),
                logits=logits,
            )

    def _answer(
        self,
        prompt: Prompt,
        request: Request,
        is_cancelled: Callable[[], bool],
        *,
        choice: int,
        given: Sequence[int],
        sampler: Sampler,
        sequence: ModelSequence,
        logits: torch.Tensor,
    ) -> Iterator[Step]:
        answer = list(given)
        text = self._replayed(request, given)
        if given:
            after = self._prefill(sequence, given, is_cancelled)
            if after is None:
                return
            logits = after
        while True:
            token = sampler.choose(logits, answer)
            answer.append(token)
            self.work.decoded_tokens += 1
            delta, finish = self._end(text, token, len(answer) >= prompt.max_tokens)
            yield Step(
                choice=prompt.first_choice + choice,
                position=len(answer) - 1,
                token_ids=(token,),
                text=delta,
                finish_reason=finish,
            )
            if finish is not None or is_cancelled():
                return
            logits = sequence.feed((token,))

    def _end(self, text: AnswerText, token: int, is_last: bool) -> tuple[str, FinishReason | None]:
        """What a token adds to the text, and whether the answer ends with it."""
        is_stop_token = token in self._stop_token_ids
        delta = "" if is_stop_token else text.push(token)
        if (is_stop_token or is_last) and not text.is_stopped:
            delta += text.finish()
        if is_stop_token or text.is_stopped:
            return delta, "stop"
        return delta, "length" if is_last else None

    def _replayed(self, request: Request, given: Sequence[int]) -> AnswerText:
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

    def _ended(self, prompt: Prompt, request: Request, given: Sequence[int]) -> FinishReason | None:
        """Whether the answer that is to be continued has come to its end already."""
        if not given:
            return None
        is_full = len(given) >= prompt.max_tokens
        text = self._replayed(request, given)
        if is_full:
            text.finish()
        if given[-1] in self._stop_token_ids or text.is_stopped:
            return "stop"
        return "length" if is_full else None

    def _prefill(
        self, sequence: ModelSequence, token_ids: Sequence[int], is_cancelled: Callable[[], bool]
    ) -> torch.Tensor | None:
        """The logits after these tokens, fed piece by piece; None where it was cancelled."""
        logits = None
        for start in range(0, len(token_ids), self._piece_tokens):
            if is_cancelled():
                return None
            piece = token_ids[start : start + self._piece_tokens]
            logits = sequence.feed(piece)
            self.work.prefilled_tokens += len(piece)
        return logits

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


def _to_make(prompt: Prompt, request: Request) -> dict[int, tuple[int, ...]]:
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
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {
        token for token, content in added if content.special
    }
