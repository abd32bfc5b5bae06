"""An embedder without a model: a hashed bag of tokens, the same in every process."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import AsyncIterator, Sequence

import numpy as np

DIMENSIONS = 256


class FakeEmbedder:
    """Counts its calls and remembers their texts."""

    def __init__(self, identity: str = "fake@1", *, dimensions: int = DIMENSIONS) -> None:
        self.identity = identity
        self.dimensions = dimensions
        self.calls: list[list[str]] = []

    @property
    def texts(self) -> list[str]:
        """Every text that was embedded, in order."""
        return [text for call in self.calls for text in call]

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> np.ndarray:
        vector = np.zeros(self.dimensions, np.float32)
        vector[0] = 0.1  # a text without a word has a direction too
        for token in re.findall(r"\w+", text):
            vector[zlib.crc32(token.encode()) % self.dimensions] += 1
        return vector / np.linalg.norm(vector)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[FakeEmbedder]:
        yield self
