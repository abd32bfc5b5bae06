from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.suite.cases import ODD, whole_report
from trueup.suite.render.github import github
from trueup.suite.render.html import html
from trueup.suite.render.junit import junit
from trueup.suite.render.markdown import markdown
from trueup.suite.render.text import report_lines
from trueup.suite.render.words import amount, case_words

BASELINE = {
    "file": "base.json",
    "broken": [{"id": "glm/answer-zh", "before": "passed", "now": "failed"}],
    "fixed": [],
    "slower": [{"id": "glm/load", "before": 1.0, "now": 12.0}],
    "new": [{"id": "far/x", "now": "skipped"}],
    "gone": [{"id": "old/x", "before": "passed"}],
}


def text(report: dict[str, Any]) -> str:
    return "\n".join(line.text for line in report_lines(report))


def test_the_text_has_each_case_what_failed_and_the_pass_rate_last() -> None:
    shown = text(whole_report(baseline=BASELINE))
    assert "glm: chat, native as transformers.Glm, float32 on cpu\n" in shown
    assert "  passed   check      it works\n" in shown
    assert "  failed   answer-zh  7.00 s (at most 5.00 s)\n" in shown
    assert "  not run  answers  the run was interrupted\n" in shown
    problem = shown[shown.index("\nglm/answer-zh\n") :]
    assert "  cause:   the answer took 7.0 s, expected 5 s or less;" in problem
    assert "  where:   /repo/p.yaml:7: prompts[1]\n" in problem
    assert "  hint:    use `device: cuda`\n" in problem
    assert "  cause:   it was in French\n  where:   /repo/p.yaml:9\n" in problem
    assert "  instead: `far`, which is faster\n" in problem
    assert "far/y (skipped)\n  cause:   `numpy` is not installed" in problem
    assert "\nfar/x" not in problem  # it waited for far/reach, which is there
    assert "  broken  glm/answer-zh: passed then, failed now\n" in shown
    assert (
        "on the same prompts  glm            far\n1                    passed 1.00 s  failed\n"
        in shown
    )
    assert "  slower  glm/load: 1.00 s then, 12.0 s now\n" in shown
    assert "Passed: 3 of 9, 33.3 %; 3 failed, 2 skipped, 1 not run" in shown
    assert shown.endswith(
        "t.yaml · transformers 5.23.0 · Python 3.11 · 2026-01-02T03:04:05+00:00, 12.5 s"
    )


def test_the_text_cannot_be_steered_by_what_a_model_said() -> None:
    assert "\x1b" not in text(whole_report())
    assert all("\n" not in line.text for line in report_lines(whole_report()))


def test_markdown_is_no_markup_of_others() -> None:
    shown = markdown(whole_report(baseline=BASELINE))
    assert shown.startswith("# trueup suite: 3 of 9, 33.3 %; 3 failed, 2 skipped, 1 not run\n")
    assert "| ❌ failed | `answer-zh` | 7.00 s (at most 5.00 s) |" in shown
    assert "\n- cause: it was in French\n- where: /repo/p.yaml:9\n" in shown
    assert "\n- instead: `far`, which is faster" in shown
    assert r"a\|b \<i\>" in shown
    assert r"| ❌ failed | `bare` | a\|b \<i\>" in shown
    assert "| | glm | far |\n|---|---|---|\n| `1` | passed 1.00 s | failed |\n" in shown
    assert "\n- slower: glm/load: 1.00 s then, 12.0 s now" in shown
    assert not [line for line in shown.splitlines() if line.startswith("::error")]


class Page(HTMLParser):
    """The elements of a page, its text, and whatever it would load or run."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: set[str] = set()
        self.loads: list[str] = []
        self.shown = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.loads += [name for name, _ in attrs if name in ("src", "href") or name[:2] == "on"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def test_the_page_is_whole_loads_nothing_and_shows_everything() -> None:
    content = html(whole_report(baseline=BASELINE))
    page = Page(content)
    assert page.open == []
    assert page.loads == []
    assert not page.found & {"script", "link", "img", "iframe"}
    assert "url(" not in content
    assert "prefers-color-scheme: dark" in content
    assert "33.3 %" in page.shown
    assert "3 of 9 passed" in page.shown
    assert 'a|b <i>"x"</i>' in page.shown
    assert "glm/load: 1.00 s then, 12.0 s now" in page.shown
    assert "me <b>" in page.shown
    assert "it is gone" in page.shown
    assert "it was in French" in page.shown


def test_a_narrow_screen_gives_names_a_line_of_their_own() -> None:
    content = html(whole_report())
    narrow = content.partition("@media (max-width: 640px)")[2].partition("@media")[0]
    for table in ("cases", "overview"):
        assert f'<table class="{table}">' in content
        assert f".{table} tr" in narrow
    assert "display: grid" in narrow


def test_each_problem_of_a_case_is_a_list_of_its_own() -> None:
    content = html(whole_report())
    first = content.partition("glm/answer-zh</h3>")[2].partition("</section>")[0]
    assert first.count("<dl>") == 2


def test_a_page_without_changes_says_so() -> None:
    nothing: dict[str, list[Any]] = {
        name: [] for name in ("broken", "fixed", "slower", "new", "gone")
    }
    assert "Nothing changed." in html(whole_report(baseline=nothing))
    assert "Since the baseline" not in html(whole_report())


def test_junit_is_xml_that_counts_and_says_why() -> None:
    root = ElementTree.fromstring(junit(whole_report()))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "9", "failures": "3", "errors": "0", "skipped": "3",
    }  # fmt: skip
    assert [each.get("name") for each in root] == ["glm", "the role talk", "far", "glm and far"]
    assert sum(int(each.get("tests", "0")) for each in root) == 9
    case = root.find(".//testcase[@name='answer-zh']")
    assert case is not None
    assert case.get("classname") == "glm"
    failure = case.find("failure")
    assert failure is not None
    assert "expected 5 s or less" in str(failure.get("message"))
    assert "cause: it was in French" in str(failure.text)
    assert "instead: `far`, which is faster" in str(failure.text)
    skipped = root.find(".//testcase[@name='answers']/skipped")
    assert skipped is not None
    assert skipped.get("message") == "the run was interrupted"


def test_githubs_commands_name_the_file_and_are_one_line_each(tmp_path: Path) -> None:
    lines = github(whole_report(), root=Path("/repo")).splitlines()
    assert all(re.match(r"::(error|warning|notice) ", line) for line in lines)
    first = lines[0]
    assert first.startswith("::error file=p.yaml,line=7,title=trueup suite%3A glm/answer-zh::")
    assert "%0A" in first
    assert "\x1b" not in first
    assert "line=9" in lines[1]
    assert "it was in French" in lines[1]
    assert ":3: models.glm" not in lines[2]
    assert lines[2].startswith("::error file=")
    assert "line=3" in lines[2]
    assert lines[-1] == (
        "::warning title=trueup suite::3 of 9, 33.3 %25; 3 failed, 2 skipped, 1 not run"
    )
    elsewhere = github(whole_report(), root=tmp_path).splitlines()[0]
    assert "file=/repo/p.yaml," in elsewhere


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.5, "s", "0.50 s"),
        (12.34, "s", "12.3 s"),
        (512, "bytes", "512 B"),
        (-3 * 2**20, "bytes", "-3 MiB"),
        (5.25 * 2**30, "bytes", "5.25 GiB"),
        (0.855, "share", "85.5%"),
        (0.9999999, "cosine", "1.000000"),
        (3, "count", "3"),
    ],
)
def test_numbers_are_shown_with_their_units(value: float, unit: str, shown: str) -> None:
    assert amount(value, unit) == shown


def test_a_failed_case_without_figures_is_told_by_its_cause() -> None:
    case: dict[str, Any] = {"because": None, "figures": [], "cause": "x" * 200, "title": "t"}
    assert case_words(case) == "x" * 120 + "…"


def test_what_is_not_utf_8_can_be_shown_in_every_form() -> None:
    report = whole_report()
    report["cases"][2]["cause"] = f"{ODD} \udcff \x00"
    for shown in (text(report), markdown(report), html(report), junit(report)):
        assert "a" in shown
    junit(report).encode()
    html(report).encode()
