"""What a suite asks of the server under test; a client of the commands, or a stand-in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A whole answer; seconds are from the request to its first text and to its end.

    `first_seconds` is None where no text came.
    """

    text: str
    seconds: float
    first_seconds: float | None
    finish_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUsed:
    """What a loaded model holds now; None is not known, or none."""

    host_private_bytes: int | None
    device_bytes: int | None


class Service(Protocol):
    """Asks one server; every method raises TrueUpError where there is no proper answer."""

    async def answer(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int
    ) -> Said:
        """A chat answer, greedy."""

    async def complete(self, model: str, prompt: str, *, max_tokens: int) -> Said:
        """A text completion, greedy."""

    async def embed(self, model: str, texts: Sequence[str]) -> list[bytes]:
        """A vector of little-endian fp32 for each text."""

    async def forecast(self, model: str, candles: Mapping[str, Any]) -> int:
        """How many bars come after the candles, of a series as /v1/forecasts takes it."""

    async def memory(self, model: str) -> MemoryUsed | None:
        """What a model of the server's own holds; None where it is not loaded or not known."""
