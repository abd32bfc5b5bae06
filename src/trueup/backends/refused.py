"""A model that the check refused: it stands in a chain, and whoever stands beside it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from trueup.backends.base import BackendRequest, BackendResponse, Capabilities, Health
from trueup.errors import AdaptError


class RefusedBackend:
    """Answers every request with the reason why the model cannot be run here."""

    model = None
    version = None

    def __init__(self, model_id: str, reason: AdaptError) -> None:
        self.name = model_id
        self.capabilities = Capabilities(queues=True)
        self._reason = reason

    def check(self, path: str, shape: Mapping[str, Any]) -> None:
        """Whatever is asked, the answer is the same."""

    def conceal(self, text: str) -> str:
        """There is no key."""
        return text

    @asynccontextmanager
    async def open(self, request: BackendRequest) -> AsyncIterator[BackendResponse]:
        """Refuse.

        Raises:
            AdaptError: always.
        """
        reason = self._reason
        raise AdaptError(reason.cause, where=reason.where, hint=reason.hint)
        yield  # pragma: no cover  (makes it a generator)

    async def health(self) -> Health:
        """Failed, with the reason."""
        return Health(state="failed", last_error=self._reason.cause)

    async def close(self) -> None:
        """Nothing is held."""
