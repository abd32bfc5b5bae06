"""What git would ignore below a directory: `.gitignore` at every level and `.git/info/exclude`.

The nearest file that says something about a path decides, as in git; matching is pathspec's.
A user's global excludes are not read: results must not depend on who asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from trueup.similarity.snippet import Note

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class _Layer:
    """The patterns of one file; `base` is the absolute directory they speak of, with its slash."""

    base: str
    patterns: GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The layers that hold in one directory, the nearest last."""

    layers: tuple[_Layer, ...] = ()

    @classmethod
    def above(cls, root: Path, notes: list[Note]) -> Self:
        """What the repository around `root` says, `root`'s own files not yet included.

        A root that is itself ignored was named on purpose: then nothing above it counts.
        """
        parents = [root, *root.parents]
        top = next((index for index, each in enumerate(parents) if _has_git(each)), 0)
        rules = cls()
        for index in range(top, 0, -1):
            rules = rules.within(parents[index], notes)
            if rules.ignores(str(parents[index - 1]), is_directory=True):
                return cls()
        return rules

    def within(self, directory: Path, notes: list[Note]) -> Self:
        """These rules and those that lie in `directory` itself."""
        files = [directory / ".gitignore"]
        if exclude := _exclude_file(directory):
            files.insert(0, exclude)
        base = f"{str(directory).rstrip('/')}/"
        added = [_Layer(base, patterns) for file in files if (patterns := _patterns(file, notes))]
        return type(self)((*self.layers, *added)) if added else self

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        """Whether the absolute `path` is left out; what lies in an ignored directory is too."""
        for layer in reversed(self.layers):
            within = path.removeprefix(layer.base) + ("/" if is_directory else "")
            said = layer.patterns.check_file(within).include
            if said is not None:
                return bool(said)
        return False


def _has_git(directory: Path) -> bool:
    try:
        return (directory / ".git").exists()
    except OSError:
        return False


def _exclude_file(directory: Path) -> Path | None:
    """`info/exclude` of the repository whose top this is: a worktree's or submodule's too."""
    git = directory / ".git"
    try:
        if git.is_file():
            pointer = git.read_text(encoding="utf-8", errors="surrogateescape")
            git = directory / pointer.removeprefix("gitdir:").strip()
            common = git / "commondir"
            if common.is_file():
                git /= common.read_text(encoding="utf-8", errors="surrogateescape").strip()
        exclude = git / "info" / "exclude"
        return exclude if exclude.is_file() else None
    except (OSError, ValueError):
        return None


def _patterns(file: Path, notes: list[Note]) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    try:
        text = file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        notes.append(Note(path=str(file), cause=f"cannot be read: {error.strerror or error}"))
        return None
    kept = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            cause = f"`{line}` is no pattern that can be meant: it is passed over"
            notes.append(Note(path=str(file), line=number, cause=cause))
        else:
            kept.append(line)
    return GitIgnoreSpec.from_lines(kept) if kept else None
