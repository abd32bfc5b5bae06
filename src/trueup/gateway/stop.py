"""Cutting a text at stop strings while it comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopCut:
    """Passes a text on up to the stop string that is complete first, which is not passed on.

    What may be the beginning of a stop string is held back until it is known. How the text was
    cut into pieces makes no difference.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.is_stopped = False
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""

    def push(self, text: str) -> str:
        """The part of the text so far that is certain and was not given before."""
        if self.is_stopped:
            return ""
        held = self._held + text
        found = [
            (place + len(stop), place) for stop in self._stops if (place := held.find(stop)) >= 0
        ]
        if found:
            self.is_stopped, self._held = True, ""
            return held[: min(found)[1]]
        kept = self._beginning(held)
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept]

    def finish(self) -> str:
        """What was held back and turned out to be text."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """How many of the last characters may begin a stop string."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            end = text[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0
