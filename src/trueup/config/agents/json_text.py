"""JSON as people write it, with comments and trailing commas: values, lines of keys, comments.

Reads any JSON5. What the values mean is for `role.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from trueup.config.mistake import Key, dotted
from trueup.errors import ConfigError

TOKEN = re.compile(
    r"""(?P<comment>//[^\n\r\u2028\u2029]*|/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<mark>[{}\[\],:])
    |(?P<word>[^\s{}\[\],:"'/]+)""",
    re.DOTALL | re.VERBOSE,
)
POSITION = re.compile(r"<string>:(\d+) (.*?)(?: at column (\d+))?$", re.DOTALL)
# What people write that no JSON has, with what to write instead.
SLIPS = (
    (re.compile(r"\b(True|False|None)\b"), "write true, false and null in small letters"),
    (re.compile(r"^\s*#", re.MULTILINE), "write comments as `// …`"),
    (
        re.compile("[“”‘’，：]"),
        'write straight quotes and ASCII commas and colons: "name": "value",',
    ),
)


@dataclass(slots=True)
class JsonText:
    """A file's values; `lines` has the line of each key and element, `comments` whose they are."""

    name: str
    tree: Any
    lines: dict[Key, int] = field(default_factory=dict)
    comments: list[tuple[Key, str]] = field(default_factory=list)

    def place(self, key: Key) -> str:
        """`file:line: key.path`."""
        line = self.lines.get(key)
        place = self.name if line is None else f"{self.name}:{line}"
        return f"{place}: {dotted(key)}" if key else place


def read_json(raw: bytes, name: str) -> JsonText:
    """Read a file's bytes.

    Raises: ConfigError where they are no JSON, with line and column, or a key is there twice.
    """
    text = _decoded(raw, name)
    found = JsonText(name, _values(text, name))
    _scan(text, found)
    return found


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the file is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            where=name,
            hint=f"where it is GBK: iconv -f gbk -t utf-8 {name} > utf8.json",
        ) from error


def _values(text: str, name: str) -> Any:
    if not text.strip():
        raise ConfigError("the file is empty", where=name)
    try:
        try:
            return json.loads(text)
        except ValueError:
            import json5  # a hundred times slower, and rarely needed elsewhere

            return json5.loads(text)
    except RecursionError as error:
        raise ConfigError("the values are nested too deeply", where=name) from error
    except ValueError as error:
        raise _no_json(str(error), text, name) from error


def _no_json(message: str, text: str, name: str) -> ConfigError:
    place, what = name, message
    if match := POSITION.search(message):
        line, what, column = match.groups()
        place = f"{name}:{line}" + (f":{column}" if column else "")
        shown = text.splitlines()[int(line) - 1 :][:1]
        around = "".join(shown)[max(0, int(column or 1) - 40) :][:80]
    else:
        around = text[:80]
    hint = next((hint for slip, hint in SLIPS if slip.search(around)), None)
    return ConfigError(
        f"the file is not JSON: {what[:1].lower()}{what[1:]}",
        where=place,
        hint=hint or "mend that line; comments and trailing commas are read, missing commas not",
    )


@dataclass(slots=True)
class _Frame:
    """An object or a list that is open; `part` is the key or the index that it is at."""

    part: int | str | None
    is_list: bool


def _scan(text: str, found: JsonText) -> None:
    """Fill in lines and comments; the text is known to be JSON5."""
    stack: list[_Frame] = []
    waiting: list[str] = []  # comments on lines of their own: the next key's
    last: Key = ()
    line, at = 1, 0
    for token in TOKEN.finditer(text):
        line += text.count("\n", at, token.start())
        at = token.start()
        kind, word = token.lastgroup, token[0]
        if kind == "comment":
            if last and found.lines.get(last) == line:
                found.comments += [(last, each) for each in _words(word)]
            else:
                waiting += _words(word)
            continue
        if word in "}]" and kind == "mark":
            stack.pop()
            owner = _path(stack)
            found.comments += [(owner, each) for each in waiting]
            waiting.clear()
            continue
        key = _begun(stack, kind, word)
        if key is not None:
            if key in found.lines:
                raise ConfigError(
                    f"`{key[-1]}` is there twice, first in line {found.lines[key]}",
                    where=f"{found.name}:{line}: {dotted(key)}",
                    hint="remove or rename one of them",
                )
            found.lines[key] = line
            last = key
            found.comments += [(key, each) for each in waiting]
            waiting.clear()
        if kind == "mark":
            _follow(stack, word)
    found.comments += [((), each) for each in waiting]


def _path(stack: Iterable[_Frame]) -> Key:
    return tuple(frame.part for frame in stack if frame.part is not None)


def _begun(stack: list[_Frame], kind: str | None, word: str) -> Key | None:
    """The path of the key or element that this token begins; None where it begins none."""
    if not stack or (kind == "mark" and word in ",:"):
        return None
    frame = stack[-1]
    if frame.is_list:
        if isinstance(frame.part, int) and frame.part < 0:
            frame.part = -frame.part - 1
            return _path(stack)
        return None
    if frame.part is None and kind != "mark":
        if kind == "string":
            import json5

            frame.part = str(json5.loads(word))
        else:
            frame.part = word
        return _path(stack)
    return None


def _follow(stack: list[_Frame], mark: str) -> None:
    if mark in "{[":
        # An index below zero waits for its element: -1 is 0 not begun.
        stack.append(_Frame(part=-1 if mark == "[" else None, is_list=mark == "["))
    elif mark == "," and stack:
        frame = stack[-1]
        frame.part = -frame.part - 2 if isinstance(frame.part, int) else None


def _words(comment: str) -> list[str]:
    """The lines of a comment without its marks."""
    inner = comment[2:] if comment.startswith("//") else comment[2:-2]
    return [line for each in inner.splitlines() if (line := each.strip(" \t*/"))]
