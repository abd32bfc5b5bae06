"""What similarity asks of whoever turns text into vectors: a client of a server, or a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Embeds texts with one model, in one way.

    `identity` names the model's files and everything else that changes its vectors: vectors of
    different identities must never be compared.
    """

    @property
    def identity(self) -> str:
        """The same for the same vectors, in every process and on every day."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 (float32) for each text, in the order of `texts`.

        Texts longer than the model's context are embedded by windows.

        Raises:
            BackendError: the server cannot be reached, or does not answer properly.
            RequestError: the model refuses a text.
        """
        ...
