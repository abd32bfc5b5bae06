"""The report as JUnit XML, for servers that build."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from trueup.suite.render.words import case_words, cases_of, figure_words, key_of, problem_rows

# What XML 1.0 cannot hold, however it is escaped.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Mapping[str, Any]) -> str:
    """The whole report; what was not run counts as skipped there."""
    summary = report["summary"]
    root = ElementTree.Element(
        "testsuites",
        name="trueup suite",
        tests=str(summary["cases"]),
        failures=str(summary["failed"]),
        errors="0",
        skipped=str(summary["skipped"] + summary["not_run"]),
        time=f"{report['seconds']:.3f}",
    )
    for subject in report["subjects"]:
        own = subject["summary"]
        cases = cases_of(report, subject)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_text(subject["title"]),
            tests=str(own["cases"]),
            failures=str(own["failed"]),
            errors="0",
            skipped=str(own["skipped"] + own["not_run"]),
            time=f"{sum(case['seconds'] for case in cases):.3f}",
            timestamp=report["started_at"],
        )
        for case in cases:
            _add_case(suite, case)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _add_case(suite: ElementTree.Element, case: Mapping[str, Any]) -> None:
    element = ElementTree.SubElement(
        suite,
        "testcase",
        classname=_text(case["subject"]),
        name=_text(key_of(case)),
        time=f"{case['seconds']:.3f}",
    )
    if case["state"] == "failed":
        cause = _text(case["cause"])
        failure = ElementTree.SubElement(element, "failure", message=cause, type="failed")
        told = (f"{label}: {text}" for block in problem_rows(case) for label, text in block)
        failure.text = _text("\n".join(told))
    elif case["state"] != "passed":
        ElementTree.SubElement(element, "skipped", message=_text(case_words(case)))
    if case["figures"] or case["notes"]:
        out = ElementTree.SubElement(element, "system-out")
        out.text = _text("\n".join((*map(figure_words, case["figures"]), *case["notes"])))


def _text(value: object) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value))
