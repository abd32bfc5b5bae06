"""Text of tokens as they come: never half a character, and each text with the tokens it is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\ufffd"
# Tokens before the new ones that decide how those are written: blanks, halves of characters.
BEFORE = 8
# More tokens than one character has; what is unreadable still is so for good.
LONGEST = 16


class Detokenizer:
    """`given` are tokens whose text is out already."""

    def __init__(self, decode: Callable[[list[int]], str], given: Sequence[int] = ()) -> None:
        self._decode = decode
        self._tokens = list(given)
        self._said = len(self._tokens)
        self._before = max(0, self._said - BEFORE)

    @property
    def tokens(self) -> Sequence[int]:
        """All of them."""
        return self._tokens

    def push(self, token: int) -> tuple[str, list[int]]:
        """The text that a token releases, and the tokens that it is of; empty while it waits."""
        self._tokens.append(token)
        return self._released(is_last=False)

    def rest(self) -> tuple[str, list[int]]:
        """What was held back, as it is."""
        return self._released(is_last=True)

    def text(self) -> str:
        """All of it."""
        return self._decode(self._tokens)

    def _released(self, *, is_last: bool) -> tuple[str, list[int]]:
        known = self._decode(self._tokens[self._before : self._said])
        now = self._decode(self._tokens[self._before :])
        held = self._tokens[self._said :]
        if len(now) <= len(known):
            return "", []
        if now.endswith(UNFINISHED) and not is_last and len(held) < LONGEST:
            return "", []
        self._before, self._said = self._said, len(self._tokens)
        return now[len(known) :], held
