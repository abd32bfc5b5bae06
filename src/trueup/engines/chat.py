"""The torch engine: chat and completions over a model of the transformers library.

Its own decode loop, one prompt at a time: no batching, no scheduling, no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from trueup.engines.base import Prompt, Step
from trueup.engines.head import widen_head
from trueup.engines.prompts import Request, TextEngine, seed_of, to_make
from trueup.engines.sampling import Sampler
from trueup.engines.sequence import ModelSequence, forward_options, piece_tokens

if TYPE_CHECKING:
    from trueup.adapt.load import Loaded


class TorchChatEngine(TextEngine):
    """Answers chat and completion requests with one loaded model that `steps_by_cache`.

    See `ChatEngine`.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        self._piece_tokens = piece_tokens(self._model)
        self._options = forward_options(self._model)
        widen_head(self._model)

    def generate(
        self, prompt: Prompt, request: Request, is_cancelled: Callable[[], bool]
    ) -> Iterator[Step]:
        """Answer one prompt, step by step (see `ChatEngine.generate`)."""
        seed = seed_of(request)
        choices = []
        for choice, given in to_make(prompt, request).items():
            ended = self._prompts.ended(prompt, request, choice, given)
            if ended is None:
                choices.append((choice, given))
            else:
                yield ended
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
                sampler=Sampler(request.sampling, seed=seed, choice=choice),
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
        text = self._prompts.replayed(request, given)
        if given:
            after = self._prefill(sequence, given, is_cancelled)
            if after is None:
                return
            logits = after
        while True:
            token = sampler.choose(logits, answer)
            answer.append(token)
            self.work.decoded_tokens += 1
            delta, finish = self._prompts.end(text, token, len(answer) >= prompt.max_tokens)
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
