"""What may be asked of a model that LlamaFactory runs for us."""

from __future__ import annotations

from dataclasses import fields, replace

from trueup.backends.base import Accepts, Capabilities, Limits
from trueup.config.llamafactory_settings import ANSWER_SECONDS, LlamaFactorySettings

LIMITS = Limits(
    connect_seconds=30.0,
    first_token_seconds=ANSWER_SECONDS,
    between_tokens_seconds=60.0,
    total_seconds=ANSWER_SECONDS,
)
# What the gateway emulates where that is exact, and else drops or refuses with a reason.
UNSUPPORTED = frozenset(
    {"n", "stop", "tool_choice", "parallel_tool_calls", "functions", "function_call",
     "response_format", "logit_bias", "logprobs", "top_logprobs", "presence_penalty",
     "frequency_penalty"}
)  # fmt: skip

# What is said of a program that takes no hook.
PLAIN = (
    "llamafactory-cli answers over plain pipes: one line a message, its own settings of sampling, "
    "no usage"
)


def capabilities_of(settings: LlamaFactorySettings) -> Capabilities:
    """What is known before it is loaded."""
    told = {
        each.name: value
        for each in fields(settings.limits)
        if (value := getattr(settings.limits, each.name)) is not None
    }
    # Only its engine of transformers tells tokens and can be seeded for each.
    is_stepped = settings.mode != "api" and settings.infer_backend == "huggingface"
    return Capabilities(
        continuation="token_ids" if is_stepped else "none",
        takes_seed=is_stepped,
        queues=True,
        context_tokens=settings.context_tokens,
        accepts=Accepts(unsupported=UNSUPPORTED),
        limits=replace(LIMITS, **told),
    )
