"""Turning the tokens of an answer into text, token by token, at linear cost.

The deltas depend on the tokens alone, never on when they came: whoever feeds the same tokens
again stands where the first reader stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_UNFINISHED = "\ufffd"
# A UTF-8 character has at most four bytes, so at most three tokens wait for its last byte.
_MAX_PENDING_TOKENS = 3
# Tokens without text of their own (a lone word-start mark) extend the context up to this.
_MAX_CONTEXT_TOKENS = 32


class Detokenizer:
    """Decodes a growing answer; special tokens have no text.

    A window of tokens is decoded: the context, whose text was given out, and the pending
    ones. The context is there because a tokenizer treats the start of a text differently.
    """

    def __init__(self, tokenizer: Any, special_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._special_ids = special_ids
        self._context: list[int] = []
        self._context_characters = 0
        self._pending: list[int] = []

    def push(self, token: int) -> str:
        """The characters that are complete now."""
        if token in self._special_ids:
            return ""
        self._pending.append(token)
        text = self._decode(self._context + self._pending)
        if not text.endswith(_UNFINISHED):
            return self._give(text, len(self._pending))
        if len(self._pending) <= _MAX_PENDING_TOKENS:
            return ""
        # Four bytes and no character: the first one never becomes one.
        return self._give(self._decode(self._context + self._pending[:1]), 1)

    def finish(self) -> str:
        """What is left, an unfinished character as U+FFFD."""
        if not self._pending:
            return ""
        text = self._decode(self._context + self._pending)
        return self._give(text, len(self._pending))

    def _give(self, text: str, count: int) -> str:
        given, self._pending = self._pending[:count], self._pending[count:]
        delta = text[self._context_characters :]
        if delta or len(self._context) >= _MAX_CONTEXT_TOKENS:
            self._context = given
            self._context_characters = len(self._decode(given))
        else:
            self._context = self._context + given
        return delta

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
    """The text of one answer: detokenized, cut at a stop string."""

    def __init__(self, tokenizer: Any, special_ids: frozenset[int], stop: Sequence[str]) -> None:
        self._detokenizer = Detokenizer(tokenizer, special_ids)
        self._stop = StopStrings(stop)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._stop.is_met

    def push(self, token: int) -> str:
        """The text that this token releases."""
        return self._stop.push(self._detokenizer.push(token))

    def finish(self) -> str:
        """The rest of the text; a stop string may still be met in it."""
        delta = self._stop.push(self._detokenizer.finish())
        return delta if self._stop.is_met else delta + self._stop.finish()
