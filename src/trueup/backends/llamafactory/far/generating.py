"""One answer of LlamaFactory's transformers engine, token by token.

LlamaFactory makes the prompt and the settings; `generate` is called as it would. So the tokens,
their number, the reason of their end are known, and it can be ended between two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .detokenizer import Detokenizer
from .faults import SpecFault
from .lines import Message

# Spreads (seed, position) over the generator's seeds; an odd constant of the golden ratio.
SPREAD = 0x9E3779B97F4A7C15
SEEDS = 2**63


def answer_by_generate(
    chat_model: Any, request: Message, emit: Callable[..., None], is_cancelled: Callable[[], bool]
) -> None:
    """Answer a request; with `continue_token_ids` the answer goes on after these."""
    import torch

    engine = chat_model.engine
    given = [int(token) for token in request.get("continue_token_ids") or ()]
    settings, prompt_tokens = engine._process_args(
        model=engine.model,
        tokenizer=engine.tokenizer,
        processor=engine.processor,
        template=engine.template,
        generating_args=engine.generating_args,
        messages=[dict(each) for each in request["messages"]],
        system=request.get("system"),
        tools=request.get("tools"),
        input_kwargs=dict(request.get("options") or {}),
    )
    config = settings["generation_config"]
    limit = _limit(engine, config, prompt_tokens)
    answer = _Answer(engine, config, given, emit, holds=bool(request.get("tools")))
    if len(given) < limit:
        config.max_new_tokens = limit - len(given)
        _continue(settings, given)
        settings.update(_watching(answer, is_cancelled, request.get("seed"), prompt_tokens))
        with torch.inference_mode():
            engine.model.generate(**settings)
    answer.end("cancelled" if is_cancelled() else None, prompt_tokens)


def _limit(engine: Any, config: Any, prompt_tokens: int) -> int:
    """How many tokens the whole answer may have.

    Raises: SpecFault where the prompt leaves no room for any.
    """
    limit = config.max_new_tokens or (config.max_length or 0) - prompt_tokens
    context = getattr(engine.model.config, "max_position_embeddings", None)
    if isinstance(context, int) and context > 0:
        limit = min(limit, context - prompt_tokens)
        if limit <= 0:
            raise SpecFault(
                "PromptTooLong", str(prompt_tokens), prompt_tokens=prompt_tokens,
                context_tokens=context,
            )  # fmt: skip
    return max(1, limit)


def _continue(settings: dict[str, Any], given: list[int]) -> None:
    """Put the tokens that are there after the prompt."""
    import torch

    if not given:
        return
    for name in ("inputs", "input_ids"):
        if (ids := settings.get(name)) is not None:
            more = torch.tensor([given], dtype=ids.dtype, device=ids.device)
            settings[name] = torch.cat([ids, more], dim=1)
            settings["attention_mask"] = torch.ones_like(settings[name])


def _watching(
    answer: _Answer, is_cancelled: Callable[[], bool], seed: int | None, prompt_tokens: int
) -> dict[str, Any]:
    """What is called after each token, and before each draw."""
    import torch
    from transformers import (
        LogitsProcessor,
        LogitsProcessorList,
        StoppingCriteria,
        StoppingCriteriaList,
    )

    class EachToken(StoppingCriteria):  # type: ignore[misc]
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            answer.push(int(input_ids[0, -1]))
            ends = is_cancelled()
            return torch.full((input_ids.shape[0],), ends, device=input_ids.device)

    class Seeded(LogitsProcessor):  # type: ignore[misc]
        # By position: an answer that goes on draws what it would have drawn undisturbed.
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            position = input_ids.shape[1] - prompt_tokens
            torch.manual_seed((int(seed or 0) * SPREAD + position) % SEEDS)
            return scores

    watching: dict[str, Any] = {"stopping_criteria": StoppingCriteriaList([EachToken()])}
    if seed is not None:
        watching["logits_processor"] = LogitsProcessorList([Seeded()])
    return watching


class _Answer:
    """What was made so far; `holds` tells nothing before the end, which may be a tool call."""

    def __init__(
        self, engine: Any, config: Any, given: list[int], emit: Callable[..., None], *, holds: bool
    ) -> None:
        skips = bool(getattr(config, "skip_special_tokens", True))

        def decode(tokens: list[int]) -> str:
            text: str = engine.tokenizer.decode(
                tokens, skip_special_tokens=skips, clean_up_tokenization_spaces=False
            )
            return text

        ends = config.eos_token_id
        self._ends = set(ends if isinstance(ends, (list, tuple)) else [ends])
        self._text = Detokenizer(decode, given)
        self._engine = engine
        self._emit = emit
        self._holds = holds
        self._made = len(given)
        self._is_ended = False

    def push(self, token: int) -> None:
        """Tell of a token."""
        self._made += 1
        if token in self._ends:
            self._is_ended = True
        else:
            self._tell(*self._text.push(token))

    def end(self, reason: str | None, prompt_tokens: int) -> None:
        """Tell of the end; `reason` None is found out."""
        self._tell(*self._text.rest())
        more: dict[str, Any] = {}
        if reason is None:
            reason = "stop" if self._is_ended else "length"
            if self._holds:
                calls = self._engine.template.extract_tool(self._text.text())
                if isinstance(calls, str):
                    self._emit("delta", text=calls, token_ids=list(self._text.tokens))
                else:
                    reason = "tool_calls"
                    more["tool_calls"] = [{"name": call[0], "arguments": call[1]} for call in calls]
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": self._made}
        self._emit("end", finish_reason=reason, usage=usage, **more)

    def _tell(self, text: str, tokens: list[int]) -> None:
        if text and not self._holds:
            self._emit("delta", text=text, token_ids=tokens)
