"""The code that is asked about: a named file, or text from stdin, cut like any other."""

from __future__ import annotations

import os
from dataclasses import dataclass

from trueup.errors import ConfigError
from trueup.similarity.cut import MINIMUM_TOKENS, cut, whole_file
from trueup.similarity.files import Source, read_source
from trueup.similarity.language import BY_NAME, languages_of
from trueup.similarity.snippet import Note, Snippet


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A file's snippets and its text as a whole; `real_path` is None for stdin."""

    path: str
    real_path: str | None
    whole: Snippet
    snippets: tuple[Snippet, ...]
    notes: tuple[Note, ...]


def read_query(path: str, language: str | None = None) -> Query:
    """The query in a file, in `language` where one is named.

    Raises: ConfigError when it cannot be read or has no code.
    """
    if not os.path.exists(path):
        raise ConfigError("there is no such file", where=path)
    return query_of(read_source(path), path, os.path.realpath(path), language)


def query_of(
    source: Source, path: str, real_path: str | None, language: str | None = None
) -> Query:
    """The query that a text is; tiny snippets count where there are no others.

    Raises: ConfigError when it could not be read or has no code.
    """
    if source.text is None:
        raise ConfigError(f"what is to be compared {source.cause}", where=path)
    if not source.text.strip():
        raise ConfigError("there is no code to compare: it is empty", where=path)
    languages = (BY_NAME[language],) if language else languages_of(path, source.text)
    found = cut(source.text, path, languages)
    if not found.snippets:
        found = cut(source.text, path, languages, minimum_tokens=0)
    notes = found.notes
    if source.cause is not None:
        notes = (Note(path=path, cause=source.cause), *notes)
    if not languages:
        notes = (Note(path=path, cause="is in no known language: compared as a whole"), *notes)
    if found.tiny_count:
        cause = f"{found.tiny_count} snippets of fewer than {MINIMUM_TOKENS} tokens are left out"
        notes = (*notes, Note(path=path, cause=cause))
    return Query(
        path=path,
        real_path=real_path,
        whole=whole_file(source.text, path, found.language),
        snippets=found.snippets,
        notes=notes,
    )
