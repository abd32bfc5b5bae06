"""Text completions on the wire: the request, parsed, and the shapes of answers and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trueup.protocol.answer import answer_body
from trueup.protocol.fields import Reader, integer, read_fields, refuse, token_ids, unless
from trueup.protocol.sampling import (
    SHARED_READERS,
    Resume,
    Sampling,
    required,
    resume_of,
    sampling_of,
    stream_of,
)

# OpenAI's default, unlike that of chat; clients rely on it.
DEFAULT_MAX_TOKENS = 16
MAX_PROMPTS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest:
    """A checked request of /v1/completions; each prompt is a text or token ids.

    Prompt number p has the choices p * n … p * n + n - 1. `resume`: only these choices are made,
    each after the answer tokens that the client has of it already; None makes all.
    """

    model: str
    prompts: tuple[str | tuple[int, ...], ...]
    sampling: Sampling = field(default_factory=Sampling)
    stream: bool = False
    include_usage: bool = False
    resume: Resume | None = None


def _prompts(param: str, value: Any) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(value, str):
        return (value,)
    expected = "a string, token ids, or a list of either that is not empty"
    if not isinstance(value, list) or not value:
        refuse(param, value, expected)
    if isinstance(value[0], int):
        return (token_ids(param, value),)
    if len(value) > MAX_PROMPTS:
        refuse(f"len({param})", len(value), f"at most {MAX_PROMPTS} prompts")
    prompts: list[str | tuple[int, ...]] = []
    for index, each in enumerate(value):
        place = f"{param}[{index}]"
        if isinstance(each, list) and each:
            prompts.append(token_ids(place, each))
        elif isinstance(each, str):
            prompts.append(each)
        else:
            refuse(place, each, "a string or token ids")
    return tuple(prompts)


READERS: dict[str, Reader] = {
    **SHARED_READERS,
    "prompt": _prompts,
    "max_completion_tokens": integer(1),
    "best_of": unless(1),
    "echo": unless(False),
    "logprobs": unless(),
    "suffix": unless(""),
}


def parse_completion_request(body: Mapping[str, Any]) -> CompletionRequest:
    """Check the JSON body of a request; null means absent.

    Raises:
        RequestError: a field is missing, out of range, unknown or not supported; `param`
            names it.
    """
    values = read_fields(body, READERS)
    prompts = required(values, "prompt")
    if "max_completion_tokens" not in values:
        values.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    stream, include_usage = stream_of(body, values)
    sampling = sampling_of(values)
    return CompletionRequest(
        model=required(values, "model"),
        prompts=prompts,
        sampling=sampling,
        stream=stream,
        include_usage=include_usage,
        resume=resume_of(values, choices=len(prompts) * sampling.n),
    )


def completion_response(
    *,
    id: str,
    created: int,
    model: str,
    choices: Mapping[int, tuple[str, str]],
    usage: Mapping[str, int],
) -> dict[str, Any]:
    """A whole answer; `choices` are (text, finish_reason) by their index."""
    rows = [
        {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
        for index, (text, finish_reason) in sorted(choices.items())
    ]
    return answer_body(id, "text_completion", created, model, rows, usage)


def completion_chunk(
    *,
    id: str,
    created: int,
    model: str,
    index: int,
    text: str,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    """One chunk of one choice."""
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
    return answer_body(id, "text_completion", created, model, [choice])


def completion_usage_chunk(
    *, id: str, created: int, model: str, usage: Mapping[str, int]
) -> dict[str, Any]:
    """The last chunk of a stream with `include_usage`: no choices."""
    return answer_body(id, "text_completion", created, model, [], usage)
