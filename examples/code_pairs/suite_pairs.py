"""Writes the pairs that `trueup suite` measures similarity by: some of pairs.jsonl, as it stands.

Half are alike, of every kind in turn, and half are unrelated. Near misses stay out: code that
differs in one sign is alike to any model of similarity, and its share would be most of the figure.

python examples/code_pairs/suite_pairs.py > src/trueup/suite/pairs.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

COUPLES = 20
KINDS = ("rewritten", "translated", "renamed", "reordered")
PAIRS = Path(__file__).with_name("pairs.jsonl")


def chosen_lines() -> list[str]:
    """The lines, coupled problems together; the same on every machine."""
    lines = PAIRS.read_text(encoding="utf-8").splitlines()
    rows = [(json.loads(line), line) for line in lines]
    couples = sorted({tuple(row["group"]) for row, _ in rows if row["kind"] == "unrelated"})
    chosen: list[str] = []
    turn = 0
    for couple in couples[:COUPLES]:
        chosen += [line for row, line in rows if tuple(row["group"]) == couple]
        for group in couple:
            of_kind = {row["kind"]: line for row, line in reversed(rows) if row["group"] == group}
            order = (*KINDS[turn % len(KINDS) :], *KINDS[: turn % len(KINDS)])
            chosen.append(next(of_kind[kind] for kind in order if kind in of_kind))
            turn += 1
    return chosen


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print("\n".join(chosen_lines()))
