"""The report of a check as text: what the model is, what breaks, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trueup.doctor.render.text import (
    INDENT,
    LABEL_WIDTH,
    Line,
    gate_words,
    paragraph,
    printable,
    terminal_width,
    wrapped,
)
from trueup.doctor.render.verdict_text import verdict_lines


def report_lines(report: Mapping[str, Any], *, width: int | None = None) -> Iterator[Line]:
    """The whole report of a check: what it is, what breaks, and what to do."""
    width = terminal_width() if width is None else width
    yield from header_lines(report)
    findings = report["findings"]
    plan = report["plan"] or {}
    route = plan.get("route", "refused")
    version = report["environment"]["transformers"]
    in_the_way = [each for each in findings if not each["avoided"]]
    avoided = [each for each in findings if each["avoided"]]
    # Where the native route is not for such a model, nothing is avoided once they are mended.
    is_closed = route == "refused" and bool(plan.get("implementation"))
    closing = [each for each in findings if is_closed and "native" in each["blocks"]]
    yield Line("")
    if not findings:
        yield from _nothing_lines(report, route)
    if closing:
        yield from _closing_lines(closing, findings, width)
    elif in_the_way:
        breaking = [each for each in in_the_way if each["severity"] == "error"]
        others = [each for each in in_the_way if each["severity"] != "error"]
        for title, group in (
            (_title(len(breaking), route, version), breaking),
            (f"{_count(len(others), 'thing')} to know:", others),
        ):
            if not group:
                continue
            yield Line(title, "title")
            for finding in group:
                yield Line("")
                yield from _finding_lines(finding, width)
            yield Line("")
    if avoided:
        count = _count(len(avoided), "finding")
        yield Line(f"{count} avoided by the {route} route. The model's own code would meet:")
        for finding in avoided:
            yield Line("")
            yield from _finding_lines(finding, width)
        yield Line("")
    if "works" in report:
        yield from _works_lines(report["works"])
    yield from verdict_lines(report, width=width)


def _works_lines(works: Mapping[str, str | None]) -> Iterator[Line]:
    if works["oldest"] is None:
        yield Line("Without TrueUp no known release of transformers should run it.", "warning")
    else:
        ends = (str(works["oldest"]), str(works["newest"]))
        span = " to ".join(dict.fromkeys(ends))
        judged = "the last patch of each minor release was judged"
        yield Line(f"Without TrueUp it should work on transformers {span}; {judged}.")
    yield Line("")


def _nothing_lines(report: Mapping[str, Any], route: str) -> Iterator[Line]:
    version = report["environment"]["transformers"]
    subject = f"transformers {version}" if version else "this interpreter"
    kind = "plain" if route == "refused" else "good"  # for a reason that the verdict tells
    if route == "refused" and report["model"]["has_own_code"]:
        yield Line(f"The model's own code meets nothing known on {subject}.", kind)
    else:
        yield Line(f"Nothing known breaks on {subject}.", kind)
    yield Line("")


def _closing_lines(
    closing: list[Mapping[str, Any]], findings: list[Mapping[str, Any]], width: int
) -> Iterator[Line]:
    """What closes every route in full, then what only the model's own code meets, in short."""
    yield Line("In the way:", "title")
    for finding in closing:
        yield Line("")
        yield from _finding_lines(finding, width)
    yield Line("")
    rest = [each for each in findings if each not in closing]
    own_code = [each for each in rest if each["blocks"]]
    for finding in rest:
        if finding not in own_code:
            yield from _finding_lines(finding, width)
            yield Line("")
    if own_code:
        count = _count(len(own_code), "finding")
        mended = f"{closing[0]['code']} is" if len(closing) == 1 else "these are"
        others = ", ".join(dict.fromkeys(each["code"] for each in own_code))
        yield from paragraph(
            f"{count} would be avoided by the native route once {mended} "
            f"mended: {others} (their text: --format json)",
            width,
            indent="",
        )
        yield Line("")


def header_lines(report: Mapping[str, Any]) -> Iterator[Line]:
    """Which model, what it is, and which libraries it is judged against."""
    model, environment = report["model"], report["environment"]
    kinds = [model["model_type"], *model["architectures"]]
    if model.get("hub_class"):  # whose config.json names no architecture
        kinds.append(model["hub_class"])
    what = ", ".join(printable(kind) for kind in kinds if kind) or "unknown architecture"
    yield Line(f"{printable(model['id'])}: {what}", "title")
    yield Line(f"{INDENT}{printable(model['directory'])}", "dim")
    if model.get("remote_bytes"):
        size = f"{model['remote_bytes'] / 10**9:.2f} GB"
        yield Line(f"{INDENT}its weights, {size}, are on the hub: headers were read", "dim")
    version = environment["transformers"]
    libraries = f"transformers {version}" if version else "no transformers"
    if environment["is_assumed"]:
        libraries += " (as given, not looked at)"
    elif "torch" in environment["packages"]:
        libraries += f", torch {environment['packages']['torch']}"
    python = f"Python {environment['python_version']}"
    yield Line(f"{INDENT}{libraries}, {python}", "dim")


def _title(errors: int, route: str, version: str | None) -> str:
    subject = "thing breaks" if errors == 1 else "things break"
    with_version = f" with transformers {version}" if version else ""
    order = ", in this order" if errors > 1 else ""
    in_spite = f" on the {route} route" if route != "refused" else ""
    return f"{errors} {subject}{in_spite}{with_version}{order}:"


def _finding_lines(finding: Mapping[str, Any], width: int) -> Iterator[Line]:
    kind = "avoided" if finding["avoided"] else finding["severity"]
    state = f"{finding['severity']}, avoided" if finding["avoided"] else finding["severity"]
    yield Line(f"{finding['code']} {state} ({finding['stage']})", kind)
    yield from paragraph(printable(finding["cause"]), width)
    place, gate = _place(finding["where"]), gate_words(finding)
    if place:
        gate = f"   ({gate})" if gate else ""
        yield Line(f"{INDENT}{'where:':<{LABEL_WIDTH}}{place}{gate}", "dim")
    if finding["hint"]:
        yield from wrapped("hint:", finding["hint"], width, "plain")


def _place(where: Mapping[str, Any]) -> str:
    place = where["path"] or ""
    if where["line"] is not None:
        place += f":{where['line']}"
    if where["key"] is not None:
        place += f": {where['key']}" if place else where["key"]
    return printable(place)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
