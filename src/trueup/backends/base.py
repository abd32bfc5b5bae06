"""What the gateway asks: one narrow seam in front of every model, ours or another's.

Shapes only. Whatever the far end speaks, a backend yields OpenAI's wire as bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from trueup.events import State

EndOfAnswer = Literal["finish_reason", "done", "end"]
Continuation = Literal["none", "token_ids", "continue_final_message", "prefix"]
# Takes a piece of a body; False to be given no more.
Take = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a backend may take: to connect, to begin, between two events, for all of it.

    What makes progress is events with data; heartbeats and single bytes are none.
    """

    connect_seconds: float = 5.0
    first_token_seconds: float = 60.0
    between_tokens_seconds: float = 30.0
    total_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """What a backend does with parameters; names are OpenAI's, as in a request's body.

    `unsupported` it rejects; `ignored` it takes without effect, which is worse: both are
    emulated, dropped or refused in the gateway. `renamed` maps a name to the one that it knows.
    `droppable` may be dropped although that changes the answer: the operator said so.
    """

    unsupported: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    droppable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do and how it behaves; the defaults are the safe answers.

    `continuation`: how it is asked to go on with a partial answer; `is_exact`: what it goes on
    with is what it would have said undisturbed. `end_of_answer`: what tells a complete answer
    from a cut one: a finish reason for each choice, `[DONE]`, or an orderly end of the body.
    `takes_seed`: the same seed gives the same answer. `asks_again`: a broken answer may be asked
    for a second time (false where that costs money and nobody allowed it). `whole_by_stream`:
    whole answers are asked for as streams, because leaving those is what stops it. `queues`: it
    has waited for room before it says that there is none. `recovery_seconds`: how long it takes
    to come back after it lost its engine.
    """

    streams: bool = True
    continuation: Continuation = "none"
    is_exact: bool = False
    end_of_answer: EndOfAnswer = "finish_reason"
    takes_seed: bool = False
    asks_again: bool = True
    whole_by_stream: bool = False
    queues: bool = False
    recovery_seconds: float = 0.0
    context_tokens: int | None = None
    accepts: Accepts = field(default_factory=Accepts)
    limits: Limits = field(default_factory=Limits)


@dataclass(slots=True, kw_only=True)
class BackendRequest:
    """One request as it goes on the wire; `body` is JSON and never logged.

    `client` tells one asker from another where they have to queue, and nothing else.
    `on_sent` is called when the backend has its turn and gets the request: what passed until
    then was a queue or a load, what passes from then on is its own silence.
    """

    request_id: str
    path: str
    body: bytes = field(repr=False)
    is_stream: bool
    client: str = field(default="", repr=False)
    on_sent: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


@dataclass(slots=True, kw_only=True)
class BackendResponse:
    """Status and lower-cased headers, and the body in pieces of any size.

    Iterating `body` raises BackendError where the connection fails. `pump`, where a backend has
    it, hands the pieces to a callable as they come, without a task's turn for each, until that
    returns False; it returns whether the body came to its end. `body` then goes on from there.
    `is_framed` false: the body ends with its connection, as it does where the server is killed.
    """

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]
    pump: Callable[[Take], Awaitable[bool]] | None = None
    is_framed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a backend is; what it does not know is None.

    `memory_bytes` is the host's, `device_bytes` the GPUs'.
    """

    state: State
    progress: float | None = None
    memory_bytes: int | None = None
    device_bytes: int | None = None
    queued: int = 0
    leases: int = 0
    idle_seconds: float | None = None
    pid: int | None = None
    last_error: str | None = None
    version: str | None = None


class Backend(Protocol):
    """Anything that the gateway can ask."""

    @property
    def name(self) -> str:
        """The name in the configuration, in headers and in errors."""

    @property
    def capabilities(self) -> Capabilities:
        """What may be asked of it."""

    @property
    def model(self) -> str | None:
        """The model's name at the far end; None where it is asked under the caller's."""

    @property
    def version(self) -> str | None:
        """What the far end calls its version, as far as it has said so."""

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """See, before it is asked (and loaded), that it can answer such a request.

        Raises:
            RequestError: it cannot; `param` names the field.
        """

    def conceal(self, text: str) -> str:
        """The text without the key that it is asked with, which some servers repeat."""

    def open(self, request: BackendRequest) -> AbstractAsyncContextManager[BackendResponse]:
        """Ask; entering waits for status and headers (and a load), leaving cancels.

        Raises:
            CapacityError: it has no room now.
            BackendError: it could not be reached or did not answer.
        """

    async def health(self) -> Health:
        """How it is now; never loads anything and never raises."""

    async def close(self) -> None:
        """Give back what it holds."""
