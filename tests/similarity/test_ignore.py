from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from trueup.similarity.files import Walk


def tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def walked(root: Path) -> list[str]:
    return list(Walk(root=root).files())


def git(root: Path, *words: str) -> str:
    command = ["git", "-c", "core.quotepath=off", "-c", "core.excludesFile=", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


SOURCE = "x = 1\n"
TREES = {
    "a directory, an ending and a name anywhere": {
        ".gitignore": "build/\n*.gen.py\nsecret.py\n",
        "a.py": SOURCE,
        "b.gen.py": SOURCE,
        "build/c.py": SOURCE,
        "src/build/d.py": SOURCE,
        "src/secret.py": SOURCE,
        "src/builder/e.py": SOURCE,
    },
    "a deeper file takes back": {
        ".gitignore": "*.gen.py\n",
        "src/.gitignore": "!keep.gen.py\n",
        "keep.gen.py": SOURCE,
        "src/keep.gen.py": SOURCE,
        "src/other.gen.py": SOURCE,
        "src/deep/keep.gen.py": SOURCE,
    },
    "what lies in an ignored directory cannot be taken back": {
        ".gitignore": "out/\n!out/keep.py\n",
        "out/keep.py": SOURCE,
        "a.py": SOURCE,
    },
    "everything but one directory": {
        ".gitignore": "/*\n!/src/\n!.gitignore\n",
        "a.py": SOURCE,
        "src/b.py": SOURCE,
        "src/c/d.py": SOURCE,
    },
    "patterns that are anchored, starred and ranged": {
        ".gitignore": "/top.py\nsrc/**/gen/*.py\nfile[0-3].py\n# no.py\n\\#yes.py\nspace\\ .py\n",
        "top.py": SOURCE,
        "src/top.py": SOURCE,
        "src/gen/a.py": SOURCE,
        "src/a/b/gen/c.py": SOURCE,
        "src/a/b/gen/d/c.py": SOURCE,
        "file1.py": SOURCE,
        "file7.py": SOURCE,
        "no.py": SOURCE,
        "#yes.py": SOURCE,
        "space .py": SOURCE,
    },
    "names beyond ASCII": {".gitignore": "目录/\n", "目录/a.py": SOURCE, "文件.py": SOURCE},
    "the repository's own excludes": {".git/info/exclude": "mine.py\n", "mine.py": SOURCE,
                                      "sub/mine.py": SOURCE, "a.py": SOURCE},
    "a .gitignore beats the excludes": {".git/info/exclude": "a.py\n", ".gitignore": "!a.py\n",
                                        "a.py": SOURCE},
}  # fmt: skip


@pytest.mark.parametrize("files", TREES.values(), ids=TREES)
def test_what_is_read_is_what_git_would_add(tmp_path: Path, files: dict[str, str]) -> None:
    git(tmp_path, "init", "-q")
    tree(tmp_path, files)
    listed = git(tmp_path, "ls-files", "--cached", "--others", "--exclude-standard")
    expected = sorted(name for name in listed.splitlines() if name.endswith(".py"))
    assert sorted(walked(tmp_path)) == expected
    assert expected


def test_rules_hold_without_a_repository(tmp_path: Path) -> None:
    tree(tmp_path, {".gitignore": "b.py\n", "a.py": SOURCE, "b.py": SOURCE})
    assert walked(tmp_path) == ["a.py"]


def test_the_rules_of_the_repository_around_a_directory_hold_in_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    tree(tmp_path, {".gitignore": "gen.py\n/src/top.py\n", "src/gen.py": SOURCE,
                    "src/top.py": SOURCE, "src/a.py": SOURCE})  # fmt: skip
    assert walked(tmp_path / "src") == ["a.py"]


def test_rules_above_the_repository_do_not_count(tmp_path: Path) -> None:
    tree(tmp_path, {".gitignore": "*.py\n", "repository/a.py": SOURCE})
    (tmp_path / "repository" / ".git").mkdir()
    assert walked(tmp_path / "repository") == ["a.py"]


def test_an_ignored_directory_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    tree(tmp_path, {".gitignore": "build/\n", "build/a.py": SOURCE, "build/b/c.py": SOURCE})
    assert walked(tmp_path) == []
    assert walked(tmp_path / "build") == ["a.py", "b/c.py"]
    assert walked(tmp_path / "build" / "b") == ["c.py"]


def test_a_worktree_has_its_repository_s_excludes(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.mkdir()
    git(main, "init", "-q")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(main, *who, "commit", "-q", "--allow-empty", "-m", "first")
    git(main, "worktree", "add", "-q", str(tmp_path / "tree"))
    tree(main, {".git/info/exclude": "mine.py\n"})
    tree(tmp_path / "tree", {"mine.py": SOURCE, "a.py": SOURCE})
    assert walked(tmp_path / "tree") == ["a.py"]


def test_a_pattern_that_means_nothing_is_told_and_the_others_hold(tmp_path: Path) -> None:
    tree(tmp_path, {".gitignore": "b.py\n!\n", "a.py": SOURCE, "b.py": SOURCE})
    walk = Walk(root=tmp_path)
    assert list(walk.files()) == ["a.py"]
    (note,) = [note for note in walk.notes if note.path != "."]
    assert (note.path, note.line) == (str(tmp_path / ".gitignore"), 2)
    assert "no pattern" in note.cause


def test_an_ignore_file_in_another_encoding_still_holds(tmp_path: Path) -> None:
    tree(tmp_path, {"a.py": SOURCE, "b.py": SOURCE})
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfb.py\r\n# caf\xe9\r\n")
    walk = Walk(root=tmp_path)
    assert list(walk.files()) == ["a.py"]
    assert [note for note in walk.notes if note.path != "."] == []
