"""Turning the tokens of an answer into text, token by token, at linear cost.

The deltas depend on the tokens alone, never on when they came: whoever feeds the same tokens
again stands where the first reader stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_UNFINISHED = "\ufffd"
# Tokens that are decoded together at most: tokens without text of their own and bytes that
# never become a character would make the window grow for ever.
_MAX_WINDOW_TOKENS = 32
# A UTF-8 character has at most four bytes; what lies further back is finished or broken.
_KEPT_TOKENS = 8


class Detokenizer:
    """Decodes a growing answer; special tokens have no text.

    A window of tokens is decoded each time: the context, whose text was given out, and the
    fresh ones. The context is there because a tokenizer treats the start of a text differently.
    """

    def __init__(self, tokenizer: Any, special_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._special_ids = special_ids
        self._window: list[int] = []
        self._context_tokens = 0
        self._given_characters = 0

    def push(self, token: int) -> str:
        """The characters that are complete now."""
        if token in self._special_ids:
            return ""
        self._window.append(token)
        text = self._decode(self._window)
        complete = len(text.rstrip(_UNFINISHED))
        delta = text[self._given_characters : complete]
        self._given_characters = max(self._given_characters, complete)
        is_full = len(self._window) >= _MAX_WINDOW_TOKENS
        if complete < len(text):
            return delta + self._slide(text) if is_full else delta
        if delta or is_full:
            self._window = self._window[self._context_tokens :]
            self._context_tokens = len(self._window)
            self._given_characters = len(self._decode(self._window))
        return delta

    def finish(self) -> str:
        """What is left, an unfinished character as U+FFFD."""
        return self._decode(self._window)[self._given_characters :] if self._window else ""

    def _slide(self, text: str) -> str:
        """Shorten a window full of broken characters, counting from its end."""
        waiting = len(text) - self._given_characters
        self._window = self._window[-_KEPT_TOKENS:]
        self._context_tokens = 0
        kept = len(self._decode(self._window))
        broken = text[self._given_characters :][: max(0, waiting - kept)]
        self._given_characters = max(0, kept - waiting)
        return broken

    def _decode(self, token_ids: list[int]) -> str:
        text: str = self._tokenizer.decode(
            token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


class StopStrings:
    """Ends a text before the stop string that is complete first.

    Character by character with a failure table for each string, so that the result does not
    depend on how the text was cut into pieces.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._tables = [_failure_table(each) for each in stop]
        self._matched = [0] * len(stop)
        self._held = ""
        self.is_met = False

    def push(self, text: str) -> str:
        """The text that can no longer belong to a stop string."""
        if not self._stop or self.is_met:
            return "" if self.is_met else text
        seen = self._held + text
        for end in range(len(self._held), len(seen)):
            longest = self._advance(seen[end])
            if self.is_met:
                self._held = ""
                return seen[: end + 1 - longest]
        self._held = seen[len(seen) - max(self._matched) :]
        return seen[: len(seen) - len(self._held)]

    def finish(self) -> str:
        """The text held back, which turned out to be no stop string."""
        held, self._held = self._held, ""
        return held

    def _advance(self, character: str) -> int:
        """Take one character; the length of the longest stop string that it completes."""
        longest = 0
        for index, stop in enumerate(self._stop):
            matched = self._matched[index]
            while matched and stop[matched] != character:
                matched = self._tables[index][matched - 1]
            if stop[matched] == character:
                matched += 1
            if matched == len(stop):
                longest = max(longest, matched)
                self.is_met = True
            self._matched[index] = matched
        return longest


def _failure_table(pattern: str) -> list[int]:
    """For each prefix the length of its longest proper prefix that is also its suffix."""
    table = [0] * len(pattern)
    matched = 0
    for index in range(1, len(pattern)):
        while matched and pattern[index] != pattern[matched]:
            matched = table[matched - 1]
        if pattern[index] == pattern[matched]:
            matched += 1
        table[index] = matched
    return table


class AnswerText:
    """The text of one answer: detokenized, cut at a stop string.

    With `drops_leading_space` the text begins at its first character that is no white space.
    """

    def __init__(
        self,
        tokenizer: Any,
        special_ids: frozenset[int],
        stop: Sequence[str],
        *,
        drops_leading_space: bool = False,
    ) -> None:
        self._detokenizer = Detokenizer(tokenizer, special_ids)
        self._stop = StopStrings(stop)
        self._is_before_text = drops_leading_space

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stop.is_met

    def push(self, token: int) -> str:
        """The text that this token releases."""
        return self._stop.push(self._from_text(self._detokenizer.push(token)))

    def finish(self) -> str:
        """The rest of the text; a stop string may still be met in it."""
        delta = self._stop.push(self._from_text(self._detokenizer.finish()))
        return delta if self._stop.is_met else delta + self._stop.finish()

    def _from_text(self, delta: str) -> str:
        if self._is_before_text:
            delta = delta.lstrip()
            self._is_before_text = not delta
        return delta
