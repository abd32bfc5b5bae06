"""From a request of embeddings to rows of token ids: prompts, special tokens, truncation, windows.

The rule for windows: an input that does not fit the context is cut into windows that fill it,
each beginning an eighth of a window before the end of the one before it. Its vector is the mean
of the windows' vectors, each weighted by the tokens that it is the first to hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueup.adapt.plan import EmbeddingPlan
from trueup.errors import CheckpointError, RequestError
from trueup.protocol.embedding import EmbeddingRequest, Input

OVERLAP_SHARE = 8
MAX_WINDOWS = 4096
# Between these the tokenizer is asked which special tokens it adds.
PROBE = "a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of a request, special tokens included.

    Input number i has the rows `starts[i]` to `starts[i + 1]`; `weights` has one for each row.
    """

    token_ids: tuple[tuple[int, ...], ...]
    weights: tuple[int, ...]
    starts: tuple[int, ...]
    prompt_tokens: int
    truncated: tuple[int, ...] = ()
    windowed: tuple[int, ...] = ()


class InputReader:
    """Makes rows for one model; belongs to one thread, as fast tokenizers do.

    `context_tokens` None is a model without a limit.
    """

    def __init__(
        self,
        tokenizer: Any,
        plan: EmbeddingPlan,
        *,
        context_tokens: int | None,
        vocabulary_tokens: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._plan = plan
        self._context_tokens = context_tokens
        self._vocabulary_tokens = vocabulary_tokens
        self._before, self._after = _special_tokens(tokenizer)

    def read(self, request: EmbeddingRequest) -> Rows:
        """The rows of a request.

        Raises:
            RequestError: an input does not fit and nothing says what to do with it, has no
                tokens or unknown ones, or the model has no prompt of the name that was asked for.
        """
        rows: list[tuple[int, ...]] = []
        weights: list[int] = []
        starts, truncated, windowed = [0], [], []
        room = self._room()
        for index, token_ids in enumerate(self._tokenized(request)):
            place = "input" if len(request.inputs) == 1 else f"input[{index}]"
            pieces = [(token_ids, max(1, len(token_ids)))]
            if room is not None and len(token_ids) > room:
                if request.windows:
                    windowed.append(index)
                    pieces = _windows(token_ids, room, place)
                else:
                    truncated.append(index)
                    pieces = [(self._truncated(token_ids, room, request, place), 1)]
            for piece, weight in pieces:
                rows.append((*self._before, *piece, *self._after))
                weights.append(weight)
                if not rows[-1]:
                    raise RequestError(f"`{place}` has no tokens, expected one", param=place)
            starts.append(len(rows))
        return Rows(
            token_ids=tuple(rows),
            weights=tuple(weights),
            starts=tuple(starts),
            prompt_tokens=sum(map(len, rows)),
            truncated=tuple(truncated),
            windowed=tuple(windowed),
        )

    def _room(self) -> int | None:
        if self._context_tokens is None:
            return None
        return max(1, self._context_tokens - len(self._before) - len(self._after))

    def _tokenized(self, request: EmbeddingRequest) -> list[Sequence[int]]:
        prompt = self._prompt(request.prompt_name)
        if request.prompt_name and not all(isinstance(each, str) for each in request.inputs):
            raise RequestError(
                "`prompt_name` is given, and an input is token ids: a prompt goes before a text",
                param="prompt_name",
                hint="leave `prompt_name` out, or send texts",
            )
        texts = [each for each in request.inputs if isinstance(each, str)]
        encoded = iter(self._encode([prompt + text for text in texts]) if texts else ())
        return [
            next(encoded) if isinstance(each, str) else self._checked(each, index)
            for index, each in enumerate(request.inputs)
        ]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if self._plan.lower_case:
            texts = [text.lower() for text in texts]
        # A lone surrogate has no UTF-8, which tokenizers are written for.
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        ids: list[list[int]] = self._tokenizer(
            texts, add_special_tokens=False, verbose=False, return_attention_mask=False
        )["input_ids"]
        return ids

    def _prompt(self, name: str | None) -> str:
        prompts = self._plan.prompts
        if name is None:
            return prompts.get(self._plan.default_prompt or "", "")
        if name not in prompts:
            known = ", ".join(f"`{each}`" for each in prompts)
            raise RequestError(
                f"the model has no prompt `{name}`",
                param="prompt_name",
                hint=f"it has {known}" if known else "leave `prompt_name` out: it has none",
            )
        return prompts[name]

    def _checked(self, token_ids: Input, index: int) -> Sequence[int]:
        numbers = [each for each in token_ids if isinstance(each, int)]
        largest = max(numbers, default=0)
        if largest >= self._vocabulary_tokens:
            raise RequestError(
                f"`input[{index}]` has the token id {largest}, but the model knows ids below "
                f"{self._vocabulary_tokens}",
                param=f"input[{index}]",
            )
        return numbers

    def _truncated(
        self, token_ids: Sequence[int], room: int, request: EmbeddingRequest, place: str
    ) -> Sequence[int]:
        if request.truncate == "end":
            return token_ids[:room]
        if request.truncate == "start":
            return token_ids[-room:]
        added = len(self._before) + len(self._after)
        raise RequestError(
            f"`{place}` has {len(token_ids) + added} tokens, but the model's context holds "
            f"{self._context_tokens}",
            param=place,
            code="context_length_exceeded",
            hint='shorten it, or send `"truncate": "end"` to cut it or `"windows": true` to embed '
            "all of it piece by piece",
        )


def _windows(token_ids: Sequence[int], room: int, place: str) -> list[tuple[Sequence[int], int]]:
    """Windows of `room` tokens with how many each is the first to hold."""
    step = max(1, room - room // OVERLAP_SHARE)
    count = 1 + -(-(len(token_ids) - room) // step)
    if count > MAX_WINDOWS:
        raise RequestError(
            f"`{place}` has {len(token_ids)} tokens, which are {count} windows; expected at most "
            f"{MAX_WINDOWS}",
            param=place,
            hint="split the input",
        )
    windows: list[tuple[Sequence[int], int]] = []
    held = 0
    for start in range(0, count * step, step):
        window = token_ids[start : start + room]
        windows.append((window, start + len(window) - held))
        held = start + len(window)
    return windows


def _special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and after a text."""
    bare = list(tokenizer(PROBE, add_special_tokens=False)["input_ids"])
    whole = list(tokenizer(PROBE)["input_ids"])
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return tuple(whole[:start]), tuple(whole[start + len(bare) :])
    raise CheckpointError(
        "the tokenizer changes a text when it adds its special tokens, which is not understood",
        hint="report it with the model's name",
    )
