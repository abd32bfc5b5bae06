"""Compose pairs.jsonl from the sources, the same on every machine.

Run it after editing a source: `python examples/code_pairs/build.py`; with `--check` it
writes nothing and exits 1 when pairs.jsonl is not what the sources give.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "sources"
PAIRS = HERE / "pairs.jsonl"
UNRELATED = HERE / "unrelated.json"
SEED = 2024
UNRELATED_PER_COUPLE = 2
LANGUAGES = {
    "py": "python",
    "js": "javascript",
    "java": "java",
    "go": "go",
    "c": "c",
    "cpp": "cpp",
    "rs": "rust",
    "rb": "ruby",
    "php": "php",
    "cs": "csharp",
}
SAME_FUNCTION = ("base", "renamed", "reordered", "rewritten", "translated")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One file of a group: a function in one language."""

    group: str
    path: Path

    @property
    def role(self) -> str:
        """What its file name says it is: `base`, `renamed`, …, `near_miss`."""
        return self.path.stem.rstrip("_0123456789")

    @property
    def language(self) -> str:
        """The language as the pairs name it."""
        return LANGUAGES[self.path.suffix.removeprefix(".")]

    @cached_property
    def code(self) -> str:
        """The text that goes into a pair, without the last newline."""
        return self.path.read_text(encoding="utf-8").rstrip("\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two variants, 1 where they compute the same function, and how they differ."""

    left: Variant
    right: Variant
    label: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A base problem: the variants that solve it and those that nearly do."""

    name: str
    same: tuple[Variant, ...]
    near: tuple[Variant, ...]


def read_groups(sources: Path = SOURCES) -> list[Group]:
    """Return every group in the order of its name."""
    groups = []
    for folder in sorted(path for path in sources.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.iterdir() if path.suffix != ".json")
        variants = [Variant(group=folder.name, path=path) for path in files]
        groups.append(
            Group(
                name=folder.name,
                same=tuple(v for v in variants if v.role in SAME_FUNCTION),
                near=tuple(v for v in variants if v.role == "near_miss"),
            )
        )
    return groups


def read_cases(group: str) -> list[list[object]]:
    """Return the argument lists on which a group's functions are compared."""
    text = (SOURCES / group / "cases.json").read_text(encoding="utf-8")
    cases: list[list[object]] = json.loads(text)["cases"]
    return cases


def kind_of(left: Variant, right: Variant) -> str:
    """Name how two variants of one function differ, the strongest difference first."""
    if left.language != right.language:
        return "translated"
    return max(left.role, right.role, key=SAME_FUNCTION.index)


def same_pairs(group: Group, rng: random.Random) -> list[Pair]:
    """Pair the variants of one function so that each comes up at least once."""
    base, others = group.same[0], rng.sample(group.same[1:], len(group.same) - 1)
    chosen = [(base, other) for other in others[:3]]
    # Two that are not the base lie further apart than either from it.
    chosen.append((others[-1], rng.choice(others[3:-1] or others[:-1])))
    return [
        Pair(left=left, right=right, label=1, kind=kind_of(left, right)) for left, right in chosen
    ]


def near_pairs(group: Group, rng: random.Random) -> list[Pair]:
    """Pair each near miss with one true variant: one with its closest text, the rest with others.

    Were all of them close, a text distance would tell the labels apart, the wrong way round.
    """
    pairs = []
    close = rng.choice(group.near)
    for miss in group.near:
        ranked = sorted(group.same, key=lambda variant: likeness(variant.code, miss.code))
        partner = ranked[-1] if miss is close else rng.choice(ranked[:-1])
        pairs.append(Pair(left=partner, right=miss, label=0, kind="near_miss"))
    return pairs


def likeness(left: str, right: str) -> float:
    """Share of equal characters, 1.0 for equal texts."""
    return difflib.SequenceMatcher(None, left, right, autojunk=False).ratio()


def unrelated_pairs(groups: dict[str, Group], rng: random.Random) -> list[Pair]:
    """Pair functions of two groups, only ever of the two that unrelated.json couples.

    More links would tie all groups together, and pairs of tied groups cannot be split into
    those that choose a threshold and those that measure it.
    """
    couples = json.loads(UNRELATED.read_text(encoding="utf-8"))["couples"]
    named = [name for couple in couples for name in couple]
    if sorted(named) != sorted(groups):
        wrong = set(named) ^ set(groups) or {name for name in named if named.count(name) > 1}
        raise SystemExit(f"unrelated.json must name each group once, see: {sorted(wrong)}")
    pairs = []
    for one, other in couples:
        lefts = rng.sample(groups[one].same, UNRELATED_PER_COUPLE)
        rights = rng.sample(groups[other].same, UNRELATED_PER_COUPLE)
        pairs += [
            Pair(left=left, right=right, label=0, kind="unrelated")
            for left, right in zip(lefts, rights, strict=True)
        ]
    return pairs


def row_of(pair: Pair) -> dict[str, object]:
    """Return the line of a pair; which variant stands left is drawn."""
    text = "\0".join(side.code for side in (pair.left, pair.right))
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]
    sides = random.Random(digest).sample([pair.left, pair.right], 2)
    names = sorted({side.group for side in sides})
    return {
        "id": f"{names[0]}-{digest}",
        "left": {"language": sides[0].language, "code": sides[0].code},
        "right": {"language": sides[1].language, "code": sides[1].code},
        "label": pair.label,
        "kind": pair.kind,
        "group": names[0] if len(names) == 1 else names,
    }


def compose() -> list[Pair]:
    """Return every pair, in the order of the groups."""
    groups = {group.name: group for group in read_groups()}
    pairs = []
    for group in groups.values():
        # A seed of its own keeps a group's pairs as they are when another group changes.
        rng = random.Random(f"{SEED}-{group.name}")
        pairs += same_pairs(group, rng) + near_pairs(group, rng)
    return pairs + unrelated_pairs(groups, random.Random(SEED))


def text_of(pairs: list[Pair]) -> str:
    """Return the text of pairs.jsonl, sorted by id."""
    rows = sorted(map(row_of, pairs), key=lambda row: str(row["id"]))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main(arguments: list[str]) -> int:
    """Write pairs.jsonl, or with `--check` compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 on a change")
    options = parser.parse_args(arguments)
    pairs = compose()
    text = text_of(pairs)
    if options.check:
        if PAIRS.is_file() and PAIRS.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAIRS.name} is not what the sources give: run build.py", file=sys.stderr)
        return 1
    PAIRS.write_text(text, encoding="utf-8")
    for name, counts in tables(pairs).items():
        print(f"{name}: " + ", ".join(f"{key} {count}" for key, count in counts.items()))
    return 0


def tables(pairs: list[Pair]) -> dict[str, dict[str, int]]:
    """Count pairs by label and kind, and sides by language."""
    sides = [side for pair in pairs for side in (pair.left, pair.right)]
    return {
        "label": counted(str(pair.label) for pair in pairs),
        "kind": counted(pair.kind for pair in pairs),
        "language": counted(side.language for side in sides),
    }


def counted(names: Iterable[str]) -> dict[str, int]:
    """Count names, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
