"""One request on its way through the model thread, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trueup.engines.base import Step
from trueup.errors import TrueUpError
from trueup.protocol.chat import ChatRequest
from trueup.protocol.completion import CompletionRequest
from trueup.protocol.embedding import EmbeddingRequest
from trueup.protocol.forecast import ForecastRequest
from trueup.worker.pipe import Pipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Request = ChatRequest | CompletionRequest | EmbeddingRequest | ForecastRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job's prompts are made and its first step is next."""

    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedded:
    """A job's last item: the vectors of its inputs (inputs x dimensions, fp32).

    `notes` lists the numbers of inputs that were truncated or embedded by windows.
    """

    vectors: NDArray[np.float32]
    prompt_tokens: int
    notes: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bar:
    """One more bar of a forecast, in the shape of its event."""

    shape: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecasted:
    """A job's last item: the whole forecast, in the shape of its answer."""

    shape: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A job's last item: it went wrong."""

    error: TrueUpError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A job's last item: every choice is complete."""


Item = Prepared | Step | Embedded | Bar | Forecasted | Failed | Finished


class Job:
    """One request; its items come through its pipe."""

    def __init__(self, request: Any, pipe: Pipe[Item]) -> None:
        self.request = request
        self.pipe = pipe
        self._is_cancelled = False

    def cancel(self) -> None:
        """Nobody wants the answer any more; called in any thread."""
        self._is_cancelled = True

    def is_cancelled(self) -> bool:
        """Whether the model thread may leave the job at its next step."""
        return self._is_cancelled
