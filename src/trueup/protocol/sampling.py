"""Sampling parameters of a request, shared by chat and completions; parsing only.

What they do to logits is `engines/sampling.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trueup.errors import RequestError
from trueup.protocol.fields import (
    Reader,
    anything,
    boolean,
    integer,
    number,
    read_fields,
    refuse,
    text,
    token_ids,
    unless,
)

MAX_CHOICES = 8
MAX_STOP_STRINGS = 16
SEED_LIMIT = 2**63

# The tokens that each choice to be made has already; the others are not made.
Resume = Mapping[int, tuple[int, ...]]
# As a client writes it: for each choice, or for the only one.
Given = tuple[int, ...] | dict[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when the answer ends.

    `temperature` 0 is greedy; `top_k` 0 keeps all; `max_tokens` counts the whole answer,
    continued tokens included, None where the client named no limit; `seed` None lets the
    engine draw one.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0


def _stop(param: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (text(param, value),)
    if not isinstance(value, list) or len(value) > MAX_STOP_STRINGS:
        refuse(param, value, f"a string or a list of at most {MAX_STOP_STRINGS} strings")
    return tuple(text(f"{param}[{index}]", each) for index, each in enumerate(value))


def _top_k(param: str, value: Any) -> int:
    # Both 0 and -1 mean "all" on other servers.
    return max(0, int(integer(-1)(param, value)))


STREAM_OPTIONS: dict[str, Reader] = {
    "include_usage": boolean,
    "include_obfuscation": unless(False),
}


def _stream_options(param: str, value: Any) -> bool:
    options = read_fields(value, STREAM_OPTIONS, place=param)
    return bool(options.get("include_usage", False))


def _given(param: str, value: Any) -> Given:
    if isinstance(value, list):
        return token_ids(param, value)
    if not isinstance(value, Mapping) or not value:
        refuse(param, value, 'token ids, or an object such as `{"0": [5, 6]}` for each choice')
    given = {}
    for name, each in value.items():
        if not _is_index(name):
            refuse(param, name, "the indices of choices as keys")
        given[int(name)] = token_ids(f"{param}.{name}", each)
    return given


def _is_index(name: str) -> bool:
    # "01" or a number of 5000 digits is nobody's index.
    return name.isascii() and name.isdecimal() and len(name) <= 6 and str(int(name)) == name


def _private(param: str, value: Any) -> Given | None:
    private = read_fields(value, {"continue_token_ids": _given}, place=param)
    given: Given | None = private.get("continue_token_ids")
    return given


# What chat and completions share; `stream_options` yields include_usage and `trueup` the ids.
SHARED_READERS: dict[str, Reader] = {
    "model": text,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_k": _top_k,
    "max_tokens": integer(1),
    "stop": _stop,
    "seed": integer(-SEED_LIMIT, SEED_LIMIT - 1),
    "n": integer(1, MAX_CHOICES),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "stream": boolean,
    "stream_options": _stream_options,
    "trueup": _private,
    "user": anything,
    "metadata": anything,
    "store": anything,
    "logit_bias": unless({}),
}


def sampling_of(values: Mapping[str, Any]) -> Sampling:
    """The sampling parameters among fields that were read.

    Raises:
        RequestError: `top_p` is 0.
    """
    top_p = values.get("top_p", 1.0)
    if top_p == 0:
        refuse("top_p", 0, "a number above 0 and up to 1")
    return Sampling(
        temperature=values.get("temperature", 1.0),
        top_p=top_p,
        top_k=values.get("top_k", 0),
        max_tokens=values.get("max_completion_tokens", values.get("max_tokens")),
        stop=values.get("stop", ()),
        seed=values.get("seed"),
        n=values.get("n", 1),
        presence_penalty=values.get("presence_penalty", 0.0),
        frequency_penalty=values.get("frequency_penalty", 0.0),
    )


def resume_of(values: Mapping[str, Any], *, choices: int) -> Resume | None:
    """What is there already of the choices that are to be made, None where all are made anew.

    Raises:
        RequestError: a choice is none of the request's, or a plain list is to continue one of
            several.
    """
    given: Given | None = values.get("trueup")
    param = "trueup.continue_token_ids"
    if not given:
        return None
    if isinstance(given, tuple):
        if choices > 1:
            refuse(param, list(given), f"an object: the answer has {choices} choices")
        return {0: given}
    if (last := max(given)) >= choices:
        refuse(param, str(last), f"indices of choices below {choices}")
    return given


def stream_of(body: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether to stream, and whether the stream ends with a usage chunk.

    Raises:
        RequestError: `stream_options` without `stream`.
    """
    stream = values.get("stream", False)
    if body.get("stream_options") is not None and not stream:
        raise RequestError(
            "`stream_options` is given, but `stream` is not `true`",
            param="stream_options",
            hint="set `stream` to `true` or leave `stream_options` out",
        )
    return stream, values.get("stream_options", False)


def required(values: Mapping[str, Any], name: str) -> Any:
    """A field that was read.

    Raises:
        RequestError: it is absent or null.
    """
    value = values.get(name)
    if value is None:
        raise RequestError(f"`{name}` is missing", param=name, code="missing_required_parameter")
    return value
