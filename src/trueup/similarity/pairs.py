"""Reads labelled pairs of code in TrueUp's own format, or flat as the hub has them.

One JSON object a line; docs/evaluation.md describes it. Nothing is skipped: a line that cannot
be meant is an error with its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trueup.errors import ConfigError
from trueup.similarity.json_lines import json_lines, shown
from trueup.similarity.pair import UNKNOWN_LANGUAGE, Code, Pair, PairSet, repeats
from trueup.similarity.row import MAX_CODE_BYTES, code_of, index_of, label_of

KEYS = ("id", "left", "right", "label", "kind", "group", "note")
SIDE_KEYS = ("language", "code", "path")
# Two codes in one flat object, as CodeXGLUE's clone detection is published on the hub.
FLAT_SIDES = (("func1", "func2"), ("code1", "code2"))
FLAT_KEYS = ("id", "id1", "id2", "label", "kind", "group", "language", "note")


def read_pairs(path: Path) -> PairSet:
    """Read a file of pairs in TrueUp's format or in the flat one.

    Raises:
        ConfigError: the file or one of its lines cannot be used, holds no pair, has an id
            twice, or labels the same two codes in two ways.
    """
    pairs: list[Pair] = []
    for where, row in json_lines(path):
        number = len(pairs) + 1
        if {"func", "idx"} <= row.keys():
            raise ConfigError(
                "the line is a function of BigCloneBench, expected a pair",
                where=where,
                hint="name the test.txt beside this file, or their folder",
            )
        if any(side[0] in row or side[1] in row for side in FLAT_SIDES):
            pairs.append(_flat_pair(row, where, number))
        else:
            pairs.append(_pair(row, where, number, path.parent))
    if not pairs:
        raise ConfigError("the file holds no pairs", where=str(path))
    _refuse_twice(pairs)
    _refuse_mixed_groups(pairs)
    notes = repeats(pairs, contradictions_are_errors=True)
    return PairSet(pairs=tuple(pairs), source=str(path), format="pairs", notes=notes)


def _pair(row: dict[str, Any], where: str, number: int, folder: Path) -> Pair:
    _check_keys(row, KEYS, where)
    for key in ("left", "right", "label"):
        if key not in row:
            raise ConfigError(f"the key `{key}` is missing", where=where)
    return Pair(
        id=index_of(row.get("id", number), "id", where),
        left=_side(row["left"], f"{where}: left", folder),
        right=_side(row["right"], f"{where}: right", folder),
        label=label_of(row["label"], where),
        kind=_text(row, "kind", where),
        groups=_groups(row, where),
        where=where,
    )


def _flat_pair(row: dict[str, Any], where: str, number: int) -> Pair:
    names = next(side for side in FLAT_SIDES if side[0] in row or side[1] in row)
    _check_keys(row, (*names, *FLAT_KEYS), where)
    for key in (*names, "label"):
        if key not in row:
            raise ConfigError(f"the key `{key}` is missing", where=where)
    language = (_text(row, "language", where) or UNKNOWN_LANGUAGE).lower()
    left, right = (Code(language=language, text=_code(row[name], name, where)) for name in names)
    return Pair(
        id=index_of(row.get("id", number), "id", where),
        left=left,
        right=right,
        label=label_of(row["label"], where),
        kind=_text(row, "kind", where),
        groups=_groups(row, where),
        where=where,
    )


def _check_keys(row: dict[str, Any], known: Sequence[str], where: str) -> None:
    for name in row:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            listing = ", ".join(f"`{each}`" for each in known)
            raise ConfigError(
                f"{shown(name)} is not a key here",
                where=where,
                hint=f"did you mean `{near[0]}`" if near else f"known here: {listing}",
            )


def _side(value: Any, where: str, folder: Path) -> Code:
    if not isinstance(value, dict):
        raise ConfigError(
            f"this is {shown(value)}, expected an object with `language` and `code`", where=where
        )
    _check_keys(value, SIDE_KEYS, where)
    language = _text(value, "language", where)
    if language is None:
        raise ConfigError("the key `language` is missing", where=where)
    if ("code" in value) == ("path" in value):
        found = "both" if "code" in value else "neither"
        raise ConfigError(f"{found} `code` and `path`, expected one of them", where=where)
    code = value["code"] if "code" in value else _file_text(value["path"], where, folder)
    return Code(
        language=language.lower(), text=_code(code, "code" if "code" in value else "path", where)
    )


def _code(value: object, key: str, where: str) -> str:
    code = code_of(value, key, where)
    if not code.strip():
        raise ConfigError(f"`{key}` is empty, expected code", where=where)
    return code


def _file_text(value: Any, where: str, folder: Path) -> str:
    """The text of a file that a pair names, which must lie below the folder of the pairs."""
    place = f"{where}.path"
    if not isinstance(value, str) or not value:
        raise ConfigError(f"`path` is {shown(value)}, expected a file's path", where=place)
    try:
        base, path = folder.resolve(), (folder / value).resolve()
        if not path.is_relative_to(base):
            raise ConfigError(
                f"`path` is {shown(value)}, which leads out of the folder of the pairs", where=place
            )
        if not path.is_file():
            found = "is no file" if path.exists() else "does not exist"
            raise ConfigError(f"`path` is {shown(value)}, which {found}", where=place)
        if path.stat().st_size > MAX_CODE_BYTES:
            raise ConfigError(
                f"{shown(value)} has {path.stat().st_size:,} bytes, expected at most"
                f" {MAX_CODE_BYTES:,}",
                where=place,
            )
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{shown(value)} is not UTF-8 at offset {error.start}", where=place
        ) from error
    except (OSError, ValueError, RuntimeError) as error:  # a NUL; links in a circle
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{shown(value)} cannot be read: {reason}", where=place) from error


def _text(row: dict[str, Any], key: str, where: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"`{key}` is {shown(value)}, expected a text", where=where)
    return value.strip()


def _groups(row: dict[str, Any], where: str) -> tuple[str, ...]:
    value = row.get("group")
    if value is None:
        return ()
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(each, str) and each.strip() for each in names):
        raise ConfigError(
            f"`group` is {shown(value)}, expected the base problem's name, or a list of the names"
            " of both",
            where=where,
        )
    return tuple(sorted({each.strip() for each in names}))


def _refuse_twice(pairs: Iterable[Pair]) -> None:
    seen: dict[str, str] = {}
    for pair in pairs:
        if pair.id in seen:
            raise ConfigError(
                f"the id {shown(pair.id)} is taken by {seen[pair.id]}", where=pair.where
            )
        seen[pair.id] = pair.where


def _refuse_mixed_groups(pairs: Sequence[Pair]) -> None:
    without = next((pair for pair in pairs if not pair.groups), None)
    if without is not None and any(pair.groups for pair in pairs):
        raise ConfigError(
            "the pair has no `group` and others have: a split by group needs it in every pair",
            where=without.where,
            hint="give the pair the name of its base problem",
        )
