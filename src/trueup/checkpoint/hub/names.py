"""The nearest real ids for one that does not exist: another owner, case, variant, or a typo.

Candidates are what the cache has, a list of well-known ids that ships with TrueUp, and what the
hub's search finds where it can be asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from types import MappingProxyType

from trueup.checkpoint.hub.cache import cached_ids
from trueup.checkpoint.hub.service import HUGGING_FACE, current

WELL_KNOWN = Path(__file__).with_name("well_known.txt")
SUGGESTIONS = 3
LEAST_LIKENESS = 0.72
OWNER_WEIGHT = 0.2
MORE_WORDS = 2
# Endings by which the models of one family and size differ.
VARIANTS = {"instruct", "chat", "base", "it", "hf", "pt", "thinking", "preview", "latest", "model"}
SAME = {"it": "instruct", "chat": "instruct", "inst": "instruct"}
SEPARATORS = re.compile(r"[^a-z0-9.]+")


def nearest(name: str, found: Iterable[str] = ()) -> list[str]:
    """The ids most like `name`, nearest first; `found` are candidates besides those known here.

    1. The same but for case and punctuation, of this owner or what it is called now, then of
    others. 2. The same words in another order. 3. Another word for the same. 4. Another variant
    of it. 5. A longer name with all its words. 6. Alike.
    """
    known, owners = _well_known()
    if current() is not HUGGING_FACE:  # there, others have other owners
        owner = _split(name)[0].lower()
        known = [each for each in known if owner in ("", _split(each)[0].lower())]
        owners = {}
    if name in known:  # it is real: only what is nearer to have can be meant
        known = []
    cached = cached_ids()
    rank = {each: 0 for each in cached} | {each: 1 for each in found}
    candidates = dict.fromkeys((*cached, *found, *known))
    scored = []
    for each in candidates:
        if each == name:
            continue
        likeness = _likeness(name, each, owners)
        if likeness is not None:
            scored.append((*likeness, rank.get(each, 2), len(each), each))
    return [each[-1] for each in sorted(scored)[:SUGGESTIONS]]


def search_words(name: str) -> list[str]:
    """What to ask a hub's search for: the whole name, then its family and size."""
    rest = _split(name)[1]
    words = [word for word in re.split(r"[-_]", rest) if word.lower() not in VARIANTS]
    return list(dict.fromkeys((rest, "-".join(words[:2]))))


def _likeness(name: str, candidate: str, owners: dict[str, str]) -> tuple[int, float] | None:
    """How near two ids are: a class, and how far apart within it; None where too far."""
    owner, rest = _split(name)
    its_owner, its_rest = _split(candidate)
    owner = owners.get(owner.lower(), owner)
    foreign = 0.0 if owner.lower() == its_owner.lower() else 0.5
    if _compact(rest) == _compact(its_rest):
        return 1, foreign
    words, its_words = _words(rest), _words(its_rest)
    if words == its_words:
        return 2, foreign
    if _words(rest, SAME) == _words(its_rest, SAME):
        return 3, foreign
    more, less = its_words - words, words - its_words
    if set(more + less) <= VARIANTS:
        return 4, foreign + more.total() + less.total()
    if not less and more.total() <= MORE_WORDS:
        return 5, foreign + more.total()
    alike = SequenceMatcher(None, _compact(rest), _compact(its_rest)).ratio()
    if owner:
        by_owner = SequenceMatcher(None, owner.lower(), its_owner.lower()).ratio()
        alike = (1 - OWNER_WEIGHT) * alike + OWNER_WEIGHT * by_owner
    return (6, 1 - alike) if alike >= LEAST_LIKENESS else None


def _split(name: str) -> tuple[str, str]:
    owner, slash, rest = name.partition("/")
    return (owner, rest) if slash else ("", owner)


def _compact(rest: str) -> str:
    return re.sub(r"[^a-z0-9]", "", rest.lower())


def _words(rest: str, same: Mapping[str, str] = MappingProxyType({})) -> Counter[str]:
    return Counter(same.get(word, word) for word in SEPARATORS.split(rest.lower()) if word)


@cache
def _well_known() -> tuple[Sequence[str], dict[str, str]]:
    """The ids of the list, and the new names of owners by their old ones in lower case."""
    ids: list[str] = []
    owners: dict[str, str] = {}
    for line in WELL_KNOWN.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        old, arrow, new = text.partition(" -> ")
        if arrow:
            owners[old.lower()] = new
        elif text:
            ids.append(text)
    return ids, owners
