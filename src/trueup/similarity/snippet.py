"""The nouns of similarity: a piece of code with its place, and a note on what was left out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Kind = Literal["function", "class", "file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a piece of code stands: lines count from 1 and both are part of it.

    The bytes are those of the text as UTF-8 with LF line ends; they tell pieces on one line apart.
    """

    path: str
    language: str | None
    kind: Kind
    name: str
    first_line: int
    last_line: int
    first_byte: int
    end_byte: int

    def overlaps(self, other: Place) -> bool:
        """Whether the two share code: a class and its own method, or the same piece twice."""
        return (
            self.path == other.path
            and self.first_byte < other.end_byte
            and other.first_byte < self.end_byte
        )

    def contains(self, other: Place) -> bool:
        """Whether `other` is another piece that lies within this one."""
        return (
            self != other
            and self.path == other.path
            and self.first_byte <= other.first_byte
            and other.end_byte <= self.end_byte
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A function, a class or a whole file: its place, and its text without common indentation."""

    place: Place
    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that was not done as one may expect: a file left out, an encoding guessed."""

    path: str
    cause: str
    line: int | None = None


def digest_of(text: str) -> str:
    """The sha256 of a text, in hexadecimal: the same for exact duplicates alone."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
