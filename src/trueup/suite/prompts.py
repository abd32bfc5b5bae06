"""Files of prompts with what the answers must contain: YAML with `prompts`, or JSON Lines.

All of a file is judged before anything is asked.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueup.config.names import nearest
from trueup.errors import ConfigError
from trueup.suite.case import Place
from trueup.suite.expectation import Expectation
from trueup.suite.language import NAMES, base_of

MAX_FILE_BYTES = 4 * 2**20
JSON_LINES = (".jsonl", ".ndjson")
ROLES = ("system", "user", "assistant")
KEYS = (
    "id", "prompt", "system", "messages", "contains", "not_contains", "matches", "ignore_case",
    "language", "max_tokens", "within_seconds",
)  # fmt: skip
ID = re.compile(r"[^\s/*?\[\]]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One prompt; `max_tokens` and `within_seconds` None leave it to the suite."""

    id: str
    messages: tuple[Mapping[str, str], ...]
    expectation: Expectation
    max_tokens: int | None
    within_seconds: float | None
    place: Place

    @property
    def title(self) -> str:
        """The id with the name of its file: ids are of one file each."""
        return f"{Path(self.place.path).stem}/{self.id}" if self.place.path else self.id


class _Wrong(Exception):
    """A value of an entry cannot be used."""

    def __init__(self, key: str | None, cause: str, hint: str | None = None) -> None:
        super().__init__(cause)
        self.key = key
        self.cause = cause
        self.hint = hint


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """The prompts of a file, in its order; one without an `id` is called by its number.

    Raises:
        ConfigError: the file cannot be read, or an entry cannot be used.
    """
    raw = _raw(path)
    entries = _json_lines(path, raw) if path.suffix in JSON_LINES else _yaml(path, raw)
    found: dict[str, Prompt] = {}
    for number, (entry, place_of) in enumerate(entries, 1):
        try:
            prompt = _prompt(entry, number, place_of(None))
            if prompt.id in found:
                raise _Wrong("id", f"`{prompt.id}` is also the id of {found[prompt.id].place.text}")
        except _Wrong as wrong:
            where = place_of(wrong.key)
            raise ConfigError(wrong.cause, where=where.text, hint=wrong.hint) from None
        found[prompt.id] = prompt
    if not found:
        raise ConfigError(
            "the file holds no prompts",
            where=str(path),
            hint="write one: `prompts: [{prompt: Hello, contains: [Hello]}]`",
        )
    return tuple(found.values())


Entry = tuple[Any, Callable[[str | None], Place]]


def _raw(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the prompts cannot be read: {reason}", where=str(path)) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is longer than {MAX_FILE_BYTES} bytes", where=str(path))
    return raw


def _yaml(path: Path, raw: bytes) -> Iterator[Entry]:
    from trueup.config.document import parsed_document
    from trueup.config.variables import plain_tree

    document = parsed_document(path, raw)
    # Without variables of the environment: an answer may hold `${…}`.
    tree, _ = plain_tree(document, {})
    for key in tree:
        if key != "prompts":
            where = document.place(key)
            raise ConfigError(f"`{key}` is not known, expected `prompts`", where=where)
    rows = tree.get("prompts")
    if not isinstance(rows, list):
        raise ConfigError(
            f"`prompts` is {_shown(rows)}, expected a list of prompts", where=str(path)
        )
    for index, row in enumerate(rows):

        def place_of(key: str | None, index: int = index) -> Place:
            whole = ("prompts", index) if key is None else ("prompts", index, key)
            mistake = document.mistake(whole, "")
            return Place(text=mistake.where, path=str(path), line=mistake.line)

        yield row, place_of


def _json_lines(path: Path, raw: bytes) -> Iterator[Entry]:
    for line, content in enumerate(raw.splitlines(), 1):
        if not content.strip():
            continue

        def place_of(key: str | None, line: int = line) -> Place:
            text = f"{path}:{line}" + (f": {key}" if key else "")
            return Place(text=text, path=str(path), line=line)

        try:
            row = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            problem = str(error) or type(error).__name__
            raise ConfigError(
                f"the line is no JSON: {problem}", where=place_of(None).text
            ) from None
        yield row, place_of


def _prompt(row: Any, number: int, place: Place) -> Prompt:
    if not isinstance(row, Mapping):
        raise _Wrong(None, f"the entry is {_shown(row)}, expected keys such as `prompt`")
    for key in row:
        if key not in KEYS:
            raise _Wrong(key, f"`{key}` is not known", nearest(str(key), KEYS))
    identity = str(row.get("id", number))
    if ID.fullmatch(identity) is None:
        raise _Wrong("id", f"`{identity}` is no id: no spaces, slashes or `*?[]`")
    language = _of(row, "language", str, "a language such as zh")
    if language is not None and base_of(language) not in NAMES:
        known = ", ".join(f"`{each}`" for each in NAMES)
        raise _Wrong("language", f"`{language}` cannot be told, only {known}")
    expectation = Expectation(
        contains=_texts(row, "contains"),
        not_contains=_texts(row, "not_contains"),
        matches=_patterns(row),
        ignore_case=_of(row, "ignore_case", bool, "true or false") or False,
        language=language,
    )
    return Prompt(
        id=identity,
        messages=_messages(row),
        expectation=expectation,
        max_tokens=_positive(row, "max_tokens", int, "a whole number from 1 on"),
        within_seconds=_positive(row, "within_seconds", (int, float), "seconds above 0"),
        place=place,
    )


def _messages(row: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    if ("prompt" in row) == ("messages" in row):
        raise _Wrong(None, "one of `prompt` and `messages` is needed, and not both")
    if "prompt" in row:
        prompt = _filled(row, "prompt")
        system = _filled(row, "system") if "system" in row else None
        first = ({"role": "system", "content": system},) if system else ()
        return (*first, {"role": "user", "content": prompt})
    if "system" in row:
        raise _Wrong("system", "`system` goes with `prompt`; put it into `messages`")
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        raise _Wrong("messages", f"`messages` is {_shown(messages)}, expected a list")
    for each in messages:
        is_message = isinstance(each, Mapping) and set(each) == {"role", "content"}
        if not is_message or each["role"] not in ROLES or not isinstance(each["content"], str):
            raise _Wrong(
                "messages",
                f"a message is {_shown(each)}, expected `role` ({', '.join(ROLES)}) and `content`",
            )
    return tuple(messages)


def _filled(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(key, f"`{key}` is {_shown(value)}, expected a text that is not empty")
    return value


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """One text or a list of them."""
    value = row.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(each, str) and each for each in texts):
        raise _Wrong(key, f'`{key}` is {_shown(value)}, expected texts: ["one", "another"]')
    return tuple(texts)


def _patterns(row: Mapping[str, Any]) -> tuple[str, ...]:
    patterns = _texts(row, "matches")
    for each in patterns:
        try:
            re.compile(each)
        except (re.error, RecursionError, OverflowError) as error:
            raise _Wrong("matches", f"`{each}` is no regular expression: {error}") from None
    return patterns


def _of(row: Mapping[str, Any], key: str, kind: type, expected: str) -> Any:
    value = row.get(key)
    if value is not None and not isinstance(value, kind):
        raise _Wrong(key, f"`{key}` is {_shown(value)}, expected {expected}")
    return value


def _positive(row: Mapping[str, Any], key: str, kind: Any, expected: str) -> Any:
    value = row.get(key)
    if value is None:
        return None
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise _Wrong(key, f"`{key}` is {_shown(value)}, expected {expected}")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return f"`{text[:60]}{'…' if len(text) > 60 else ''}`"
