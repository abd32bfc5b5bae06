"""Collections of given vectors, without files or an index."""

from __future__ import annotations

from typing import Any

import numpy as np

from trueup.similarity.collection import Collection
from trueup.similarity.snippet import Kind, Place, Snippet, digest_of

LINE_BYTES = 100


def place(path: str, first: int = 1, last: int = 0, kind: Kind = "function") -> Place:
    last = last or first + 4
    return Place(
        path=path,
        language="python",
        kind=kind,
        name=f"{path}_{first}",
        first_line=first,
        last_line=last,
        first_byte=(first - 1) * LINE_BYTES,
        end_byte=last * LINE_BYTES,
    )


def snippet(path: str, first: int = 1) -> Snippet:
    text = f"{path}:{first}"
    return Snippet(place=place(path, first), text=text, digest=digest_of(text))


def collection(*places_and_vectors: Any) -> Collection:
    """From places (or their paths and first lines) and the vector of each text, in turns."""
    places = tuple(
        tuple(each if isinstance(each, Place) else place(*each) for each in these)
        for these in places_and_vectors[::2]
    )
    vectors = places_and_vectors[1::2]
    return Collection(
        digests=tuple(digest_of(str(number)) for number in range(len(places))),
        places=places,
        matrix=np.stack(vectors) if vectors else np.empty((0, 0), np.float32),
    )
