"""How much of a value is worked out: code that is only followed must not cost time or memory.

Every text, number and collection that the walk makes stays below these sizes; what would be
larger is unknown.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_TEXT = 100_000
MAX_BITS = 4_096
MAX_ITEMS = 4_096
# A width or precision of four digits or more, or one that is an argument.
WIDE = re.compile(r"\d{4}|\*|\{[^}]*\{")
# What makes no more of a text than there was, or a number of a size that is its own.
MODEST = frozenset(
    {
        "as_integer_ratio", "bit_count", "bit_length", "capitalize", "casefold", "conjugate",
        "count", "decode", "encode", "endswith", "find", "hex", "index", "is_integer", "isalnum",
        "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric",
        "isprintable", "isspace", "istitle", "isupper", "lower", "lstrip", "partition",
        "removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip",
        "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    }
)  # fmt: skip
WIDENED = frozenset({"center", "ljust", "rjust", "zfill", "to_bytes"})


def size_of(value: Any) -> int:
    """Characters, or bits of a whole number; 0 of anything else."""
    if isinstance(value, str | bytes):
        return len(value)
    return value.bit_length() if isinstance(value, int) else 0


def is_small(value: Any) -> bool:
    """Whether a text or a number may be kept."""
    return size_of(value) <= (MAX_BITS if isinstance(value, int) else MAX_TEXT)


def may_operate(function: Callable[[Any, Any], Any], left: Any, right: Any) -> bool:
    """Whether an operation's result stays small."""
    if function is operator.mul:
        for text, number in ((left, right), (right, left)):
            if isinstance(text, str | bytes) and isinstance(number, int):
                return len(text) * max(number, 0) <= MAX_TEXT
    if function is operator.mod and isinstance(left, str | bytes):
        shape = left if isinstance(left, str) else left.decode("latin-1")
        return WIDE.search(shape) is None and size_of(left) + size_of(right) <= MAX_TEXT
    is_whole = isinstance(left, int) and isinstance(right, int)
    return size_of(left) + size_of(right) <= (MAX_BITS if is_whole else MAX_TEXT)


def may_call(
    name: str, subject: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]
) -> bool:
    """Whether what a method of a text or number answers stays small."""
    given = (*arguments, *keywords.values())
    numbers = [each for each in given if isinstance(each, int)]
    if name in MODEST:
        return is_small(subject)
    if name in WIDENED:
        return is_small(subject) and all(0 <= each <= MAX_TEXT for each in numbers)
    if name == "replace":
        longest = max((size_of(each) for each in given if not isinstance(each, int)), default=0)
        return (size_of(subject) + 1) * (longest + 1) <= MAX_TEXT
    if name == "join" and len(arguments) == 1 and isinstance(arguments[0], list | tuple | set):
        parts = arguments[0]
        return sum(map(size_of, parts)) + size_of(subject) * len(parts) <= MAX_TEXT
    if name == "format" and isinstance(subject, str):
        fields = subject.count("{") + 1
        return WIDE.search(subject) is None and (
            size_of(subject) + fields * sum(len(str(each)) for each in given) <= MAX_TEXT
        )
    return False


def may_build(name: str, arguments: Sequence[Any]) -> bool:
    """Whether what a builtin function answers stays small."""
    if name in ("pow", "bytes"):
        power = arguments[1] if name == "pow" and len(arguments) == 2 else 1
        sizes = [size_of(each) for each in arguments]
        if name == "bytes" and arguments and isinstance(arguments[0], int):
            return arguments[0] <= MAX_TEXT
        return isinstance(power, int) and max(sizes, default=0) * abs(power) <= MAX_BITS
    return True
