from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.similarity.labelled import row, write_lines
from trueup.errors import ConfigError
from trueup.similarity.json_lines import MAX_LINE_BYTES
from trueup.similarity.pair import Code, draw_by_label, drawn_sample
from trueup.similarity.pairs import read_pairs


def line(**changes: Any) -> str:
    return json.dumps({**row(), **changes})


def test_a_pair_is_read_as_it_stands(tmp_path: Path) -> None:
    rows = [row("f()", "g()", 0, id="one", kind="near_miss", group="sort", note="hand-made")]
    (pair,) = read_pairs(write_lines(tmp_path / "p.jsonl", rows)).pairs
    assert (pair.id, pair.label, pair.kind, pair.groups) == ("one", 0, "near_miss", ("sort",))
    assert pair.left == Code(language="python", text="f()")
    assert pair.languages == "java-python"
    assert pair.where == f"{tmp_path / 'p.jsonl'}:1"


def test_byte_order_mark_crlf_blank_lines_and_a_missing_last_line_end_are_no_faults(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.jsonl"
    one, other = (json.dumps(each) for each in (row("é\n你好"), row("b")))
    text = f"\ufeff{one}\r\n\r\n{other}"
    path.write_bytes(text.encode())
    first, second = read_pairs(path).pairs
    assert first.left.text == "é\n你好"
    assert (second.where, second.id) == (f"{path}:3", "2")


@pytest.mark.parametrize(
    ("value", "label"), [(1, 1), (0, 0), (True, 1), (False, 0), ("1", 1), ("0", 0)]
)
def test_labels_may_be_numbers_truths_and_digits(tmp_path: Path, value: Any, label: int) -> None:
    (pair,) = read_pairs(write_lines(tmp_path / "p.jsonl", [row(label=value)])).pairs
    assert pair.label == label


def test_the_flat_shape_of_the_hub_is_read(tmp_path: Path) -> None:
    flat = {"id": 7, "id1": 1, "id2": 2, "func1": "int a;", "func2": "int b;", "label": False}
    (pair,) = read_pairs(write_lines(tmp_path / "p.jsonl", [flat])).pairs
    assert (pair.id, pair.left.text, pair.label, pair.languages) == (
        "7", "int a;", 0, "unknown-unknown",
    )  # fmt: skip
    other = {"code1": "int a;", "code2": "int b;", "label": 1, "language": "Java", "group": "g"}
    (pair,) = read_pairs(write_lines(tmp_path / "q.jsonl", [other])).pairs
    assert (pair.languages, pair.groups) == ("java-java", ("g",))


def test_code_may_stand_in_files_beside_the_pairs(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("a = 1\n")
    side = {"language": "python", "path": "src/a.py"}
    (pair,) = read_pairs(write_lines(tmp_path / "p.jsonl", [row() | {"left": side}])).pairs
    assert pair.left.text == "a = 1\n"


# What the file holds, what the cause says, what the place says, what the hint says
FAULTS: dict[str, tuple[str | bytes, str, str, str | None]] = {
    "empty": ("", "holds no pairs", "p.jsonl", None),
    "blank": ("\n \n\r\n", "holds no pairs", "p.jsonl", None),
    "no JSON": (f"{line()}\n{{left: 1}}", "not JSON", "p.jsonl:2", None),
    "cut off": (line()[:-9], "not JSON", "p.jsonl:1", None),
    "two objects in a line": (f"{line()} {line()}", "not JSON", "p.jsonl:1", None),
    "a list": ("[1, 2]", "holds a list, expected an object", "p.jsonl:1", None),
    "null": ("null", "holds null", "p.jsonl:1", None),
    "a whole array": (f"[{line()},\n{line()}]", "not JSON", "p.jsonl:1", None),
    "nested": ('{"a":' * 100_000, "nested too deeply", "p.jsonl:1", None),
    "many digits": (f'{{"label": {"9" * 5000}}}', "not JSON", "p.jsonl:1", None),
    "not UTF-8": (b'{"a": "\xff"}', "byte 0xff at offset 7", "p.jsonl:1", None),
    "UTF-16": (line().encode("utf-16"), "not UTF-8", "p.jsonl:1", None),
    "a key twice": ('{"label": 1, "label": 0}', '`"label"` is there twice', ":1", None),
    "a text as label": (line(label="true"), '`label` is `"true"`, expected `1`', ":1", None),
    "a score as label": (line(label=0.9), "`label` is `0.9`, expected `1`", ":1", None),
    "a float as label": (line(label=1.0), "`label` is `1.0`", ":1", None),
    "NaN as label": (line(label=float("nan")), "`label` is `NaN`", ":1", None),
    "minus one": (line(label=-1), "`label` is `-1`", ":1", None),
    "null as label": (line(label=None), "`label` is `null`", ":1", None),
    "no label": ('{"left": {}, "right": {}}', "the key `label` is missing", ":1", None),
    "no right": (json.dumps({"left": {}, "label": 1}), "`right` is missing", ":1", None),
    "a wrong key": (line(groop="x"), '`"groop"` is not a key', ":1", "did you mean `group`"),
    "an unlike key": (line(zzz=1), '`"zzz"` is not a key', ":1", "known here: `id`, `left`"),
    "a text as side": (line(left="a"), 'this is `"a"`, expected an object', ":1: left", None),
    "no language": (line(left={"code": "a"}), "`language` is missing", ":1: left", None),
    "no code": (line(left={"language": "c"}), "neither `code` and `path`", ":1: left", None),
    "code and path": (
        line(right={"language": "c", "code": "a", "path": "b"}), "both `code`", ":1: right", None,
    ),
    "a number as code": (line(left={"language": "c", "code": 3}), "`code` is `3`", "left", None),
    "empty code": (line(left={"language": "c", "code": " \n"}), "`code` is empty", "left", None),
    "half a character": (
        '{"left": {"language": "c", "code": "a\\ud800"}, "right": {}, "label": 1}',
        "half a character at position 1", ":1: left", None,
    ),
    "long code": (
        line(left={"language": "c", "code": "x" * (4 * 2**20 + 1)}), "4,194,305 bytes", "left",
        None,
    ),
    "a path out of the folder": (
        line(left={"language": "c", "path": "../secret"}), "leads out of the folder", "left.path",
        None,
    ),
    "an absolute path": (
        line(left={"language": "c", "path": "/etc/passwd"}), "leads out", "left.path", None,
    ),
    "a path to nothing": (
        line(left={"language": "c", "path": "no.c"}), '`"no.c"`, which does not exist', "left.path",
        None,
    ),
    "a path to a folder": (
        line(left={"language": "c", "path": "."}), "which is no file", "left.path", None,
    ),
    "a path with NUL": (
        line(left={"language": "c", "path": "a\0b"}), "cannot be read", "left.path", None,
    ),
    "an empty path": (line(left={"language": "c", "path": ""}), '`path` is `""`', "path", None),
    "a number as group": (line(group=3), "`group` is `3`", ":1", None),
    "an empty group": (line(group=" "), "`group` is `\" \"`", ":1", None),
    "no groups": (line(group=[]), "`group` is `[]`", ":1", None),
    "a number as kind": (line(kind=3), "`kind` is `3`, expected a text", ":1", None),
    "a truth as id": (line(id=True), "`id` is `true`", ":1", None),
    "an id twice": (
        f"{line(id='a')}\n{line(id='a')}", '`"a"` is taken by', "p.jsonl:2", None,
    ),
    "groups in some": (
        f"{line(group='a')}\n{line()}", "has no `group` and others have", "p.jsonl:2", None,
    ),
    "two labels": (
        f"{line()}\n{line(label=0)}", "p.jsonl:1 gives the same two codes label `1`", ":2", None,
    ),
    "two labels, sides swapped": (
        "\n".join(map(json.dumps, [row("a", "b", 1), row("b", "a", 0)])), "label `1`", ":2", None,
    ),
    "the same and different": (
        json.dumps(row("a", "a", 0)), "label `0` and the same code on both sides", ":1", None,
    ),
    "a function": (
        '{"func": "a", "idx": "1"}', "a function of BigCloneBench", ":1", "test.txt",
    ),
    "half a flat pair": ('{"func1": "a", "label": 1}', "`func2` is missing", ":1", None),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_every_bad_line_is_an_error_with_its_place_and_value(case: str, tmp_path: Path) -> None:
    text, cause, where, hint = FAULTS[case]
    path = tmp_path / "p.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_pairs(path)
    assert cause in caught.value.cause
    assert "\n" not in caught.value.cause
    assert len(caught.value.cause) < 300
    assert where in str(caught.value.where)
    assert hint is None or hint in str(caught.value.hint)


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hidden")
    folder = tmp_path / "pairs"
    folder.mkdir()
    (folder / "a.c").symlink_to(tmp_path / "secret.txt")
    (folder / "loop.c").symlink_to(folder / "loop.c")
    for name, cause in (("a.c", "leads out of the folder"), ("loop.c", "loop.c")):
        rows = [row() | {"left": {"language": "c", "path": name}}]
        with pytest.raises(ConfigError, match=cause):
            read_pairs(write_lines(folder / "p.jsonl", rows))


def test_a_file_of_code_must_be_short_text(tmp_path: Path) -> None:
    (tmp_path / "binary.c").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "huge.c").write_bytes(b"x" * (4 * 2**20 + 1))
    for name, cause in (("binary.c", "not UTF-8 at offset 1"), ("huge.c", "4,194,305 bytes")):
        rows = [row() | {"left": {"language": "c", "path": name}}]
        with pytest.raises(ConfigError, match=cause):
            read_pairs(write_lines(tmp_path / "p.jsonl", rows))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with path.open("wb") as file:
        file.truncate(100 * MAX_LINE_BYTES)  # a sparse file: zeros without a line's end
    with pytest.raises(ConfigError, match="longer than 16,777,216 bytes"):
        read_pairs(path)


def test_a_long_line_within_the_limit_is_read(tmp_path: Path) -> None:
    (pair,) = read_pairs(write_lines(tmp_path / "p.jsonl", [row("x" * 2**20)])).pairs
    assert len(pair.left.text) == 2**20


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, cause in (("pipe", "no regular file"), ("missing", "No such file"), (".", "regular")):
        with pytest.raises(ConfigError, match=cause):
            read_pairs(tmp_path / name)


def test_pairs_that_repeat_others_are_told(tmp_path: Path) -> None:
    rows = [row("a", "b"), row("b", "a"), row("c", "c"), row("d", "e", 0)]
    assert read_pairs(write_lines(tmp_path / "p.jsonl", rows)).notes == (
        "1 pair with the same code on both sides",
        "1 pair with the codes of an earlier one",
    )


def test_a_sample_keeps_the_share_of_each_label_and_says_so(tmp_path: Path) -> None:
    rows = [row(f"a{i}", f"b{i}", int(i % 5 == 0), id=i) for i in range(100)]
    pairs = read_pairs(write_lines(tmp_path / "p.jsonl", rows))
    sample = drawn_sample(pairs, 40, seed=3)
    assert Counter(pair.label for pair in sample.pairs) == {1: 8, 0: 32}
    assert sample.drawn == "40 of 100 pairs, each label with its share, seed 3"
    assert sample == drawn_sample(pairs, 40, seed=3)
    assert sample.pairs != drawn_sample(pairs, 40, seed=4).pairs
    assert drawn_sample(pairs, 100, seed=3) is pairs


def test_a_rare_label_is_drawn_too() -> None:
    labels = [0] * 999 + [1]
    assert 999 in draw_by_label(labels, 10, seed=0)
    assert len(draw_by_label(labels, 10, seed=0)) == 10
