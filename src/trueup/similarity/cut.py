"""Cuts a file's text into functions, methods and classes, by tree-sitter; pure, reads no file.

A class is one snippet and each of its methods is one too. Decorators belong to it, comments above
it do not. A text without any function or class is one snippet of the kind `file`.
"""

from __future__ import annotations

import functools
import importlib
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueup.similarity.language import Language
from trueup.similarity.snippet import Kind, Note, Place, Snippet, digest_of

# What is shorter is alike by necessity: getters, empty constructors, small enumerations.
MINIMUM_TOKENS = 20
# A change here, in the queries or in how text is read makes stored snippets stale.
CUT_VERSION = 1
NAME_CHARACTERS_MAX = 200
# Deeper ones are left out and told: a thousand functions in one another are a thousand long texts.
NESTING_MAX = 12
TOKEN = re.compile(r"\w+|[^\w\s]")
OWNER = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A text's snippets in the order of their lines, and what there is to say about it.

    `tiny_count` snippets of fewer than the minimum of tokens were left out.
    """

    language: str | None
    snippets: tuple[Snippet, ...]
    notes: tuple[Note, ...]
    tiny_count: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A captured node: its bytes in the source, and the name that it gives itself."""

    start: int
    end: int
    kind: str
    name: str


def cut(
    text: str,
    path: str,
    languages: Sequence[Language],
    *,
    minimum_tokens: int = MINIMUM_TOKENS,
) -> Cut:
    """The snippets of a text with LF line ends; of several languages the one that parses best.

    A text that does not parse gives what can be found in it, and a note.
    """
    if not languages:
        return _whole(text, path, None, (), minimum_tokens)
    source = text.encode("utf-8", "surrogatepass")
    parsed = [(language, _parse(source, language)) for language in languages]
    language, (tree, broken) = min(parsed, key=lambda each: len(each[1][1]))
    notes = _broken_note(path, language, broken)
    found, deep_line = _snippets(source, _pieces(tree, language), path, language)
    if deep_line is not None:
        cause = f"what is nested deeper than {NESTING_MAX} levels is left out"
        notes += (Note(path=path, line=deep_line, cause=cause),)
    if not found:
        return _whole(text, path, language, notes, minimum_tokens)
    kept = tuple(each for each in found if token_count(each.text) >= minimum_tokens)
    return Cut(
        language=language.name, snippets=kept, notes=notes, tiny_count=len(found) - len(kept)
    )


def token_count(text: str) -> int:
    """How many words, numbers and marks a text has."""
    return len(TOKEN.findall(text))


def whole_file(text: str, path: str, language: str | None) -> Snippet:
    """A text as one snippet of the kind `file`."""
    text = text.rstrip()
    place = Place(
        path=path,
        language=language,
        kind="file",
        name="(whole file)",
        first_line=1,
        last_line=text.count("\n") + 1,
        first_byte=0,
        end_byte=len(text.encode("utf-8", "surrogatepass")),
    )
    return Snippet(place=place, text=text, digest=digest_of(text))


def _whole(
    text: str,
    path: str,
    language: Language | None,
    notes: tuple[Note, ...],
    minimum_tokens: int,
) -> Cut:
    name = language.name if language else None
    if not text.strip():
        return Cut(language=name, snippets=(), notes=notes, tiny_count=0)
    snippet = whole_file(text, path, name)
    is_tiny = token_count(snippet.text) < minimum_tokens
    return Cut(
        language=name,
        snippets=() if is_tiny else (snippet,),
        notes=notes,
        tiny_count=int(is_tiny),
    )


@functools.cache
def _grammar(name: str, module: str, grammar: str, query: str) -> tuple[Any, Any, Any]:
    import tree_sitter

    language = tree_sitter.Language(getattr(importlib.import_module(module), grammar)())
    return (
        tree_sitter.Parser(language),
        tree_sitter.Query(language, query),
        tree_sitter.Query(language, "[(ERROR) (MISSING)] @broken"),
    )


def _parse(source: bytes, language: Language) -> tuple[Any, list[int]]:
    """The tree, and the lines where it does not parse."""
    import tree_sitter

    parser, _, broken = _grammar(language.name, language.module, language.grammar, language.query)
    tree = parser.parse(source)
    if not tree.root_node.has_error:
        return tree, []
    captured = tree_sitter.QueryCursor(broken).captures(tree.root_node).get("broken", [])
    return tree, sorted(node.start_point.row + 1 for node in captured) or [1]


def _broken_note(path: str, language: Language, broken: list[int]) -> tuple[Note, ...]:
    if not broken:
        return ()
    more = f" (the first of {len(broken)} places)" if len(broken) > 1 else ""
    cause = f"does not parse as {language.name} here{more}: what can be found in it is compared"
    return (Note(path=path, line=broken[0], cause=cause),)


def _pieces(tree: Any, language: Language) -> list[_Piece]:
    """Every captured node once, outer before inner."""
    import tree_sitter

    _, query, _ = _grammar(language.name, language.module, language.grammar, language.query)
    widest: dict[tuple[int, str], _Piece] = {}
    for _, captures in tree_sitter.QueryCursor(query).matches(tree.root_node):
        kind = next(name for name in ("function", "class", "scope") if name in captures)
        node = captures[kind][0]
        label = captures["name"][0] if "name" in captures else _declared(captures["declarator"][0])
        name = _name_of(label)
        if "owner" in captures and (owner := OWNER.search(_text(captures["owner"][0]))):
            name = f"{owner.group()}.{name}"
        piece = _Piece(node.start_byte, node.end_byte, kind, name)
        key = (label.start_byte, kind)
        if key not in widest or piece.start < widest[key].start or piece.end > widest[key].end:
            widest[key] = piece
    return sorted(widest.values(), key=lambda each: (each.start, -each.end))


def _declared(node: Any) -> Any:
    """The name within C's declarator: `*name(int a)`, `(*name(void))(int)`, `Class::name()`."""
    while True:
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type in ("parenthesized_declarator", "reference_declarator"):
            inner = node.named_child(0)
        if inner is None:
            return node
        node = inner


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))


def _name_of(node: Any) -> str:
    name = "".join(_text(node).split()).replace("::", ".")
    return name if len(name) <= NAME_CHARACTERS_MAX else f"{name[:NAME_CHARACTERS_MAX]}…"


def _snippets(
    source: bytes, pieces: list[_Piece], path: str, language: Language
) -> tuple[list[Snippet], int | None]:
    """The snippets, and the line of the first that is nested too deep."""
    found: list[Snippet] = []
    outer: list[_Piece] = []
    line, counted = 1, 0
    deep_line: int | None = None
    for piece in pieces:
        while outer and outer[-1].end <= piece.start:
            outer.pop()
        # Counting on from the last start keeps a file of one long line linear.
        line += source.count(b"\n", counted, piece.start)
        counted = piece.start
        if len(outer) >= NESTING_MAX:
            deep_line = deep_line or line
            continue
        if piece.kind != "scope":
            name = ".".join((*(each.name for each in outer), piece.name))
            kind: Kind = "function" if piece.kind == "function" else "class"
            found.append(_snippet(source, piece, line, path, language, kind, name))
        outer.append(piece)
    return found, deep_line


def _snippet(
    source: bytes,
    piece: _Piece,
    line: int,
    path: str,
    language: Language,
    kind: Kind,
    name: str,
) -> Snippet:
    start = source.rfind(b"\n", 0, piece.start) + 1
    if source[start : piece.start].strip():  # something stands before it: `export`, `private:`
        start = piece.start
    text = source[start : piece.end].decode("utf-8", "surrogatepass").rstrip()
    place = Place(
        path=path,
        language=language.name,
        kind=kind,
        name=name if len(name) <= NAME_CHARACTERS_MAX else f"…{name[-NAME_CHARACTERS_MAX:]}",
        first_line=line,
        last_line=line + text.count("\n"),
        first_byte=piece.start,
        end_byte=piece.end,
    )
    text = textwrap.dedent(text)
    return Snippet(place=place, text=text, digest=digest_of(text))
