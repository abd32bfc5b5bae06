from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.similarity.fake_embedder import FakeEmbedder
from tests.similarity.indexing import function, module
from trueup.cli import similar, similar_html
from trueup.cli.main import main
from trueup.errors import BackendError
from trueup.similarity.index import BATCH_TEXTS, index_directory


@pytest.fixture(autouse=True)
def embedder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEmbedder:
    """Has every run use one embedder without a model."""
    monkeypatch.setenv("TRUEUP_HOME", str(tmp_path / "home"))
    fake = FakeEmbedder()
    monkeypatch.setattr(similar, "open_embedder", lambda arguments: fake.opened())
    return fake


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory, which is the current one's `code`, with a copy and a near copy in it."""
    root = tmp_path / "code"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text(f"# first\n{function('alpha', 1)}\n\n{function('beta', 2)}")
    (root / "sub" / "b.py").write_text(f"{function('alpha', 1)}\n\n{function('gamma', 2)}")
    monkeypatch.chdir(tmp_path)
    return root


def asked(
    capsys: pytest.CaptureFixture[str], *words: str, status: int = 0
) -> tuple[dict[str, Any], str]:
    assert main(["similar", *words, "--format", "json"]) == status
    shown = capsys.readouterr()
    return json.loads(shown.out), shown.err


def place(row: dict[str, Any]) -> tuple[str, int, int, str]:
    return row["path"], row["first_line"], row["last_line"], row["name"]


def test_two_files_are_compared_as_wholes_and_by_their_snippets(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, err = asked(capsys, "code/a.py", "code/sub/b.py")
    assert list(report) == [
        "schema_version", "kind", "model", "min_score", "files", "pairs", "left_out", "counts",
        "notes",
    ]  # fmt: skip
    assert (report["schema_version"], report["kind"]) == (1, "similar_files")
    assert report["model"] == {"name": "microsoft/codebert-base", "identity": "fake@1"}
    assert 0.9 < report["files"]["score"] < 1
    assert [(place(each["a"]), place(each["b"])) for each in report["pairs"]] == [
        (("code/a.py", 2, 6, "alpha"), ("code/sub/b.py", 1, 5, "alpha")),
        (("code/a.py", 9, 13, "beta"), ("code/sub/b.py", 8, 12, "gamma")),
    ]
    assert report["pairs"][0]["score"] == 1.0
    assert report["counts"] == {"snippets_a": 2, "snippets_b": 2, "embedded": 5, "reused": 0}
    assert err.count("\n") == 1


def test_a_file_is_the_same_as_itself(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, _ = asked(capsys, "code/a.py", "code/a.py")
    assert report["files"]["score"] == 1.0
    assert {pair["score"] for pair in report["pairs"]} == {1.0}


def test_a_file_is_searched_for_and_does_not_find_itself(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, _ = asked(capsys, "code/a.py", "--in", "code", "--top", "2")
    assert report["kind"] == "similar_search"
    assert report["root"] == "code"
    alpha, beta = report["queries"]
    assert place(alpha) == ("code/a.py", 2, 6, "alpha")
    assert place(alpha["matches"][0]) == ("sub/b.py", 1, 5, "alpha")
    assert alpha["matches"][0]["score"] == 1.0
    assert place(beta["matches"][0]) == ("sub/b.py", 8, 12, "gamma")
    assert all(each["name"] != beta["name"] for each in beta["matches"])
    assert report["counts"] == {
        "files": 2, "files_changed": 2, "snippets": 4, "tiny_left_out": 0, "texts": 3,
        "embedded": 3, "reused": 2,
    }  # fmt: skip


def test_code_on_stdin_is_searched_for(
    code: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = function("other", 2).replace("\n", "\r\n").encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    report, _ = asked(capsys, "-", "--in", "code", "--language", "python")
    (query,) = report["queries"]
    assert place(query) == ("(stdin)", 1, 5, "other")
    assert {each["name"] for each in query["matches"][:2]} == {"beta", "gamma"}


def test_a_fragment_without_a_language_is_compared_with_everything(
    code: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"total += step % value_2")))
    report, _ = asked(capsys, "-", "--in", "code", "--top", "1")
    (query,) = report["queries"]
    assert query["kind"] == "file"
    assert query["matches"][0]["name"] in ("beta", "gamma")
    assert report["notes"][0]["cause"] == "is in no known language: compared as a whole"


def test_duplicates_are_groups_of_the_same_and_pairs_of_the_alike(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, _ = asked(capsys, "--duplicates", "code")
    assert report["kind"] == "similar_duplicates"
    (group,) = report["groups"]
    assert [place(each) for each in group["places"]] == [
        ("a.py", 2, 6, "alpha"), ("sub/b.py", 1, 5, "alpha"),
    ]  # fmt: skip
    pairs = [(place(each["a"]), place(each["b"])) for each in report["pairs"]]
    assert pairs[0] == (("a.py", 9, 13, "beta"), ("sub/b.py", 8, 12, "gamma"))
    assert (report["min_score"], report["within"], report["left_out"]) == (0.95, 0, 0)


def test_only_what_is_new_is_embedded(
    code: Path, capsys: pytest.CaptureFixture[str], embedder: FakeEmbedder
) -> None:
    asked(capsys, "--duplicates", "code")
    (code / "c.py").write_text(f"{function('delta', 77)}\n\n{function('alpha', 1)}")
    embedder.calls.clear()
    report, err = asked(capsys, "--duplicates", str(code))
    assert embedder.texts == [function("delta", 77).rstrip()]
    assert (report["counts"]["embedded"], report["counts"]["reused"]) == (1, 3)
    assert "1 embedded, 3 known already" in err


def test_the_text_names_file_lines_score_and_name(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["similar", "--duplicates", "code"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:3] == [
        "the same 5 lines at 2 places",
        "  a.py:2-6      alpha",
        "  sub/b.py:1-5  alpha",
    ]
    assert re.search(r"^0\.9\d{3}  a\.py:9-13 beta  ~  sub/b\.py:8-12 gamma$", shown.out, re.M)
    assert main(["similar", "code/a.py", "--in", "code", "--top", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "code/a.py:2-6  alpha",
        "  1.0000  sub/b.py:1-5   alpha",
    ]
    assert main(["similar", "code/a.py", "code/sub/b.py"]) == 0
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.endswith("  code/a.py  ~  code/sub/b.py  as whole files")
    assert second == "1.0000  code/a.py:2-6 alpha  ~  code/sub/b.py:1-5 alpha"


def test_what_is_not_listed_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "many.py").write_text(module(0, 30))
    words = ["--duplicates", str(tmp_path), "--min-score", "0.5", "--top", "4"]
    report, _ = asked(capsys, *words)
    assert len(report["pairs"]) == 4
    assert report["left_out"] == 30 * 29 // 2 - 4
    assert main(["similar", *words]) == 0
    assert "431 more are not listed: raise --min-score or --top" in capsys.readouterr().out


def test_nothing_found_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(function("alone", 1))
    assert main(["similar", "--duplicates", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no duplicates: nothing scores 0.95 or more\n"
    assert (
        main(["similar", str(tmp_path / "a.py"), "--in", str(tmp_path), "--min-score", ".9"]) == 0
    )
    assert "nothing scores 0.9 or more" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["similar", "--duplicates", str(tmp_path / "empty")]) == 0


@pytest.mark.parametrize(("least", "status"), [("0.9", 1), ("1", 1), ("0.5", 1)])
def test_fail_above_is_exit_1_where_a_duplicate_reaches_it(
    code: Path, least: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(capsys, "--duplicates", "code", "--fail-above", least, status=status)


def test_fail_above_is_exit_0_where_none_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.py").write_text(module(1, 3))
    report, _ = asked(capsys, "--duplicates", str(tmp_path), "--fail-above", "0.99")
    assert report["groups"] == []


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ([], 2, "0 files are named"),
        (["a.py"], 2, "1 files are named"),
        (["a.py", "b.py", "c.py"], 2, "3 files are named"),
        (["code"], 2, "is a directory, expected two files"),
        (["code/a.py", "code"], 2, "is a directory, expected a file"),
        (["code", "--in", "code"], 2, "is a directory, expected a file"),
        (["-", "code/a.py"], 2, "goes with `--in`"),
        (["--in", "code"], 2, "0 are named"),
        (["a.py", "b.py", "--in", "code"], 2, "2 are named"),
        (["--duplicates", "code", "--in", "code"], 2, "different questions"),
        (["--duplicates", "code", "--evaluate", "x"], 2, "different questions"),
        (["a.py", "--duplicates", "code"], 2, "takes no other file"),
        (["a.py", "b.py", "--language", "python"], 2, "`--language` does not go"),
        (["code/a.py", "--in", "code", "--fail-above", "1"], 2, "`--fail-above` does not go"),
        (["--evaluate", "x", "--top", "3"], 2, "`--top` does not go"),
        (["--evaluate", "x", "--format", "html"], 2, "text or JSON"),
        (["--duplicates", "code", "--top", "0"], 2, "expected 1 or more"),
        (["--duplicates", "code", "--min-score", "2"], 2, "expected -1 to 1"),
        (["--duplicates", "code", "--min-score", "nan"], 2, "expected -1 to 1"),
        (["--duplicates", "code", "--min-score", ".9", "--fail-above", ".8"], 2, "hides"),
        (["--duplicates", "nowhere"], 1, "no such directory"),
        (["--duplicates", "code/a.py"], 1, "expected a directory"),
        (["gone.py", "code/a.py"], 1, "no such file"),
        (["code/a.py", "--in", "nowhere"], 1, "no such directory"),
        (["code/a.py", "code/empty.py"], 1, "it is empty"),
        (["code/a.py", "code/binary.py"], 1, "is a binary file"),
        (["code/a.py", "code/sub/b.py", "--html", "nowhere/x.html"], 1, "cannot be written"),
    ],
)
def test_bad_words_are_expected_errors_with_a_cause(
    code: Path, words: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (code / "empty.py").write_text("\n")
    (code / "binary.py").write_bytes(b"\0\1")
    assert main(["similar", *words]) == status
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    "words", [["a", "b", "--language", "cobol"], ["a", "b", "--url", "ftp://x"], ["--top", "x"]]
)
def test_unknown_words_are_usage_errors(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["similar", *words]) == 2


def test_an_error_of_the_model_is_told(
    code: Path,
    embedder: FakeEmbedder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def embed(texts: Sequence[str]) -> np.ndarray:
        raise BackendError("the server went away", retryable=True, where="http://127.0.0.1:1")

    monkeypatch.setattr(embedder, "embed", embed)
    assert main(["similar", "--duplicates", "code"]) == 1
    assert "error: the server went away" in capsys.readouterr().err


def test_packages_that_are_not_installed_are_named_with_the_command(
    code: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["similar", "--duplicates", "code"]) == 1
    shown = capsys.readouterr().err
    assert "`usearch`" in shown
    assert "pip install 'trueup[similar]'" in shown


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started in the background ignores Ctrl-C, its tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_says_what_is_kept_and_the_next_run_goes_on(
    tmp_path: Path,
    embedder: FakeEmbedder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a.py").write_text(module(0, 6 * BATCH_TEXTS))
    monkeypatch.setattr("trueup.similarity.index.BATCHES_IN_FLIGHT", 1)
    embed = embedder.embed

    async def interrupted(texts: Sequence[str]) -> np.ndarray:
        if len(embedder.calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return await embed(texts)

    monkeypatch.setattr(embedder, "embed", interrupted)
    assert main(["similar", "--duplicates", str(tmp_path)]) == 130
    shown = capsys.readouterr()
    assert "what was embedded is kept" in shown.err
    assert shown.out == ""
    monkeypatch.setattr(embedder, "embed", embed)
    report, _ = asked(capsys, "--duplicates", str(tmp_path))
    assert report["counts"]["reused"] >= 3 * BATCH_TEXTS
    assert report["counts"]["embedded"] + report["counts"]["reused"] == 6 * BATCH_TEXTS


def test_a_damaged_index_is_told_and_the_answer_comes_all_the_same(
    code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(capsys, "--duplicates", "code")
    (index_directory() / "code-v1.sqlite").write_bytes(b"no database at all" * 300)
    report, err = asked(capsys, "--duplicates", "code")
    assert "the index of code is damaged" in err
    assert report["counts"]["embedded"] == 3


def test_notes_go_to_stderr_bounded_and_to_the_report_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code").mkdir()
    for number in range(20):
        file = tmp_path / "code" / f"{number:02}.py"
        file.write_bytes(f"# \xe9 {number}\n".encode("latin-1"))
    report, err = asked(capsys, "--duplicates", str(tmp_path / "code"))
    assert len(report["notes"]) == 20
    assert report["notes"][0] == {
        "path": "00.py", "line": None, "cause": "is not UTF-8 (line 1): read as latin-1",
    }  # fmt: skip
    assert err.count("read as latin-1") == 12
    assert "note: 8 more; `--format json` lists them all" in err


class Page(HTMLParser):
    """The elements of a page, and the text of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.code: list[str] = []
        self._is_code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes
        if tag == "td":
            self._is_code = "code" in (dict(attributes).get("class") or "").split()
            if self._is_code:
                self.code.append("")

    def handle_data(self, data: str) -> None:
        if self._is_code:
            self.code[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._is_code = self._is_code and tag != "td"


HOSTILE = '<script>alert("1")</script> & </td></table>'


def test_the_page_shows_the_snippets_and_escapes_all_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = f"    text = '''{HOSTILE}'''\n    return [text, text.split(), text.upper(), 1, 2]\n"
    (tmp_path / '<b>&".py').write_text(f"def one(a):\n{body}")
    (tmp_path / "二.py").write_text(f"def two(b):\n{body}")
    words = ["--duplicates", str(tmp_path), "--min-score", "0.5", "--format", "html"]
    assert main(["similar", *words]) == 0
    shown = capsys.readouterr().out
    page = Page(shown)
    assert shown.startswith("<!doctype html>")
    assert "script" not in page.tags
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert f"    text = '''{HOSTILE}'''" in page.code
    assert page.code.count("def one(a):") == page.code.count("def two(b):") == 1
    assert "&lt;b&gt;&amp;&quot;.py:1-3" in shown
    assert "二.py:1-3" in shown
    assert "prefers-color-scheme: dark" in shown
    assert "url(" not in shown
    assert "@import" not in shown


def test_a_page_is_written_beside_the_text(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--duplicates", "code"], ["code/a.py", "--in", "code"],
                  ["code/a.py", "code/sub/b.py"]):  # fmt: skip
        assert main(["similar", *words, "--html", "page.html"]) == 0
        shown = capsys.readouterr()
        assert "alpha" in shown.out
        assert "(the page is page.html)" in shown.err
        page = Page(Path("page.html").read_text(encoding="utf-8"))
        assert "def alpha(first, second):" in page.code
        assert page.tags.count("table") >= 2


def test_a_page_shows_long_snippets_and_lines_in_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(f"    x{i} = {i}\n" for i in range(similar_html.LINES_SHOWN + 50))
    (tmp_path / "a.py").write_text(f"def long(a):\n    b = '{'y' * 5000}'\n{lines}")
    (tmp_path / "b.py").write_text(f"def long(c):\n    b = '{'y' * 5000}'\n{lines}")
    assert main(["similar", "--duplicates", str(tmp_path), "--format", "html"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("52 more lines") == 2
    assert "y" * (similar_html.LINE_CHARACTERS_SHOWN + 1) not in shown


def test_a_name_that_is_no_utf_8_can_be_shown_in_every_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (b"caf\xe9.py", b"b.py"):
        (tmp_path / os.fsdecode(name)).write_text(function("same", 1))
    words = ["similar", "--duplicates", str(tmp_path)]
    for form in ("json", "html", "text"):
        assert main([*words, "--format", form, "--html", str(tmp_path / "page.html")]) == 0
        assert "same" in capsys.readouterr().out
    assert r"caf\udce9.py" in (tmp_path / "page.html").read_text(encoding="utf-8")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_line_on_a_terminal_and_nothing_in_a_pipe(
    code: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(capsys, "--duplicates", "code")
    (code / "c.py").write_text(function("delta", 77))
    monkeypatch.setattr("trueup.cli.similar_progress.INTERVAL_SECONDS", 0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["similar", "--duplicates", "code"]) == 0
    told = terminal.getvalue()
    assert "reading: 3 files, 1 new or changed" in told
    assert "embedding: 1 of 1 (3 known already)" in told
    assert told.rpartition("\r")[2].startswith("\x1b[K(")
    (code / "d.py").write_text(function("epsilon", 78))
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    assert main(["similar", "--duplicates", "code"]) == 0
    assert pipe.getvalue().startswith("(6 snippets in 4 files; 1 embedded, 4 known already;")


def test_the_model_and_the_server_are_handed_on(
    code: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str | None]] = []

    @contextlib.asynccontextmanager
    async def opened(arguments: argparse.Namespace) -> AsyncIterator[FakeEmbedder]:
        seen.append((arguments.model, arguments.url))
        yield FakeEmbedder("other@1")

    monkeypatch.setattr(similar, "open_embedder", opened)
    url = "http://127.0.0.1:8484"
    report, _ = asked(capsys, "--duplicates", "code", "--model", "encoder", "--url", url)
    assert seen == [("encoder", url)]
    assert report["model"] == {"name": "encoder", "identity": "other@1"}


def test_labelled_pairs_go_to_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[str] = []

    def run(arguments: argparse.Namespace) -> int:
        asked_for.append(arguments.evaluate)
        return 0

    monkeypatch.setattr("trueup.cli.similar_evaluate.run", run)
    assert main(["similar", "--evaluate", "pairs.jsonl"]) == 0
    assert asked_for == ["pairs.jsonl"]
