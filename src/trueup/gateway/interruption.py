"""A block that another task can end early, with a reason."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self

Reason = Literal["client left", "client stalled", "backend stalled", "server stops"]


class Interruptible:
    """`async with` block whose awaits are cancelled by `interrupt`; the block then just ends.

    `reason` is None where nobody interrupted. A cancellation of the task itself passes through.
    """

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._timeout = asyncio.timeout(None)
        self._is_inside = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._is_inside = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._is_inside = False
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        return False

    def interrupt(self, reason: Reason) -> None:
        """End the block at its next await; the first reason stays."""
        if self._is_inside and self.reason is None:
            self.reason = reason
            self._timeout.reschedule(asyncio.get_running_loop().time())
