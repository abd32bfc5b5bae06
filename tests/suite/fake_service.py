"""A service that answers from a script, without a server (see `trueup.suite.service`)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trueup.errors import BackendError
from trueup.suite.service import MemoryUsed, Said

Vector = Callable[[str, int], Sequence[float]]


@dataclass
class FakeService:
    """`answers` has a model's answer by the last message, or one for all under "".

    What is not there is an error. `vector` makes a text's numbers, with the number of the call.
    """

    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: float = 0.1
    first_seconds: float | None = 0.05
    finish_reason: str = "stop"
    vector: Vector = lambda text, call: (float(len(text)), 1.0)
    memories: list[MemoryUsed | None] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    max_tokens: list[int] = field(default_factory=list)
    hangs: bool = False

    async def answer(
        self, model: str, messages: Sequence[Mapping[str, str]], *, max_tokens: int
    ) -> Said:
        return await self.complete(model, messages[-1]["content"], max_tokens=max_tokens)

    async def complete(self, model: str, prompt: str, *, max_tokens: int) -> Said:
        self.asked.append((model, prompt))
        self.max_tokens.append(max_tokens)
        if self.hangs:
            await asyncio.Event().wait()
        known = self.answers.get(model)
        if known is None:
            raise BackendError(
                f"`{model}` cannot be loaded", retryable=False, where="here", hint="mend it"
            )
        return Said(
            text=known.get(prompt, known.get("", "")),
            seconds=self.seconds,
            first_seconds=self.first_seconds,
            finish_reason=self.finish_reason,
        )

    async def embed(self, model: str, texts: Sequence[str]) -> list[bytes]:
        call = len(self.asked)
        self.asked.append((model, texts[-1]))
        vectors = [self.vector(text, call) for text in texts]
        return [struct.pack(f"<{len(each)}f", *each) for each in vectors]

    async def forecast(self, model: str, candles: object) -> int:
        self.asked.append((model, "candles"))
        return 1

    async def memory(self, model: str) -> MemoryUsed | None:
        return self.memories.pop(0) if len(self.memories) > 1 else next(iter(self.memories), None)
