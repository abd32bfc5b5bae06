"""A client's request in the terms of one backend: passed, translated, emulated, dropped, refused.

What a backend takes is data (`Accepts`) and what was learned of it; what becomes of a parameter
that it does not take is the table below. Where nothing has to change, the client's bytes go on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trueup.backends.base import Backend
from trueup.config.settings import ClientProfile
from trueup.errors import RequestError
from trueup.gateway.emulation import Verify, both, emulate_response_format, emulate_tool_choice
from trueup.gateway.request_checks import check_request

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
# Values that ask for nothing: a backend that ignores the parameter does as it is told.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "tool_choice": ("auto",),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "stop": ([],),
    "suffix": ("",),
    "echo": (False,),
}
SUCCESSOR = {"max_completion_tokens": "max_tokens", "max_tokens": "max_completion_tokens"}
# Bytes of a prompt for each of its tokens, at least; an estimate on the safe side.
BYTES_PER_TOKEN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """A request as one backend gets it; `shape` None lets the original bytes go.

    `dropped` has names, and `old=new` for translations. The gateway cuts at `stop`, sends
    `requests` requests of one choice each, and has every message pass `verify` before anything
    is sent.
    """

    shape: dict[str, Any] | None = None
    dropped: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    requests: int = 1
    verify: Verify | None = None


UNCHANGED = Adapted()


def adapt(
    path: str,
    shape: Mapping[str, Any],
    backend: Backend,
    *,
    lessons: Collection[str] = (),
    profile: ClientProfile,
    is_strict: bool,
) -> Adapted:
    """The request for a backend.

    Raises:
        RequestError: it is wrong for every backend, or asks for what this one cannot do.
    """
    capabilities = backend.capabilities
    if not capabilities.queues:  # our own workers read more strictly than this
        check_request(path, shape)
    accepts = capabilities.accepts
    untaken = accepts.unsupported.union(lessons)
    named = [
        name
        for name in shape
        if name in untaken or name in accepts.ignored or name in accepts.renamed
    ]
    has_developer = "developer" in untaken and _has_developer(shape)
    clamped = _clamped(shape, profile, capabilities.context_tokens)
    is_renamed = backend.model is not None and backend.model != shape.get("model")
    if not (named or has_developer or clamped or is_renamed):
        return UNCHANGED
    adapting = _Adapting(dict(shape), backend)
    if is_renamed:
        adapting.shape["model"] = backend.model
    for name, tokens in clamped.items():
        adapting.limit(name, tokens)
    if has_developer:
        adapting.rename_developer()
    for name in named:
        adapting.take(name, is_ignored=name not in untaken)
    if is_strict and adapting.dropped:
        name = adapting.dropped[0].partition("=")[0]
        raise RequestError(
            f"`{backend.name}` does not take `{name}`, and the request is strict",
            param=name,
            code="unsupported_parameter",
            hint=f"leave `{name}` out, or ask without X-TrueUp-Strict",
        )
    return adapting.adapted()


class _Adapting:
    """One request on its way to being what a backend takes."""

    def __init__(self, shape: dict[str, Any], backend: Backend) -> None:
        self.shape = shape
        self.dropped: list[str] = []
        self._backend = backend
        self._accepts = backend.capabilities.accepts
        self._stop: tuple[str, ...] = ()
        self._requests = 1
        self._verify: Verify | None = None

    def adapted(self) -> Adapted:
        return Adapted(
            shape=self.shape,
            dropped=tuple(self.dropped),
            stop=self._stop,
            requests=self._requests,
            verify=self._verify,
        )

    def take(self, name: str, *, is_ignored: bool) -> None:
        """Do with one parameter what its policy says."""
        value = self.shape.get(name)
        if name not in self.shape:  # went with another one
            return
        if value is None or (is_ignored and value in NEUTRAL.get(name, ())):
            if value is None and not is_ignored:
                del self.shape[name]
            return
        if name in self._accepts.renamed:
            self._rename(name, self._accepts.renamed[name])
        elif value in NEUTRAL.get(name, ()):
            self._drop(name)
        elif POLICIES.get(name) == "emulate":
            self._emulate(name, value)
        elif POLICIES.get(name) == "refuse" and name not in self._accepts.droppable:
            raise RequestError(
                f"`{self._backend.name}` does not support `{name}`, and without it the answer "
                "would be another one",
                param=name,
                code="unsupported_parameter",
                hint=f"leave `{name}` out; the operator may allow that for all: "
                f"`drop: [{name}]` under `backends`",
            )
        elif name not in NEVER_DROPPED:
            self._drop(name)

    def limit(self, name: str, tokens: int | None) -> None:
        """Another limit of tokens, or none."""
        if tokens is None:
            del self.shape[name]
        else:
            self.shape[name] = tokens

    def rename_developer(self) -> None:
        """`developer` messages under the older name of their role."""
        self.shape["messages"] = [
            {**each, "role": "system"}
            if isinstance(each, dict) and each.get("role") == "developer"
            else each
            for each in self.shape["messages"]
        ]
        self.dropped.append("developer=system")

    def _emulate(self, name: str, value: Any) -> None:
        if name == "stop":
            self._stop = (value,) if isinstance(value, str) else tuple(value)
            self._drop(name)
        elif name == "n":
            self._requests = value
            self._drop(name)
        elif name in SUCCESSOR:
            self._rename(name, SUCCESSOR[name])
        elif name == "tool_choice":
            self._verify = both(self._verify, emulate_tool_choice(self.shape))
            self.dropped.append(name)
        else:
            self._verify = both(self._verify, emulate_response_format(self.shape))
            self.dropped.append(name)

    def _drop(self, name: str) -> None:
        del self.shape[name]
        self.dropped.append(name)

    def _rename(self, old: str, new: str) -> None:
        value = self.shape.pop(old)
        self.shape.setdefault(new, value)
        self.dropped.append(f"{old}={new}")


def _clamped(
    shape: Mapping[str, Any], profile: ClientProfile, context_tokens: int | None
) -> dict[str, int | None]:
    """Limits of tokens that cannot go as they are: null ones, and for some clients large ones."""
    changed: dict[str, int | None] = {}
    for name in SUCCESSOR:
        if name not in shape:
            continue
        value = shape[name]
        if value is None:
            changed[name] = None
        elif profile.clamps_max_tokens and context_tokens is not None:
            room = max(
                1,
                context_tokens - len(str(shape.get("messages") or "").encode()) // BYTES_PER_TOKEN,
            )
            if value > room:
                changed[name] = room
    return changed


def _has_developer(shape: Mapping[str, Any]) -> bool:
    messages = shape.get("messages")
    return isinstance(messages, list) and any(
        isinstance(each, dict) and each.get("role") == "developer" for each in messages
    )
