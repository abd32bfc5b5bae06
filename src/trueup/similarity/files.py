"""The source files below a directory, and the text of a file; everything left out is noted.

Symbolic links are not followed (so loops do no harm), version control's own directories are not
entered, what git ignores is passed over without a word.
"""

from __future__ import annotations

import codecs
import collections
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trueup.similarity.ignore import IgnoreRules
from trueup.similarity.language import languages_of
from trueup.similarity.snippet import Note

FILE_BYTES_MAX = 2_000_000
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"})
EXTENSIONS_NAMED = 6
# The longer marks first: UTF-32's little-endian one begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file's text with LF line ends, or None and the `cause` that it is left out for.

    A text may have a `cause` too: its encoding was guessed.
    """

    text: str | None
    cause: str | None = None


@dataclass(slots=True, kw_only=True)
class Walk:
    """Goes through the files below `root`, in the order of their names; `notes` grow on the way."""

    root: Path
    notes: list[Note] = field(default_factory=list)
    _unknown: collections.Counter[str] = field(default_factory=collections.Counter)
    _link_count: int = 0

    def files(self) -> Iterator[str]:
        """The path of each file that may hold known code, relative to the root, with slashes."""
        stack = [("", IgnoreRules.above(self.root, self.notes))]
        while stack:
            directory, rules = stack.pop()
            rules = rules.within(self.root / directory, self.notes)
            below = []
            for entry in self._entries(directory):
                path = f"{directory}{entry.name}"
                if self._is_directory(entry, path):
                    if not rules.ignores(entry.path, is_directory=True):
                        below.append((f"{path}/", rules))
                elif not rules.ignores(entry.path, is_directory=False) and self._is_source(
                    entry, path
                ):
                    yield path
            stack += reversed(below)
        self._sum_up()

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / directory) as entries:
                found = sorted(entries, key=lambda each: each.name)
        except OSError as error:
            cause = f"the directory cannot be read: {error.strerror or error}"
            self.notes.append(Note(path=directory or ".", cause=cause))
            return []
        return [each for each in found if each.name not in VERSION_CONTROL]

    def _is_directory(self, entry: os.DirEntry[str], path: str) -> bool:
        try:
            return entry.is_dir(follow_symlinks=False)
        except OSError as error:
            self.notes.append(Note(path=path, cause=f"cannot be read: {error.strerror or error}"))
            return False

    def _is_source(self, entry: os.DirEntry[str], path: str) -> bool:
        if entry.is_symlink():
            self._link_count += 1
            return False
        stem, dot, extension = entry.name.rpartition(".")
        if languages_of(path):
            if entry.is_file(follow_symlinks=False):
                return True
            self.notes.append(Note(path=path, cause="is no regular file: left out"))
            return False
        if not (dot and stem) and entry.is_file(follow_symlinks=False) and _is_script(entry.path):
            return True
        self._unknown[f".{extension}" if dot and stem else "no extension"] += 1
        return False

    def _sum_up(self) -> None:
        if self._unknown:
            named = ", ".join(
                f"{name} {count}" for name, count in self._unknown.most_common(EXTENSIONS_NAMED)
            )
            more = ", …" if len(self._unknown) > EXTENSIONS_NAMED else ""
            cause = f"files in no known language are left out: {named}{more}"
            self.notes.append(Note(path=".", cause=cause))
        if self._link_count:
            cause = f"symbolic links are not followed: {self._link_count}"
            self.notes.append(Note(path=".", cause=cause))


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True  # reading it whole will say why it cannot be read


def read_source(path: Path | str) -> Source:
    """The text of a file; never raises for what a file may be."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            return Source(text=None, cause="is a directory, expected a file")
        if status.st_size > FILE_BYTES_MAX:
            return Source(text=None, cause=_size_cause(f"{status.st_size:,}"))
        with open(path, "rb") as file:  # a pipe has no size
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Source(text=None, cause=f"cannot be read: {reason or error}")
    return decode_source(data)


def decode_source(data: bytes) -> Source:
    """The text that bytes are: by their byte order mark, else UTF-8, else latin-1 and a cause."""
    if len(data) > FILE_BYTES_MAX:
        return Source(text=None, cause=_size_cause(f"more than {FILE_BYTES_MAX:,}"))
    marked = next((name for mark, name in BYTE_ORDER_MARKS if data.startswith(mark)), None)
    cause = None
    if marked is None and b"\0" in data:
        return Source(text=None, cause="is a binary file: left out")
    try:
        text = data.decode(marked or "utf-8")
    except UnicodeDecodeError as error:
        if marked is not None:
            return Source(text=None, cause=f"is no {marked}, whose mark it bears: left out")
        line = data.count(b"\n", 0, error.start) + 1
        cause = f"is not UTF-8 (line {line}): read as latin-1"
        text = data.decode("latin-1")
    return Source(text=text.replace("\r\n", "\n").replace("\r", "\n"), cause=cause)


def _size_cause(found: str) -> str:
    return f"has {found} bytes, expected at most {FILE_BYTES_MAX:,}: left out"
