"""What an answer is when nothing happens to it, computed in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.pool.processes import events_of
from tests.resume.recording import RecordingEngine
from trueup.adapt.load import load_plan
from trueup.adapt.plan import Plan
from trueup.adapt.planning import plan_model
from trueup.adapt.wishes import Wishes
from trueup.protocol.chat import ChatRequest, parse_chat_request
from trueup.protocol.completion import CompletionRequest, parse_completion_request
from trueup.worker.answer import Answer

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """An answer by its choices; `chunks` are those with text, as (choice, tokens by then).

    The text that comes with the very last token is left out of `chunks`.
    """

    prompts: Sequence[Sequence[int]]
    tokens: Sequence[Sequence[int]]
    texts: Sequence[str]
    reasons: Sequence[str]
    chunks: Sequence[tuple[int, int]]

    @property
    def usage(self) -> Mapping[str, int]:
        prompt = sum(map(len, self.prompts))
        answer = sum(map(len, self.tokens))
        return {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
        }

    def prompt_of(self, choice: int) -> Sequence[int]:
        return self.prompts[choice * len(self.prompts) // len(self.tokens)]


@cache
def demo_plan(dtype: str) -> Plan:
    return plan_model("demo", Wishes(dtype=dtype))


@cache
def engine() -> RecordingEngine:
    """The demo model in fp32."""
    return RecordingEngine(load_plan(demo_plan("float32")))


def parsed(path: str, body: Mapping[str, Any]) -> ChatRequest | CompletionRequest:
    return parse_chat_request(body) if path == CHAT else parse_completion_request(body)


def undisturbed(path: str, body: Mapping[str, Any]) -> Undisturbed:
    """Answer a request with the engine alone."""
    request = parsed(path, body)
    prompts = engine().prepare(request)
    choices = len(prompts) * request.sampling.n
    tokens: list[list[int]] = [[] for _ in range(choices)]
    texts, reasons = [""] * choices, [""] * choices
    chunks = []
    answer = Answer(request)
    for prompt in prompts:
        for step in engine().generate(prompt, request, lambda: False):
            tokens[step.choice] += step.token_ids
            texts[step.choice] += step.text
            reasons[step.choice] = step.finish_reason or ""
            is_last = step.choice == choices - 1 and step.finish_reason is not None
            for chunk in events_of(answer.events(step)):
                if text_of(chunk["choices"][0]) and not is_last:
                    chunks.append((step.choice, len(tokens[step.choice])))
    return Undisturbed(
        prompts=[prompt.token_ids for prompt in prompts],
        tokens=tokens,
        texts=texts,
        reasons=reasons,
        chunks=chunks,
    )


def text_of(choice: Mapping[str, Any]) -> str:
    """The text of a chunk's choice, of either API."""
    text: str = choice["delta"].get("content", "") if "delta" in choice else choice["text"]
    return text


@torch.inference_mode()
def teacher_forced(prompt: Sequence[int], answer: Sequence[int]) -> NDArray[np.float32]:
    """The logits of every step of an answer, from one pass without a cache."""
    ids = torch.tensor([[*prompt, *answer[:-1]]])
    logits = engine()._model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 :]
    array: NDArray[np.float32] = logits.float().numpy()
    return array
