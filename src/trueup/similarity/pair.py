"""What a labelled pair of code is, samples of pairs, and notes on pairs that repeat others."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trueup.errors import ConfigError

UNKNOWN_LANGUAGE = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One side of a pair: a text and the language it is written in."""

    language: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pieces of code and whether they do the same (`label` 1) or not (0).

    `groups` names the base problems that they come from; pairs with a group in common
    depend on each other. Empty where the data do not say.
    """

    id: str
    left: Code
    right: Code
    label: int
    kind: str | None = None
    groups: tuple[str, ...] = ()
    where: str

    @property
    def languages(self) -> str:
        """Both languages in the order of the alphabet: a pair has no direction."""
        return "-".join(sorted((self.left.language, self.right.language)))

    @property
    def codes(self) -> frozenset[str]:
        """The two codes, in no order; one where both sides are the same."""
        return frozenset((self.left.text, self.right.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSet:
    """Pairs with where they come from.

    `drawn` says in words how a sample was drawn, None where every pair is here. `classes` is for
    sets that ask for retrieval: programs by the problem that they solve.
    """

    pairs: tuple[Pair, ...]
    source: str
    format: str
    drawn: str | None = None
    notes: tuple[str, ...] = ()
    classes: dict[str, tuple[Code, ...]] | None = None


def drawn_sample(pairs: PairSet, limit: int, seed: int) -> PairSet:
    """At most `limit` of the pairs, drawn so that each label keeps its share."""
    if len(pairs.pairs) <= limit:
        return pairs
    chosen = draw_by_label([pair.label for pair in pairs.pairs], limit, seed)
    return replace(
        pairs,
        pairs=tuple(pairs.pairs[i] for i in chosen),
        drawn=f"{limit:,} of {len(pairs.pairs):,} pairs, each label with its share, seed {seed}",
    )


def draw_by_label(labels: Sequence[int], limit: int, seed: int) -> list[int]:
    """The positions of `limit` rows in their order, each label with its share of them.

    A label that is there is never drawn less than once where `limit` has room for both.
    """
    rows = {label: [i for i, each in enumerate(labels) if each == label] for label in (0, 1)}
    alike = round(limit * len(rows[1]) / len(labels))
    if rows[0] and rows[1] and limit > 1:
        alike = min(max(alike, 1), limit - 1)
    generator = random.Random(seed)
    counts = {1: min(alike, len(rows[1]))}
    counts[0] = limit - counts[1]
    return sorted(i for label in (1, 0) for i in generator.sample(rows[label], counts[label]))


def repeats(pairs: Sequence[Pair], *, contradictions_are_errors: bool) -> tuple[str, ...]:
    """Notes on pairs that are there twice or hold one code on both sides.

    Raises:
        ConfigError: where contradictions are errors, two pairs give the same codes two labels.
    """
    return (
        *_twins(pairs, is_error=contradictions_are_errors),
        *_contradictions(pairs, is_error=contradictions_are_errors),
    )


def _twins(pairs: Sequence[Pair], *, is_error: bool) -> list[str]:
    same = [pair for pair in pairs if len(pair.codes) == 1]
    against = [pair for pair in same if pair.label == 0]
    if against and is_error:
        raise ConfigError(
            "the pair has label `0` and the same code on both sides", where=against[0].where
        )
    notes = [f"{counted(len(same), 'pair')} with the same code on both sides"] if same else []
    return [*notes, f"{len(against):,} of them with label 0"] if against else notes


def _contradictions(pairs: Sequence[Pair], *, is_error: bool) -> list[str]:
    first: dict[frozenset[str], Pair] = {}
    doubles = against = 0
    for pair in pairs:
        other = first.setdefault(pair.codes, pair)
        if other is pair:
            continue
        doubles += 1
        if other.label == pair.label:
            continue
        against += 1
        if is_error:
            raise ConfigError(
                f"the pair has label `{pair.label}`, and {other.where} gives the same two codes"
                f" label `{other.label}`",
                where=pair.where,
            )
    notes = [f"{counted(doubles, 'pair')} with the codes of an earlier one"] if doubles else []
    return [*notes, f"{against:,} of them with the other label"] if against else notes


def counted(number: int, noun: str) -> str:
    """`1 pair`, `1,200 pairs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
