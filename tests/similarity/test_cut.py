from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from trueup.similarity.cut import MINIMUM_TOKENS, NESTING_MAX, Cut, cut, token_count
from trueup.similarity.language import LANGUAGES, languages_of

SOURCES = Path(__file__).parent / "sources"

# (kind, name, first line, last line) of everything that is cut, tiny or not.
EXPECTED = {
    "inventory.py": [
        ("function", "cached", 8, 13),
        ("function", "cached.inner", 9, 11),
        ("class", "Shelf", 16, 27),
        ("function", "Shelf.__init__", 18, 19),
        ("function", "Shelf.weight", 21, 23),
        ("function", "Shelf.refill", 25, 27),
    ],
    "cart.js": [
        ("function", "total", 1, 3),
        ("function", "discount", 5, 7),
        ("class", "Cart", 9, 15),
        ("function", "Cart.add", 11, 13),
        ("function", "Cart.empty", 14, 14),
        ("function", "module.exports.parse", 17, 19),
        ("function", "ids", 21, 23),
    ],
    "store.ts": [
        ("class", "Item", 1, 3),
        ("function", "Shop.label", 6, 8),
        ("class", "Store", 11, 17),
        ("function", "Store.constructor", 12, 12),
        ("function", "Store.first", 14, 16),
        ("function", "later", 19, 21),
    ],
    "button.tsx": [("function", "Button", 1, 3), ("function", "Page", 5, 7)],
    "Account.java": [
        ("class", "Account", 3, 18),
        ("function", "Account.Account", 6, 8),
        ("function", "Account.toString", 10, 13),
        ("class", "Account.Listener", 15, 17),
    ],
    "queue.go": [
        ("class", "Queue", 3, 5),
        ("class", "Sizer", 7, 9),
        ("function", "New", 11, 13),
        ("function", "Queue.Push", 15, 17),
    ],
    "list.c": [
        ("class", "cell", 3, 5),
        ("class", "list", 7, 9),
        ("function", "copy", 13, 16),
        ("function", "handler", 18, 18),
    ],
    "matrix.cpp": [
        ("class", "maths.Matrix", 2, 11),
        ("function", "maths.Matrix.Matrix", 4, 4),
        ("function", "maths.Matrix.~Matrix", 5, 5),
        ("function", "maths.Matrix.operator==", 6, 6),
        ("function", "larger", 14, 17),
        ("function", "maths.Matrix.rows", 19, 21),
    ],
    "shape.rs": [
        ("class", "Circle", 1, 3),
        ("class", "Circle", 5, 9),
        ("function", "Circle.area", 6, 8),
        ("class", "Shape", 11, 16),
        ("function", "Shape.name", 12, 14),
        ("function", "inner.helper", 19, 21),
    ],
    "person.rb": [
        ("class", "People.Person", 2, 10),
        ("function", "People.Person.initialize", 3, 5),
        ("function", "People.Person.build", 7, 9),
    ],
    "page.php": [
        ("function", "escape", 4, 6),
        ("class", "Page", 8, 12),
        ("function", "Page.render", 9, 11),
    ],
    "Order.cs": [
        ("class", "Shop.Order", 3, 9),
        ("function", "Shop.Order.Order", 5, 5),
        ("function", "Shop.Order.Doubled", 7, 7),
        ("function", "Shop.Order.Total", 8, 8),
        ("class", "Shop.Line", 11, 11),
    ],
    "Game.kt": [
        ("class", "Player", 3, 11),
        ("function", "Player.greet", 4, 6),
        ("function", "Player.nobody", 9, 9),
        ("class", "Registry", 13, 15),
        ("function", "Registry.clear", 14, 14),
        ("function", "twice", 17, 17),
    ],
    "Tree.scala": [
        ("class", "Tree", 1, 5),
        ("function", "Tree.leaf", 2, 4),
        ("class", "Visitor", 7, 9),
        ("class", "Node", 11, 13),
        ("function", "Node.double", 12, 12),
    ],
    "deploy.sh": [("function", "say", 2, 4), ("function", "deploy", 6, 8)],
}


def everything(text: str, path: str, minimum_tokens: int = 0) -> Cut:
    return cut(text, path, languages_of(path, text), minimum_tokens=minimum_tokens)


def found(result: Cut) -> list[tuple[str, str, int, int]]:
    places = [snippet.place for snippet in result.snippets]
    return [(place.kind, place.name, place.first_line, place.last_line) for place in places]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_language_is_cut_into_its_functions_and_classes(name: str) -> None:
    result = everything((SOURCES / name).read_text(encoding="utf-8"), name)
    assert found(result) == EXPECTED[name]
    assert result.notes == ()


def test_every_language_has_a_source_here() -> None:
    cut_here = {languages_of(name)[0].name for name in EXPECTED}
    assert cut_here == {language.name for language in LANGUAGES}


def test_a_text_is_the_lines_of_its_place_without_their_common_indentation() -> None:
    text = (SOURCES / "inventory.py").read_text(encoding="utf-8")
    weight = next(each for each in everything(text, "a.py").snippets if "weight" in each.place.name)
    assert weight.text.splitlines()[:2] == ["@property", "def weight(self):"]
    lines = text.splitlines()[weight.place.first_line - 1 : weight.place.last_line]
    assert [line.strip() for line in lines] == [line.strip() for line in weight.text.splitlines()]
    assert weight.digest == hashlib.sha256(weight.text.encode()).hexdigest()


def test_indentation_does_not_hide_that_two_functions_are_the_same() -> None:
    text = (
        "def same(a):\n    return a\n\nclass C:\n    def same(a):\n        return a\n\n"
        "if True:\n\tdef same(a):\n\t    return a\n"
    )
    digests = {each.digest for each in everything(text, "a.py").snippets if "same" in each.text}
    assert len({each.digest for each in everything(text, "a.py").snippets}) == 2
    assert len(digests) == 2  # the class and the three functions


def test_declarations_without_a_body_are_not_functions() -> None:
    assert found(everything("int f(int);\nint g(int a);\n", "a.c")) == [
        ("file", "(whole file)", 1, 2)
    ]


def test_a_file_without_functions_is_one_snippet_of_its_own_kind() -> None:
    result = everything("import os\n\nprint(os.getcwd())\n\n\n", "a.py")
    assert found(result) == [("file", "(whole file)", 1, 3)]
    assert result.snippets[0].place.language == "python"


def test_an_unknown_language_is_one_snippet() -> None:
    result = everything("whatever it is\n", "notes.txt")
    assert found(result) == [("file", "(whole file)", 1, 1)]
    assert result.language is None


@pytest.mark.parametrize("text", ["", "\n\n", "   \t\n"])
def test_an_empty_file_has_no_snippets_and_is_no_tiny_one(text: str) -> None:
    result = everything(text, "a.py")
    assert (result.snippets, result.tiny_count) == ((), 0)


def test_what_is_tiny_is_left_out_and_counted() -> None:
    tiny = "def name(self):\n    return self._name\n"
    large = "def total(items):\n    " + "\n    ".join(f"x{i} = items[{i}]" for i in range(5))
    assert token_count(tiny) < MINIMUM_TOKENS <= token_count(large)
    result = everything(f"{tiny}\n{large}\n", "a.py", MINIMUM_TOKENS)
    assert [name for _, name, _, _ in found(result)] == ["total"]
    assert result.tiny_count == 1


def test_a_file_that_does_not_parse_gives_what_does_and_says_where_not() -> None:
    text = "def good(a):\n    return a\n\n)))\n\ndef fine(b):\n    return b\n"
    result = everything(text, "a.py")
    assert [name for _, name, _, _ in found(result)] == ["good", "fine"]
    (note,) = result.notes
    assert (note.path, note.line) == ("a.py", 4)
    assert "does not parse as python" in note.cause


def test_a_header_is_read_as_what_parses() -> None:
    assert everything("struct a { int b; };\n", "a.h").language == "c"
    assert everything("class A {\n int b() { return 1; }\n};\n", "a.h").language == "cpp"
    assert everything("struct A : B { A() = default; };\n", "a.h").language == "cpp"


def test_a_script_is_known_by_its_first_line() -> None:
    assert languages_of("run", "#!/usr/bin/env -S python3 -u\n")[0].name == "python"
    assert languages_of("run", "#!/bin/sh\n")[0].name == "bash"
    assert languages_of("run", "#!/usr/bin/env perl\n") == ()
    assert languages_of("run", "x = 1") == ()
    assert languages_of(".bashrc", "x=1") == ()
    assert languages_of("dir.py/run", "") == ()
    assert languages_of("A.PY")[0].name == "python"


def test_functions_deep_in_one_another_are_bounded_and_told() -> None:
    depth = 200
    result = everything("function f(a){" * depth + "}" * depth, "a.js")
    assert len(result.snippets) == NESTING_MAX
    assert "nested deeper" in result.notes[0].cause


def test_a_megabyte_in_one_line_is_cut_like_any_file() -> None:
    count = 30_000
    text = ";".join(f"function f{i}(a){{return a+{i}}}" for i in range(count))
    assert len(text) > 900_000
    result = everything(text, "a.js")
    assert len(result.snippets) == count
    assert result.snippets[-1].place.name == f"f{count - 1}"
    assert {(each.place.first_line, each.place.last_line) for each in result.snippets} == {(1, 1)}
    assert result.snippets[7].text == "function f7(a){return a+7}"


def test_names_beyond_ascii_are_kept() -> None:
    text = "class 解析器:\n    def 读取(self, 文本):\n        return 文本\n"
    assert found(everything(text, "a.py"))[1] == ("function", "解析器.读取", 2, 3)


def test_places_on_one_line_are_told_apart_by_name() -> None:
    result = everything("function a() {} function b() {}", "a.js")
    assert found(result) == [("function", "a", 1, 1), ("function", "b", 1, 1)]
