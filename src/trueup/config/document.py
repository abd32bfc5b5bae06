"""A configuration file as it was written: its YAML, and the line that each key stands on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from trueup.config.mistake import Key, Mistake
from trueup.errors import ConfigError

MAX_FILE_BYTES = 2**20
DUPLICATE = re.compile(r'found duplicate key "(.*?)" with value ', re.DOTALL)


class Document:
    """A file whose top is a mapping."""

    def __init__(self, path: Path, tree: CommentedMap) -> None:
        self.path = path
        self.tree = tree

    def mistake(self, key: Key, cause: str, hint: str | None = None) -> Mistake:
        """Something about a key of this file."""
        line = self._line(key)
        return Mistake(path=str(self.path), line=line, key=key, cause=cause, hint=hint)

    def place(self, *key: int | str) -> str:
        """`file:line: dotted.key` of a key, or of the nearest key above it that exists."""
        return self.mistake(key, "").where

    def places(self, *section: int | str) -> dict[str, str]:
        """The places of a section's keys that the file has; the empty key is the section's own."""
        found = {"": self.place(*section)}
        node = self._at(section)
        for key in node if isinstance(node, Mapping) else ():
            found[str(key)] = self.place(*section, str(key))
        return found

    def _at(self, key: Key) -> Any:
        node: Any = self.tree
        for part in key:
            node = node.get(_own_key(node, part)) if isinstance(node, CommentedMap) else None
        return node

    def _line(self, key: Key) -> int | None:
        node: Any = self.tree
        line = None
        for part in key:
            try:
                if isinstance(node, CommentedMap):
                    part = _own_key(node, part)
                    line = node.lc.key(part)[0] + 1
                elif isinstance(node, CommentedSeq):
                    line = node.lc.item(part)[0] + 1
                node = node[part]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return line


def _own_key(node: CommentedMap, part: int | str) -> Any:
    """The key as the file has it: `1:` is a number there and a name for us."""
    return part if part in node else next((key for key in node if str(key) == part), part)


def read_document(path: Path) -> Document:
    """Read a file.

    Raises: ConfigError where it cannot be read, is no YAML, or holds no keys.
    """
    return parsed_document(path, _raw(path))


def parsed_document(path: Path, raw: bytes) -> Document:
    """The document of bytes that are, or will be, in a file.

    Raises: ConfigError where they are no YAML or hold no keys.
    """
    tree = _parsed(path, raw)
    if not isinstance(tree, CommentedMap):
        raise ConfigError(
            f"the file holds {_kind(tree)}, expected keys such as `config_version: 1`",
            where=str(path),
            hint="begin it with `config_version: 1`, or see: trueup config init -",
        )
    return Document(path, tree)


def _raw(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(
            f"the configuration file cannot be read: {reason or error}",
            where=str(path),
            hint="name an existing file, or write one: trueup config init",
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is longer than {MAX_FILE_BYTES} bytes", where=str(path))
    return raw


def _parsed(path: Path, raw: bytes) -> Any:
    yaml = YAML(typ="rt")
    try:
        return yaml.load(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the file is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            where=str(path),
        ) from error
    except MarkedYAMLError as error:
        # Not chained: what ruamel says may hold a value, and that may be a key.
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        cause, hint = _problem(error)
        raise ConfigError(cause, where=f"{path}{line}", hint=hint) from None
    except (YAMLError, ValueError, RecursionError) as error:
        problem = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"the file is not YAML: {problem}", where=str(path)) from error


def _problem(error: MarkedYAMLError) -> tuple[str, str | None]:
    """What is wrong, without any value of the file, and the next step."""
    problem = (error.problem or error.context or "no YAML").splitlines()[0]
    if isinstance(error, DuplicateKeyError):
        found = DUPLICATE.match(error.problem or "")
        name = f"the key `{found[1][:80]}`" if found else "a key"
        return f"{name} is there twice", "write each name once, with all that it holds below it"
    if "undefined alias" in problem:
        return "the file is not YAML: it refers to what is nowhere", (
            "write a text that begins with `*` in quotes"
        )
    return f"the file is not YAML: {problem}", None


def _kind(node: Any) -> str:
    if node is None:
        return "nothing"
    return "a list" if isinstance(node, CommentedSeq) else f"only `{str(node)[:40]}`"
