"""Public clone-detection sets as they lie on a user's disk, and which of the formats a path is.

BigCloneBench as CodeXGLUE ships it (data.jsonl and `idx1 idx2 label` lines), POJ-104 as its
JSON Lines or as the raw folder of programs. Large sets are sampled, which the result says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trueup.errors import ConfigError
from trueup.similarity.json_lines import json_lines, shown, text_lines
from trueup.similarity.pair import (
    Code,
    Pair,
    PairSet,
    counted,
    draw_by_label,
    drawn_sample,
    repeats,
)
from trueup.similarity.pairs import read_pairs
from trueup.similarity.poj104 import RAW_FOLDER, raw_folder, read_poj104, split_file
from trueup.similarity.row import code_of, index_of, label_of

FORMATS = ("pairs", "bigclonebench", "poj104")
# What is drawn of a public set unless asked otherwise: some minutes of embedding on a CPU.
PUBLIC_LIMIT = 2000
FUNCTIONS_FILE = "data.jsonl"
BIGCLONEBENCH_LANGUAGE = "java"
ORDER = "test.txt, valid.txt or train.txt"


def load_pairs(
    path: Path, *, form: str = "auto", limit: int | None = None, seed: int = 0
) -> PairSet:
    """Read labelled pairs in any of FORMATS; `auto` finds out which.

    At most `limit` pairs, by default all of a file of pairs and PUBLIC_LIMIT of a public set;
    of POJ-104 at most as many programs, too. The same seed draws the same sample.

    Raises:
        ConfigError: the path holds none of the formats, or a line cannot be used.
    """
    try:
        if not path.exists():
            raise ConfigError("there is no such file or folder", where=str(path))
        found = _format_of(path) if form == "auto" else form
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the path cannot be read: {reason}", where=str(path)) from error
    if found == "pairs":
        pairs = read_pairs(path)
        return pairs if limit is None else drawn_sample(pairs, limit, seed)
    reader = _read_bigclonebench if found == "bigclonebench" else read_poj104
    return reader(path, limit=PUBLIC_LIMIT if limit is None else limit, seed=seed)


def _format_of(path: Path) -> str:
    if path.is_dir():
        if (path / FUNCTIONS_FILE).is_file():
            return "bigclonebench"
        if split_file(path, ".jsonl") or raw_folder(path):
            return "poj104"
        raise ConfigError(
            f"the folder holds neither BigCloneBench ({FUNCTIONS_FILE} and {ORDER}) nor POJ-104"
            f" (test.jsonl or {RAW_FOLDER}/)",
            where=str(path),
            hint="name a file of pairs, or say what it is with --pairs-format",
        )
    if path.suffix == ".txt" and (path.parent / FUNCTIONS_FILE).is_file():
        return "bigclonebench"
    first = next(json_lines(path), None)
    return "poj104" if first is not None and _is_program(first[1]) else "pairs"


def _is_program(row: Mapping[str, object]) -> bool:
    return "code" in row and "label" in row and "left" not in row


def _read_bigclonebench(path: Path, *, limit: int, seed: int) -> PairSet:
    folder = path if path.is_dir() else path.parent
    listing = split_file(path, ".txt") if path.is_dir() else path
    if listing is None or listing.name == FUNCTIONS_FILE:
        raise ConfigError(f"the pairs are missing, expected {ORDER}", where=str(folder))
    codes = _functions(folder / FUNCTIONS_FILE)
    rows = [_triple(text, where, codes) for where, text in text_lines(listing)]
    if not rows:
        raise ConfigError("the file holds no pairs", where=str(listing))
    kept = [row for row in rows if codes[row[0]].strip() and codes[row[1]].strip()]
    notes = []
    if len(kept) < len(rows):
        notes.append(f"{counted(len(rows) - len(kept), 'pair')} left out: a function is empty")
    drawn = None
    if len(kept) > limit:
        drawn = f"{limit:,} of {len(kept):,} pairs, each label with its share, seed {seed}"
        kept = [kept[i] for i in draw_by_label([row[2] for row in kept], limit, seed)]
    pairs = tuple(
        Pair(
            id=f"{left}-{right}",
            left=Code(language=BIGCLONEBENCH_LANGUAGE, text=codes[left]),
            right=Code(language=BIGCLONEBENCH_LANGUAGE, text=codes[right]),
            label=label,
            where=where,
        )
        for left, right, label, where in kept
    )
    return PairSet(
        pairs=pairs,
        source=str(listing),
        format="bigclonebench",
        drawn=drawn,
        notes=(*notes, *repeats(pairs, contradictions_are_errors=False)),
    )


def _functions(path: Path) -> dict[str, str]:
    codes: dict[str, str] = {}
    for where, row in json_lines(path):
        for key in ("func", "idx"):
            if key not in row:
                raise ConfigError(f"the key `{key}` is missing", where=where)
        index = index_of(row["idx"], "idx", where)
        if index in codes:
            raise ConfigError(f"`idx` is {shown(index)}, which an earlier line has", where=where)
        codes[index] = code_of(row["func"], "func", where)
    return codes


def _triple(text: str, where: str, codes: Mapping[str, str]) -> tuple[str, str, int, str]:
    words = text.split()
    if len(words) != 3:
        raise ConfigError(
            f"the line is {shown(text)}, expected `idx1`, `idx2` and a label between tabs",
            where=where,
        )
    left, right, label = words
    for index in (left, right):
        if index not in codes:
            raise ConfigError(f"there is no `idx` {shown(index)} in {FUNCTIONS_FILE}", where=where)
    return left, right, label_of(label, where), where
