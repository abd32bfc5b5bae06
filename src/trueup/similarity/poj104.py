"""POJ-104: programs by the problem that they solve, as CodeXGLUE's JSON Lines or the raw folder.

A set for retrieval: pairs of one problem and of two are drawn from it, and the programs are kept
by problem for MAP@R.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup.errors import ConfigError
from trueup.similarity.json_lines import json_lines
from trueup.similarity.pair import Code, Pair, PairSet, counted, repeats
from trueup.similarity.row import code_of, index_of

LANGUAGE = "cpp"
RAW_FOLDER = "ProgramData"
SPLITS = ("test", "valid", "train")

Classes = dict[str, list[Code]]


def read_poj104(path: Path, *, limit: int, seed: int) -> PairSet:
    """At most `limit` programs and as many pairs of them, and the programs by their problem.

    Raises:
        ConfigError: the path holds no POJ-104, or a line or file of it cannot be used.
    """
    source = path
    if path.is_dir():
        file, raw = split_file(path, ".jsonl"), raw_folder(path)
        if file is None and raw is None:
            raise ConfigError(f"no test.jsonl and no {RAW_FOLDER}/ is there", where=str(path))
        source = file or raw or path
    rows = _raw_programs(source) if source.is_dir() else _listed_programs(source)
    classes, notes = _classes(rows)
    total = sum(map(len, classes.values()))
    if len(classes) < 2:
        raise ConfigError(
            f"{counted(len(classes), 'problem')} with two programs or more, expected at least 2",
            where=str(source),
        )
    generator = random.Random(seed)
    kept = _drawn_programs(classes, limit, generator)
    programs = sum(map(len, kept.values()))
    pairs = _drawn_pairs(kept, limit, generator, str(source))
    return PairSet(
        pairs=pairs,
        source=str(source),
        format="poj104",
        drawn=(
            f"{programs:,} of {total:,} programs of {len(kept)} of {len(classes)} problems,"
            f" {len(pairs):,} pairs of them, half of one problem, seed {seed}"
        ),
        notes=(*notes, *repeats(pairs, contradictions_are_errors=False)),
        classes={name: tuple(each) for name, each in kept.items()},
    )


def raw_folder(path: Path) -> Path | None:
    """The folder with one folder of programs for each problem: `path`, or ProgramData in it."""
    for folder in (path / RAW_FOLDER, path):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                if any(each.name.isdigit() and each.is_dir() for each in entries):
                    return folder
    return None


def split_file(folder: Path, suffix: str) -> Path | None:
    """The first of SPLITS that is there, the one to measure on before the others."""
    files = (folder / f"{name}{suffix}" for name in SPLITS)
    return next((file for file in files if file.is_file()), None)


def _listed_programs(path: Path) -> Iterator[tuple[str, Code]]:
    for where, row in json_lines(path):
        for key in ("label", "code"):
            if key not in row:
                raise ConfigError(f"the key `{key}` is missing", where=where)
        code = code_of(row["code"], "code", where)
        yield index_of(row["label"], "label", where), Code(language=LANGUAGE, text=code)


def _raw_programs(folder: Path) -> Iterator[tuple[str, Code]]:
    try:
        for problem in sorted(folder.iterdir(), key=lambda each: (len(each.name), each.name)):
            if not problem.name.isdigit() or not problem.is_dir():
                continue
            for file in sorted(problem.iterdir()):
                if file.is_file() and not file.name.startswith("."):
                    # The programs are of several encodings; every byte is a latin-1 character.
                    code = file.read_text(encoding="latin-1")
                    yield problem.name, Code(language=LANGUAGE, text=code)
    except OSError as error:
        raise ConfigError(
            f"a program cannot be read: {error.strerror or error}",
            where=str(error.filename or folder),
        ) from error


def _classes(rows: Iterator[tuple[str, Code]]) -> tuple[Classes, list[str]]:
    """The different programs of each problem with two or more, and what was left out."""
    seen: dict[str, dict[str, Code]] = {}
    empty = doubles = 0
    for problem, code in rows:
        programs = seen.setdefault(problem, {})
        if not code.text.strip():
            empty += 1
        elif code.text in programs:
            doubles += 1
        else:
            programs[code.text] = code
    lonely = sum(1 for programs in seen.values() if len(programs) < 2)
    notes = [
        f"{counted(number, 'program')} left out: {reason}"
        for number, reason in ((empty, "empty"), (doubles, "the same text twice in one problem"))
        if number
    ]
    if lonely:
        notes.append(f"{counted(lonely, 'problem')} left out: fewer than two programs")
    classes = {name: list(each.values()) for name, each in seen.items() if len(each) > 1}
    return classes, notes


def _drawn_programs(classes: Classes, limit: int, generator: random.Random) -> Classes:
    """The same number of programs of each problem where all together are more than `limit`."""
    if sum(map(len, classes.values())) <= limit:
        return classes
    names = sorted(classes)
    if len(names) * 2 > limit:
        names = sorted(generator.sample(names, max(2, limit // 2)))
    share = max(2, limit // len(names))
    return {name: generator.sample(classes[name], min(share, len(classes[name]))) for name in names}


def _drawn_pairs(
    classes: Classes, limit: int, generator: random.Random, source: str
) -> tuple[Pair, ...]:
    """As many pairs of one problem as of two, no pair twice, the problems evenly."""
    names = sorted(classes)
    possible = {name: math.comb(len(classes[name]), 2) for name in names}
    wanted = min(limit // 2, sum(possible.values()))
    chosen = [
        (name, i, name, j)
        for name, share in _even_shares(possible, wanted).items()
        for i, j in map(_combination, generator.sample(range(possible[name]), share))
    ]
    most = sum(len(classes[a]) * len(classes[b]) for a, b in itertools.combinations(names, 2))
    different: dict[tuple[str, int, str, int], None] = {}
    while len(different) < min(wanted, most):
        one, other = sorted(generator.sample(names, 2))
        i, j = (generator.randrange(len(classes[name])) for name in (one, other))
        different[one, i, other, j] = None
    return tuple(
        Pair(
            id=f"{one}/{i}-{other}/{j}",
            left=classes[one][i],
            right=classes[other][j],
            label=int(one == other),
            kind="one problem" if one == other else "two problems",
            groups=tuple(sorted({one, other})),
            where=source,
        )
        for one, i, other, j in (*chosen, *different)
    )


def _even_shares(possible: Mapping[str, int], wanted: int) -> dict[str, int]:
    """How many of each, as evenly as what is possible lets it be; their sum is `wanted`."""
    shares: dict[str, int] = {}
    left = wanted
    for rank, name in enumerate(sorted(possible, key=lambda each: (possible[each], each))):
        shares[name] = min(possible[name], math.ceil(left / (len(possible) - rank)))
        left -= shares[name]
    return shares


def _combination(index: int) -> tuple[int, int]:
    """The pair `i < j` at a position where pairs are ordered by `j`, then by `i`."""
    j = (1 + math.isqrt(1 + 8 * index)) // 2
    return index - j * (j - 1) // 2, j
