"""A text that must not be shown: keys of servers and clients."""

from __future__ import annotations

from dataclasses import dataclass

# What is shown instead.
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Secret:
    """Hides its text wherever it is printed; `reveal` is the one way to it."""

    _text: str

    def reveal(self) -> str:
        """The text itself: for comparing and sending only."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    __str__ = __repr__
