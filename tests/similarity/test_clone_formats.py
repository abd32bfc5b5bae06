from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.similarity.labelled import row, write_lines
from trueup.errors import ConfigError
from trueup.similarity.clone_formats import load_pairs


def big_clone_bench(folder: Path, pairs: int = 40, functions: int = 20) -> Path:
    write_lines(
        folder / "data.jsonl",
        [{"func": f"void f{i}() {{ }}", "idx": str(1000 + i)} for i in range(functions)],
    )
    lines = [
        f"{1000 + i % functions}\t{1000 + (i * 7 + 1) % functions}\t{int(i % 4 == 0)}\n"
        for i in range(pairs)
    ]
    (folder / "test.txt").write_text("".join(lines))
    return folder


def poj104(path: Path, problems: int = 6, programs: int = 8) -> Path:
    rows = [
        {"label": str(81 + i), "index": str(i * programs + j), "code": f"int p{i}_{j};"}
        for i in range(problems)
        for j in range(programs)
    ]
    return write_lines(path, rows)


def test_bigclonebench_is_known_by_its_folder_and_by_its_list(tmp_path: Path) -> None:
    folder = big_clone_bench(tmp_path / "dataset")
    by_folder, by_file = load_pairs(folder), load_pairs(folder / "test.txt")
    assert by_folder == by_file
    assert (by_folder.format, by_folder.source) == ("bigclonebench", str(folder / "test.txt"))
    assert by_folder.drawn is None
    first = by_folder.pairs[0]
    assert (first.id, first.label, first.left.text, first.right.text) == (
        "1000-1001", 1, "void f0() { }", "void f1() { }",
    )  # fmt: skip
    assert (first.languages, first.where) == ("java-java", f"{folder / 'test.txt'}:1")


def test_the_test_list_comes_before_the_others(tmp_path: Path) -> None:
    folder = big_clone_bench(tmp_path)
    for name in ("valid.txt", "train.txt"):
        (folder / name).write_text("1000\t1001\t0\n1002\t1003\t1\n")
    assert load_pairs(folder).source.endswith("test.txt")
    (folder / "test.txt").unlink()
    assert load_pairs(folder).source.endswith("valid.txt")
    assert load_pairs(folder / "train.txt").source.endswith("train.txt")


def test_a_sample_of_bigclonebench_is_seeded_and_keeps_the_shares(tmp_path: Path) -> None:
    folder = big_clone_bench(tmp_path)
    sample = load_pairs(folder, limit=12, seed=5)
    assert Counter(pair.label for pair in sample.pairs) == {1: 3, 0: 9}
    assert sample.drawn == "12 of 40 pairs, each label with its share, seed 5"
    assert sample == load_pairs(folder, limit=12, seed=5)
    assert sample.pairs != load_pairs(folder, limit=12, seed=6).pairs


def test_what_published_pairs_repeat_is_told_and_no_error(tmp_path: Path) -> None:
    folder = big_clone_bench(tmp_path)
    (folder / "test.txt").write_text("1000\t1001\t1\n1001\t1000\t0\n1002\t1002\t0\n")
    pairs = load_pairs(folder)
    assert len(pairs.pairs) == 3
    assert pairs.notes == (
        "1 pair with the same code on both sides",
        "1 of them with label 0",
        "1 pair with the codes of an earlier one",
        "1 of them with the other label",
    )


def test_pairs_of_an_empty_function_are_left_out_and_told(tmp_path: Path) -> None:
    folder = big_clone_bench(tmp_path)
    rows = [{"func": " ", "idx": 1}, {"func": "a", "idx": 2}, {"func": "b", "idx": 3}]
    write_lines(folder / "data.jsonl", rows)
    (folder / "test.txt").write_text("1\t2\t1\n2\t3\t0\n")
    pairs = load_pairs(folder)
    assert [pair.id for pair in pairs.pairs] == ["2-3"]
    assert pairs.notes == ("1 pair left out: a function is empty",)


@pytest.mark.parametrize(
    ("text", "cause", "line"),
    [
        ("1000\t1001\n", "expected `idx1`, `idx2` and a label", 1),
        ("1000\t1001\t1\n1000\t1001\t1\t1\n", "expected `idx1`", 2),
        ("1000\t1001\ttrue\n", '`label` is `"true"`, expected `1`', 1),
        ("1000\t99\t1\n", '`"99"` in data.jsonl', 1),
        ("\n", "holds no pairs", None),
        ("", "holds no pairs", None),
    ],
)
def test_bad_lines_of_bigclonebench_are_told(
    tmp_path: Path, text: str, cause: str, line: int | None
) -> None:
    folder = big_clone_bench(tmp_path)
    (folder / "test.txt").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_pairs(folder)
    assert cause in caught.value.cause
    assert str(caught.value.where).endswith("test.txt" + (f":{line}" if line else ""))


@pytest.mark.parametrize(
    ("functions", "cause"),
    [
        ([{"func": "a"}], "`idx` is missing"),
        ([{"idx": "1"}], "`func` is missing"),
        ([{"func": 3, "idx": "1"}], "`func` is `3`"),
        ([{"func": "a", "idx": "1"}, {"func": "b", "idx": 1}], "which an earlier line has"),
    ],
)
def test_bad_functions_of_bigclonebench_are_told(
    tmp_path: Path, functions: list[object], cause: str
) -> None:
    folder = big_clone_bench(tmp_path)
    write_lines(folder / "data.jsonl", functions)
    with pytest.raises(ConfigError, match=cause) as caught:
        load_pairs(folder)
    assert "data.jsonl:" in str(caught.value.where)


def test_bigclonebench_without_its_list_is_told(tmp_path: Path) -> None:
    (big_clone_bench(tmp_path) / "test.txt").unlink()
    with pytest.raises(ConfigError, match=r"expected test\.txt, valid\.txt or train\.txt"):
        load_pairs(tmp_path)


def test_poj104_is_known_by_its_file_and_by_its_folder(tmp_path: Path) -> None:
    file = poj104(tmp_path / "test.jsonl")
    pairs = load_pairs(file)
    assert pairs == load_pairs(tmp_path)
    assert pairs.format == "poj104"
    assert pairs.classes is not None
    assert {name: len(each) for name, each in pairs.classes.items()} == {
        str(81 + i): 8 for i in range(6)
    }
    # Every one of 6 x 28 pairs of one problem, and as many of two.
    assert Counter(pair.label for pair in pairs.pairs) == {1: 168, 0: 168}
    assert len({(pair.left, pair.right) for pair in pairs.pairs}) == 336


def test_pairs_of_poj104_are_alike_exactly_within_a_problem_and_name_their_problems(
    tmp_path: Path,
) -> None:
    pairs = load_pairs(poj104(tmp_path / "test.jsonl"), limit=40, seed=2)
    assert Counter(pair.label for pair in pairs.pairs) == {1: 20, 0: 20}
    for pair in pairs.pairs:
        problems = [side.text[5:].split("_")[0] for side in (pair.left, pair.right)]
        assert pair.label == int(len(set(problems)) == 1)
        assert pair.groups == tuple(sorted({str(81 + int(each)) for each in problems}))
        assert pair.left != pair.right
    counts = Counter(pair.groups for pair in pairs.pairs if pair.label)
    assert set(counts.values()) <= {3, 4}


def test_programs_of_poj104_are_sampled_evenly_and_this_is_said(tmp_path: Path) -> None:
    file = poj104(tmp_path / "test.jsonl", problems=6, programs=50)
    pairs = load_pairs(file, limit=60, seed=2)
    assert pairs.classes is not None
    assert {len(each) for each in pairs.classes.values()} == {10}
    assert pairs.drawn == (
        "60 of 300 programs of 6 of 6 problems, 60 pairs of them, half of one problem, seed 2"
    )
    assert pairs == load_pairs(file, limit=60, seed=2)
    assert pairs != load_pairs(file, limit=60, seed=3)
    few = load_pairs(file, limit=8, seed=2)
    assert few.classes is not None
    assert [len(each) for each in few.classes.values()] == [2, 2, 2, 2]


def test_the_raw_folder_is_read_whatever_its_encoding(tmp_path: Path) -> None:
    for problem in (1, 2, 10):
        folder = tmp_path / "ProgramData" / str(problem)
        folder.mkdir(parents=True)
        for i in range(3):
            (folder / f"{i}.txt").write_bytes(b"int a; // \xb0\xa1 %d %d" % (problem, i))
        (folder / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "ProgramData" / "readme").mkdir()
    pairs = load_pairs(tmp_path)
    assert pairs == load_pairs(tmp_path / "ProgramData")
    assert pairs.classes is not None
    assert {name: len(each) for name, each in pairs.classes.items()} == {"1": 3, "2": 3, "10": 3}
    assert pairs.classes["1"][0].text == "int a; // °¡ 1 0"


def test_programs_that_cannot_be_used_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [
        {"label": label, "index": str(i), "code": code}
        for i, (label, code) in enumerate(
            [("1", "a"), ("1", "b"), ("1", "a"), ("1", ""), ("2", "c"), ("2", "d"), ("3", "e")]
        )
    ]
    pairs = load_pairs(write_lines(tmp_path / "test.jsonl", rows))
    assert pairs.notes == (
        "1 program left out: empty",
        "1 program left out: the same text twice in one problem",
        "1 problem left out: fewer than two programs",
    )


def test_bad_programs_are_told(tmp_path: Path) -> None:
    file = poj104(tmp_path / "test.jsonl", problems=1)
    with pytest.raises(ConfigError, match="1 problem with two programs or more"):
        load_pairs(file)
    write_lines(file, [{"label": "1", "code": "a"}, {"label": None, "code": "a"}])
    with pytest.raises(ConfigError, match="`label` is `null`") as caught:
        load_pairs(file)
    assert caught.value.where == f"{file}:2"
    write_lines(file, [{"label": "1", "code": "a"}, {"label": "1", "index": "1"}])
    with pytest.raises(ConfigError, match="`code` is missing"):
        load_pairs(file)


def test_pairs_of_our_own_are_found_out_and_may_be_sampled(tmp_path: Path) -> None:
    rows = [row(f"a{i}", f"b{i}", i % 2, id=i) for i in range(20)]
    file = write_lines(tmp_path / "pairs.jsonl", rows)
    assert (load_pairs(file).format, len(load_pairs(file).pairs)) == ("pairs", 20)
    assert len(load_pairs(file, limit=10).pairs) == 10


def test_a_format_that_was_named_is_not_guessed(tmp_path: Path) -> None:
    file = poj104(tmp_path / "test.jsonl")
    with pytest.raises(ConfigError, match='`"index"` is not a key here'):
        load_pairs(file, form="pairs")
    with pytest.raises(ConfigError, match="`label` is missing"):
        load_pairs(write_lines(tmp_path / "other.jsonl", [{"left": 1}]), form="poj104")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pairs(file, form="bigclonebench")


def test_paths_that_hold_nothing_known_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither BigCloneBench"):
        load_pairs(tmp_path)
    for form in ("bigclonebench", "poj104"):
        with pytest.raises(ConfigError):
            load_pairs(tmp_path, form=form)
    with pytest.raises(ConfigError, match="no regular file"):
        load_pairs(tmp_path, form="pairs")
    for name in ("nothing", "a\0b", "x" * 5000):
        with pytest.raises(ConfigError, match=r"no such file or folder|cannot be read: File name"):
            load_pairs(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no regular file"):
        load_pairs(tmp_path / "pipe")


def test_every_pair_can_be_drawn_without_listing_them_all(tmp_path: Path) -> None:
    # Two programs in one problem, many in the other: shares are as even as they can be.
    rows = [{"label": "1", "code": f"a{i}"} for i in range(2)]
    rows += [{"label": "2", "code": f"b{i}"} for i in range(40)]
    pairs = load_pairs(write_lines(tmp_path / "x.jsonl", rows), limit=60, seed=0)
    counts = Counter(pair.groups for pair in pairs.pairs)
    assert counts == {("1",): 1, ("2",): 29, ("1", "2"): 30}
    assert json.loads(json.dumps(pairs.drawn)) == (
        "42 of 42 programs of 2 of 2 problems, 60 pairs of them, half of one problem, seed 0"
    )
