"""The answers of `trueup similar` as the data that `--format json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trueup.similarity.comparison import DirectoryAnswer, FilesAnswer
from trueup.similarity.duplicates import Duplicates
from trueup.similarity.query import Query
from trueup.similarity.search import Match, Pair
from trueup.similarity.snippet import Note, Place

SCHEMA_VERSION = 1


def files_report(
    answer: FilesAnswer, model: str, first: Query, second: Query, min_score: float | None
) -> dict[str, Any]:
    """What `trueup similar A B` found."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "similar_files",
        "model": {"name": model, "identity": answer.identity},
        "min_score": min_score,
        "files": {
            "a": _place(first.whole.place, first.whole.digest),
            "b": _place(second.whole.place, second.whole.digest),
            "score": answer.score,
        },
        "pairs": [_pair(pair) for pair in answer.pairs],
        "left_out": answer.left_out_count,
        "counts": {
            "snippets_a": len(first.snippets),
            "snippets_b": len(second.snippets),
            "embedded": answer.embedded.new,
            "reused": answer.embedded.reused,
        },
        "notes": _notes((*first.notes, *second.notes)),
    }


def search_report(
    answer: DirectoryAnswer, model: str, root: str, query: Query, min_score: float | None
) -> dict[str, Any]:
    """What `trueup similar FILE --in DIR` found."""
    return {
        **_head("similar_search", answer, model, root, min_score),
        "queries": [
            {**_place(snippet.place, snippet.digest), "matches": [_match(each) for each in matches]}
            for snippet, matches in answer.matches
        ],
        "counts": _counts(answer),
        "notes": _notes((*query.notes, *answer.scanned.notes)),
    }


def duplicates_report(
    answer: DirectoryAnswer, found: Duplicates, model: str, root: str, min_score: float
) -> dict[str, Any]:
    """What `trueup similar --duplicates DIR` found."""
    return {
        **_head("similar_duplicates", answer, model, root, min_score),
        "groups": [
            {"score": 1.0, "places": [_place(each, group.digest) for each in group.places]}
            for group in found.groups
        ],
        "pairs": [_pair(pair) for pair in found.pairs],
        "best_score": found.best_score,
        "within": found.within_count,
        "left_out": found.left_out_count,
        "counts": _counts(answer),
        "notes": _notes(answer.scanned.notes),
    }


def _head(
    kind: str, answer: DirectoryAnswer, model: str, root: str, min_score: float | None
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "model": {"name": model, "identity": answer.identity},
        "root": root,
        "search": "exact" if answer.is_exact else "approximate",
        "min_score": min_score,
    }


def _counts(answer: DirectoryAnswer) -> dict[str, int]:
    return {
        "files": answer.scanned.file_count,
        "files_changed": answer.scanned.changed_count,
        "snippets": answer.snippet_count,
        "tiny_left_out": answer.scanned.tiny_count,
        "texts": answer.text_count,
        "embedded": answer.embedded.new,
        "reused": answer.embedded.reused,
    }


def _place(place: Place, digest: str) -> dict[str, Any]:
    return {
        "path": place.path,
        "first_line": place.first_line,
        "last_line": place.last_line,
        "name": place.name,
        "kind": place.kind,
        "language": place.language,
        "sha256": digest,
    }


def _match(match: Match) -> dict[str, Any]:
    return {**_text(match.place, match.copies, match.digest), "score": match.score}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "score": pair.score,
        "a": _text(pair.first, pair.first_copies, pair.first_digest),
        "b": _text(pair.second, pair.second_copies, pair.second_digest),
    }


def _text(place: Place, copies: Iterable[Place], digest: str) -> dict[str, Any]:
    return {**_place(place, digest), "copies": [_place(each, digest) for each in copies]}


def _notes(notes: Iterable[Note]) -> list[dict[str, Any]]:
    return [{"path": each.path, "line": each.line, "cause": each.cause} for each in notes]
