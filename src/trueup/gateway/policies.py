"""What becomes of each parameter that a backend does not take, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Policy = Literal["drop", "emulate", "refuse"]

# What becomes of a parameter that a backend does not take. Dropped ones change what is told or
# how words are drawn, not what was asked for; all others that nobody knows are dropped too.
POLICIES: Mapping[str, Policy] = {
    "stop": "emulate",
    "n": "emulate",
    "tool_choice": "emulate",
    "response_format": "emulate",
    "max_completion_tokens": "emulate",
    "max_tokens": "emulate",
    "developer": "emulate",
    "tools": "refuse",
    "functions": "refuse",
    "function_call": "refuse",
    "logit_bias": "refuse",
    "modalities": "refuse",
    "audio": "refuse",
    "web_search_options": "refuse",
    "suffix": "refuse",
    "echo": "refuse",
    "dimensions": "refuse",
    "logprobs": "drop",
    "top_logprobs": "drop",
    "parallel_tool_calls": "drop",
    "stream_options": "drop",
    "seed": "drop",
    "temperature": "drop",
    "top_p": "drop",
    "top_k": "drop",
    "presence_penalty": "drop",
    "frequency_penalty": "drop",
    "user": "drop",
    "metadata": "drop",
    "store": "drop",
    "service_tier": "drop",
    "reasoning_effort": "drop",
    "encoding_format": "drop",
}
NEVER_DROPPED = frozenset({"model", "messages", "prompt", "input", "max_tokens", "stream"})
# Where the operator allows to drop these, they are not emulated: a checked answer is not streamed.
DROPPED_FIRST = frozenset({"tool_choice", "response_format"})
# Values that ask for nothing: a backend that ignores the parameter does as it is told.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "tool_choice": ("auto",),
    "function_call": ("auto",),
    "parallel_tool_calls": (True,),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "stream_options": ({}, {"include_usage": False}),
    "tools": ([],),
    "functions": ([],),
    "modalities": (["text"],),
    "stop": ([], ""),
    "suffix": ("",),
    "echo": (False,),
    "store": (False,),
}
# What has no meaning without the tools that it is about.
ABOUT_TOOLS: Mapping[str, tuple[str, ...]] = {
    "tools": ("tool_choice", "parallel_tool_calls"),
    "functions": ("function_call",),
}
# … and without the parameter that it is about.
GOES_WITH: Mapping[str, str] = {"logprobs": "top_logprobs"}
SUCCESSOR = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}


def is_neutral(name: str, value: Any) -> bool:
    """Whether a value asks for nothing."""
    # `0 == False` in Python: the type must fit as well.
    return any(type(value) is type(each) and value == each for each in NEUTRAL.get(name, ()))
