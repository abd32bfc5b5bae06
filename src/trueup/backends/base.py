"""What the gateway asks: one narrow seam in front of every model, ours or another's.

Shapes only. Whatever the far end speaks, a backend yields OpenAI's wire as bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from trueup.events import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do; the defaults are the safe answers.

    `continues`: an answer can be resumed from its token ids. `end_of_answer`: what tells a
    complete answer from a cut one.
    """

    streams: bool = True
    tools: bool = False
    continues: bool = False
    end_of_answer: Literal["finish_reason", "done"] = "finish_reason"


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendResponse:
    """Status and lower-cased headers, and the body in pieces of any size.

    Iterating `body` raises BackendError where the connection fails.
    """

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a backend is; what it does not know is None."""

    state: State
    progress: float | None = None
    memory_bytes: int | None = None
    queued: int = 0
    leases: int = 0
    idle_seconds: float | None = None
    pid: int | None = None
    last_error: str | None = None


class Backend(Protocol):
    """Anything that the gateway can ask."""

    @property
    def name(self) -> str:
        """The name in the configuration, in headers and in errors."""

    @property
    def capabilities(self) -> Capabilities:
        """What may be asked of it."""

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
