"""A block that others can end early, with a reason."""

from __future__ import annotations

from typing import Literal

from trueup.gateway.cancel_scope import CancelScope

Reason = Literal["client left", "client stalled", "server stops"]


class Interruptible(CancelScope):
    """`with` block that `interrupt` ends; `reason` is None where nobody did."""

    def __init__(self) -> None:
        super().__init__()
        self.reason: Reason | None = None

    def interrupt(self, reason: Reason) -> None:
        """End the block at its next await; the first reason stays."""
        if self._task is not None and self.reason is None:
            self.reason = reason
            self.cut()
