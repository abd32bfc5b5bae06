"""Tells Python 2 from a damaged file by where parsing stopped. Runs nothing."""

from __future__ import annotations

import re

# The parser's own message, or the line where it stopped, and what that is in Python 2.
BY_MESSAGE = (
    (re.compile(r"Missing parentheses in call to '(?:print|exec)'"), "a `{word}` statement"),
    (re.compile(r"multiple exception types must be parenthesized"), "`except A, error`"),
    (re.compile(r"leading zeros in decimal integer literals"), "an octal number such as `0777`"),
)
BY_LINE = (
    (re.compile(r"^\s*(?P<word>print|exec)\s+[^=(\s]"), "a `{word}` statement"),
    (re.compile(r"^\s*except\s+[\w.]+\s*,\s*\w+\s*:"), "`except A, error`"),
    (re.compile(r"^\s*raise\s+[\w.]+\s*,"), "`raise A, message`"),
    (re.compile(r"<>"), "the operator `<>`"),
    (re.compile(r"`[^`]+`"), "backquotes around an expression"),
    (re.compile(r"\b(?:0x[0-9a-fA-F]+|\d+)[lL]\b"), "a long number such as `1L`"),
    (re.compile(r"\bur['\"]"), "a string with the prefix `ur`"),
)


def python_2_sign(error: SyntaxError, content: bytes) -> str | None:
    """What at the place of `error` only Python 2 reads, None where nothing tells."""
    for pattern, sign in BY_MESSAGE:
        if found := pattern.search(error.msg or ""):
            word = "exec" if "exec" in found.group(0) else "print"
            return sign.format(word=word)
    lines = content.splitlines()
    number = (error.lineno or 0) - 1
    if not 0 <= number < len(lines):
        return None
    line = lines[number][:1000].decode("utf-8", "replace")
    for pattern, sign in BY_LINE:
        if found := pattern.search(line):
            return sign.format(word=found.groupdict().get("word"))
    return None
