"""Answers that look as those do of a model which is asked otherwise than it was trained."""

from __future__ import annotations

import re

ADVICE = "check that `template` and `default_system` are those of the training"
# What is said this often at an answer's end is a loop, if it is this long in all.
REPEATS, LOOP_CHARACTERS, LONGEST_UNIT = 4, 80, 200
# How formats mark turns and ends; a tokenizer that knows them does not show them.
MARK = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:unk|pad|eos|bos)>"
)
# A text may be about them: marks of an endless answer, or most of one.
FEW_MARKS, MARK_SHARE = 3, 0.3
# A long answer may be cut; a model that finds no end is cut each time.
CUT_IN_A_ROW = 3


class Hints:
    """What the answers of one model tell of its settings: once, since the next tells the same."""

    def __init__(self) -> None:
        self._is_told = False
        self._cut = 0

    def of(self, text: str, finish_reason: str) -> str | None:
        """What to look at after this answer."""
        self._cut = self._cut + 1 if finish_reason == "length" else 0
        if self._is_told:
            return None
        hint = hint_of(text, finish_reason)
        if hint is None and self._cut == CUT_IN_A_ROW:
            hint = (
                f"{CUT_IN_A_ROW} answers in a row went on until their limit: if they were to end "
                f"before, {ADVICE}"
            )
        self._is_told = hint is not None
        return hint


def hint_of(text: str, finish_reason: str) -> str | None:
    """What to look at, for whoever set up the model; None where nothing looks wrong."""
    is_cut = finish_reason == "length"
    if is_cut and _loops(text):
        return f"the answer repeats itself until its limit: {ADVICE}"
    marks = MARK.findall(text)
    share = sum(map(len, marks)) / max(1, len(text.strip()))
    if marks and (share >= MARK_SHARE or (is_cut and len(marks) >= FEW_MARKS)):
        return f"the answer has marks of a chat format in its text, such as {marks[0]}: {ADVICE}"
    return None


def _loops(text: str) -> bool:
    """Whether the end of a text is one thing again and again; blanks at its very end aside."""
    text = text.rstrip()
    for unit in range(1, LONGEST_UNIT + 1):
        size = max(LOOP_CHARACTERS, REPEATS * unit)
        if size > len(text):
            return False
        if text[-size:-unit] == text[unit - size :]:
            return True
    return False
