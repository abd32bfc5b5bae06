from __future__ import annotations

import os
from pathlib import Path

import pytest

from trueup.similarity.files import FILE_BYTES_MAX, Walk, decode_source, read_source

SOURCE = "x = 1\n"


def walk_of(root: Path) -> tuple[list[str], dict[str, str]]:
    walk = Walk(root=root)
    return list(walk.files()), {note.path: note.cause for note in walk.notes}


def test_files_come_in_the_order_of_their_names_directory_after_directory(tmp_path: Path) -> None:
    for name in ("b.py", "a/z.py", "a/b/c.go", "c/目.py", "A.py", "a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SOURCE)
    assert walk_of(tmp_path)[0] == ["A.py", "a.py", "b.py", "a/z.py", "a/b/c.go", "c/目.py"]


def test_version_control_s_own_directories_are_not_entered(tmp_path: Path) -> None:
    for name in (".git", ".hg", ".svn", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text(SOURCE)
    assert walk_of(tmp_path)[0] == [".hidden/a.py"]


def test_links_are_not_followed_so_loops_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "again.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "gone.py")
    files, notes = walk_of(tmp_path)
    assert files == ["a.py"]
    assert notes == {".": "symbolic links are not followed: 3"}


def test_files_in_no_known_language_are_counted_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.py", "b.md", "c.md", "d.json", "Makefile", "run", "tool"):
        (tmp_path / name).write_text(SOURCE)
    (tmp_path / "run").write_text("#!/bin/sh\n")
    files, notes = walk_of(tmp_path)
    assert files == ["a.py", "run"]
    (cause,) = notes.values()
    assert ".md 2" in cause
    assert ".json 1" in cause
    assert "no extension 2" in cause


def test_what_is_no_regular_file_is_told_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "directory.py").mkdir()
    (tmp_path / "directory.py" / "a.py").write_text(SOURCE)
    files, notes = walk_of(tmp_path)
    assert files == ["directory.py/a.py"]
    assert notes == {"pipe.py": "is no regular file: left out"}


def test_a_directory_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).rstrip("/").endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    files, notes = walk_of(tmp_path)
    assert files == ["a.py"]
    assert notes == {"closed/": "the directory cannot be read: Permission denied"}


def test_a_name_that_is_no_utf_8_is_a_path_like_any_other(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.py")
    (tmp_path / name).write_text(SOURCE)
    assert walk_of(tmp_path)[0] == [name]


@pytest.mark.parametrize(
    ("data", "text", "told"),
    [
        (b"a = '\xc3\xa9'\n", "a = 'é'\n", None),
        (b"\xef\xbb\xbfa = 1\n", "a = 1\n", None),
        ("a = '目'\n".encode("utf-16"), "a = '目'\n", None),
        (b"\xfe\xff" + "a = '目'\n".encode("utf-16-be"), "a = '目'\n", None),
        ("a = '目'\n".encode("utf-32"), "a = '目'\n", None),
        (b"a = 1\n# caf\xe9\n", "a = 1\n# café\n", "is not UTF-8 (line 2): read as latin-1"),
        (b"a\r\nb\rc\n", "a\nb\nc\n", None),
        (b"", "", None),
        (b"a\0b", None, "is a binary file: left out"),
        (b"\x7fELF\x02\x01\x01\0\0", None, "is a binary file: left out"),
        (b"\xff\xfea", None, "is no utf-16, whose mark it bears: left out"),
        (b"a" * (FILE_BYTES_MAX + 1), None, "has more than 2,000,000 bytes, expected at most"
         " 2,000,000: left out"),
    ],
)  # fmt: skip
def test_bytes_are_read_by_a_stated_rule(data: bytes, text: str | None, told: str | None) -> None:
    source = decode_source(data)
    assert (source.text, source.cause) == (text, told)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert read_source(tmp_path / "gone.py").cause == "cannot be read: No such file or directory"
    assert read_source(tmp_path).cause == "is a directory, expected a file"
    assert read_source("a\0b").cause is not None
    (tmp_path / "huge.py").write_bytes(b"x" * (FILE_BYTES_MAX + 5))
    assert read_source(tmp_path / "huge.py").cause == (
        "has 2,000,005 bytes, expected at most 2,000,000: left out"
    )
    (tmp_path / "large.py").write_bytes(b"x" * FILE_BYTES_MAX)
    assert read_source(tmp_path / "large.py").text is not None
