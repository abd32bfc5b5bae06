"""A client's request in the terms of one backend: passed, translated, emulated, dropped, refused.

What a backend takes is data (`Accepts`) and what was learned of it; what becomes of the rest
stands in `policies.py`. Where nothing has to change, the client's bytes go on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trueup.backends.base import Backend
from trueup.config.settings import ClientProfile
from trueup.errors import RequestError
from trueup.gateway.clamp import check_room, clamped
from trueup.gateway.emulation import Verify, both, emulate_response_format, emulate_tool_choice
from trueup.gateway.policies import (
    ABOUT_TOOLS,
    DROPPED_FIRST,
    GOES_WITH,
    NEVER_DROPPED,
    POLICIES,
    SUCCESSOR,
    is_neutral,
)
from trueup.gateway.request_checks import check_request, check_stop
from trueup.protocol.sampling import MAX_CHOICES

# A cut holds back what may begin a stop string; nobody stops at a page of text.
MAX_STOP_CHARACTERS = 1000


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
        if not profile.clamps_max_tokens:
            check_room(shape, capabilities.context_tokens)
    accepts = capabilities.accepts
    untaken = accepts.unsupported.union(lessons) if lessons else accepts.unsupported
    named = [
        name
        for name in shape
        if name in untaken or name in accepts.ignored or name in accepts.renamed
    ]
    has_developer = "developer" in untaken and _has_developer(shape)
    limits = clamped(shape, profile, capabilities.context_tokens)
    is_renamed = backend.model is not None and backend.model != shape.get("model")
    if not (named or has_developer or limits or is_renamed):
        return UNCHANGED
    adapting = _Adapting(dict(shape), backend)
    if is_renamed:
        adapting.shape["model"] = backend.model
    for name, tokens in limits.items():
        adapting.limit(name, tokens)
    if has_developer:
        adapting.rename_developer()
    adapting.offer_no_tools(named)
    # Tools first: what is about them goes with them.
    for name in sorted(named, key=lambda name: name not in ABOUT_TOOLS):
        adapting.take(name, is_ignored=name not in untaken)
    if is_strict and adapting.lost:
        name = adapting.lost[0]
        raise RequestError(
            f"`{backend.name}` does not take `{name}`, and the request is strict",
            param=name,
            code="unsupported_parameter",
            hint=f"leave `{name}` out, or have neither the header X-TrueUp-Strict nor "
            "`server.strict` ask for that",
        )
    return adapting.adapted()


class _Adapting:
    """One request on its way to being what a backend takes."""

    def __init__(self, shape: dict[str, Any], backend: Backend) -> None:
        self.shape = shape
        self.dropped: list[str] = []
        # What was asked for and is not done: under another name or by the gateway it would be.
        self.lost: list[str] = []
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
        if name not in self.shape:  # went with another one
            return
        value = self.shape[name]
        asks_nothing = is_neutral(name, value)
        if value is None:
            if not is_ignored:
                del self.shape[name]
        elif is_ignored and asks_nothing:
            pass
        elif name in self._accepts.renamed:
            self._rename(name, self._accepts.renamed[name])
        elif asks_nothing:
            self._drop(name)
        elif self._may_drop(name):
            self._lose(name)
        elif POLICIES.get(name) == "emulate":
            self._emulate(name, value)
        elif POLICIES.get(name) == "refuse":
            raise self._refused(name)
        elif name not in NEVER_DROPPED:
            self._lose(name)

    def offer_no_tools(self, named: Collection[str]) -> None:
        """Where tools are not to be called and anything about them is not taken: none are sent."""
        for tools, (choice, *_) in ABOUT_TOOLS.items():
            if self.shape.get(choice) == "none" and (tools in named or choice in named):
                for name in (tools, *ABOUT_TOOLS[tools]):
                    self.shape.pop(name, None)
                self.dropped.append(choice)

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
            if self.shape.get("echo"):
                raise self._refused(name, "with `echo` ")
            self._stop = self._cut_at(value)
            self._drop(name)
        elif name == "n":
            if _has_several_prompts(self.shape):
                raise self._refused(name, "with several prompts ")
            if self.shape.get("best_of"):
                raise self._refused(name, "with `best_of` ")
            if value > MAX_CHOICES:
                raise RequestError(
                    f"`n` is {value}, expected at most {MAX_CHOICES} where `{self._backend.name}` "
                    "has to be asked for each answer on its own",
                    param="n",
                    code="unsupported_parameter",
                )
            self._requests = value
            self._drop(name)
        elif name in SUCCESSOR:
            self._rename(name, SUCCESSOR[name])
        elif name == "tool_choice":
            self._verify = both(self._verify, emulate_tool_choice(self.shape))
            self.dropped.append(name)
        elif name == "response_format":
            if "messages" not in self.shape:  # there is no place for the words
                raise self._refused(name)
            self._verify = both(self._verify, emulate_response_format(self.shape))
            self.dropped.append(name)

    def _cut_at(self, value: Any) -> tuple[str, ...]:
        check_stop("stop", value)
        stops = (value,) if isinstance(value, str) else tuple(value)
        if (longest := max(map(len, stops), default=0)) > MAX_STOP_CHARACTERS:
            raise RequestError(
                f"`stop` has a string of {longest} characters, expected at most "
                f"{MAX_STOP_CHARACTERS} where the gateway cuts for `{self._backend.name}`",
                param="stop",
                code="unsupported_parameter",
            )
        return stops

    def _may_drop(self, name: str) -> bool:
        """Whether the operator allows it, although the answer may be another one then."""
        is_asked = POLICIES.get(name) == "refuse" or name in DROPPED_FIRST
        return is_asked and name in self._accepts.droppable

    def _refused(self, name: str, when: str = "") -> RequestError:
        return RequestError(
            f"`{self._backend.name}` does not support `{name}` {when}and without it the answer "
            "would be another one",
            param=name,
            code="unsupported_parameter",
            hint=f"leave `{name}` out{self._allowing(name)}",
        )

    def _allowing(self, name: str) -> str:
        """How the operator may have it dropped for everybody, where that is possible."""
        if POLICIES.get(name) != "refuse" and name not in DROPPED_FIRST:
            return ""
        return f"; the operator may allow that for all: `drop: [{name}]` under `backends`"

    def _lose(self, name: str) -> None:
        self.lost.append(name)
        self._drop(name)

    def _drop(self, name: str) -> None:
        del self.shape[name]
        self.dropped.append(name)
        if (rest := GOES_WITH.get(name)) in self.shape:
            self._drop(rest)
        for other in ABOUT_TOOLS.get(name, ()):
            value = self.shape.get(other)
            if value is None or is_neutral(other, value) or other == "parallel_tool_calls":
                self.shape.pop(other, None)
            elif self._may_drop(other):
                self._lose(other)
            else:  # a call was asked for, and there is nothing to call
                raise self._refused(other)

    def _rename(self, old: str, new: str) -> None:
        value = self.shape.pop(old)
        if old == "max_completion_tokens" or self.shape.get(new) is None:  # the newer name wins
            self.shape[new] = value
        self.dropped.append(f"{old}={new}")


def _has_several_prompts(shape: Mapping[str, Any]) -> bool:
    prompt = shape.get("prompt")
    return isinstance(prompt, list) and len(prompt) > 1 and not isinstance(prompt[0], int)


def _has_developer(shape: Mapping[str, Any]) -> bool:
    messages = shape.get("messages")
    return isinstance(messages, list) and any(
        isinstance(each, dict) and each.get("role") == "developer" for each in messages
    )
