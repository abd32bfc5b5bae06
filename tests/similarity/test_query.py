from __future__ import annotations

from pathlib import Path

import pytest

from trueup.errors import ConfigError
from trueup.similarity.files import Source, decode_source
from trueup.similarity.query import query_of, read_query

TINY = "def add(a, b):\n    return a + b\n"
LARGE = "def total(items):\n" + "".join(f"    x{i} = items[{i}]\n" for i in range(6))


def names(text: str, path: str = "a.py", language: str | None = None) -> list[str]:
    found = query_of(Source(text=text), path, None, language)
    return [snippet.place.name for snippet in found.snippets]


def test_tiny_functions_are_asked_about_where_there_are_no_others() -> None:
    assert names(TINY) == ["add"]
    assert names(f"{TINY}\n{LARGE}") == ["total"]
    found = query_of(Source(text=f"{TINY}\n{LARGE}"), "a.py", None)
    assert [note.cause for note in found.notes] == [
        "1 snippets of fewer than 20 tokens are left out"
    ]


def test_a_language_that_is_named_counts() -> None:
    assert names(TINY, "(stdin)") == ["(whole file)"]
    assert names(TINY, "(stdin)", "python") == ["add"]
    assert names(f"#!/usr/bin/env python3\n{TINY}", "(stdin)") == ["add"]


def test_what_is_compared_as_a_whole_or_read_by_a_guess_is_noted() -> None:
    found = query_of(decode_source(b"caf\xe9 au lait"), "menu", None)
    assert [note.cause for note in found.notes] == [
        "is in no known language: compared as a whole",
        "is not UTF-8 (line 1): read as latin-1",
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"", "it is empty"), (b"\n \n", "it is empty"), (b"a\0", "is a binary file"),
     (b"x" * 2_000_001, "has more than 2,000,000 bytes")],
)  # fmt: skip
def test_what_is_no_code_is_an_expected_error(data: bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        query_of(decode_source(data), "(stdin)", None)


def test_a_file_that_is_not_there_is_an_expected_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_query(str(tmp_path / "gone.py"))
