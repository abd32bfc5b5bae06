"""Reports as text for people: every line complete without colour, rich only on a terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from packaging.version import Version

from trueup.environment.environment import OLDEST_TRANSFORMERS

PIPED_WIDTH, NARROWEST, WIDEST = 100, 50, 110
LABEL_WIDTH = 7
INDENT = "  "
STYLES = {
    "title": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "info": "bold cyan",
    "avoided": "green",
    "dim": "dim",
    "plain": "",
    "good": "bold green",
    "bad": "bold red",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line and what it is, from which its colour follows."""

    text: str
    kind: str = "plain"


def print_lines(lines: Iterable[Line], stream: TextIO | None = None) -> None:
    """Write the lines, in colour where the stream is a terminal that has it."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty():
        for line in lines:
            stream.write(f"{line.text}\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(Text(line.text, style=STYLES[line.kind]))


def report_lines(report: Mapping[str, Any], *, width: int | None = None) -> Iterator[Line]:
    """The whole report of a check: what it is, what breaks, and what to do."""
    width = _width() if width is None else width
    yield from header_lines(report)
    findings = report["findings"]
    route = (report["plan"] or {}).get("route", "refused")
    version = report["environment"]["transformers"]
    in_the_way = [each for each in findings if not each["avoided"]]
    avoided = [each for each in findings if each["avoided"]]
    closing = [each for each in findings if route == "refused" and "native" in each["blocks"]]
    yield Line("")
    if not findings:
        yield from _nothing_lines(route, version)
    if closing:
        yield from _closing_lines(closing, findings, width)
    elif in_the_way:
        yield Line(_title(in_the_way, route, version), "title")
        for finding in in_the_way:
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
        span = f"{works['oldest']} to {works['newest']}"
        yield Line(f"Without TrueUp it should work on transformers {span}.")
    yield Line("")


def _nothing_lines(route: str, version: str | None) -> Iterator[Line]:
    subject = f"transformers {version}" if version else "this interpreter"
    if route == "refused":  # for another reason, which the verdict tells
        yield Line(f"The model's own code meets nothing known on {subject}.")
    else:
        yield Line(f"Nothing known breaks on {subject}.", "good")
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
        yield from _paragraph(
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


def verdict_lines(report: Mapping[str, Any], *, width: int) -> Iterator[Line]:
    """The route and the next command."""
    plan, source = report["plan"], printable(report["model"]["source"])
    if plan is None or plan["route"] == "refused":
        yield Line("No route runs this model here.", "bad")
        for reason in (plan or {}).get("why", ()):
            yield from _wrapped("why:", reason, width, "plain")
        told = [each for each in report["findings"] if each["hint"]]
        hints = [each["hint"] for each in told if "native" in each["blocks"]]
        if not hints and _is_too_old(report["environment"]["transformers"]):
            oldest = ".".join(map(str, OLDEST_TRANSFORMERS.release[:2]))
            hints = [f"pip install 'transformers>={oldest}'"]
        hints = hints or [each["hint"] for each in told if each["stage"] in ("config", "import")]
        if hints:
            yield from _wrapped("next:", hints[0], width, "plain")
        return
    implementation = f" as {plan['implementation']}" if plan["implementation"] else ""
    yield Line(
        f"Route: {plan['route']}{implementation}, {plan['dtype']} on {plan['device']}", "good"
    )
    for reason in plan["why"]:
        yield from _wrapped("why:", reason, width, "plain")
    verb, example = ("embed", ' "some text"') if plan["kind"] == "embedding" else ("chat", "")
    yield Line(f"{INDENT}{'next:':<{LABEL_WIDTH}}trueup {verb} {source}{example}")


def _is_too_old(version: str | None) -> bool:
    return version is not None and Version(version) < OLDEST_TRANSFORMERS


def _title(findings: list[Mapping[str, Any]], route: str, version: str | None) -> str:
    errors = sum(1 for each in findings if each["severity"] == "error")
    if not errors:
        return f"{_count(len(findings), 'thing')} to know:"
    subject = "thing breaks" if errors == 1 else "things break"
    with_version = f" with transformers {version}" if version else ""
    order = ", in this order" if errors > 1 else ""
    in_spite = f" on the {route} route" if route != "refused" else ""
    return f"{errors} {subject}{in_spite}{with_version}{order}:"


def _finding_lines(finding: Mapping[str, Any], width: int) -> Iterator[Line]:
    kind = "avoided" if finding["avoided"] else finding["severity"]
    state = f"{finding['severity']}, avoided" if finding["avoided"] else finding["severity"]
    yield Line(f"{finding['code']} {state} ({finding['stage']})", kind)
    yield from _paragraph(printable(finding["cause"]), width)
    place, gate = _place(finding["where"]), _gate(finding)
    if place:
        gate = f"   ({gate})" if gate else ""
        yield Line(f"{INDENT}{'where:':<{LABEL_WIDTH}}{place}{gate}", "dim")
    if finding["hint"]:
        yield from _wrapped("hint:", finding["hint"], width, "plain")


def error_lines(report: Mapping[str, Any], *, width: int | None = None) -> Iterator[Line]:
    """The answer to a pasted error."""
    width = _width() if width is None else width
    error = report["error"]
    yield Line(f"error: {printable(error['message'])[:300]}", "title")
    if error["path"]:
        inside = f", in {error['function']}" if error["function"] else ""
        place = f"{error['path']}:{error['line']}{inside}"
        yield Line(f"{INDENT}{'where:':<{LABEL_WIDTH}}{place}", "dim")
    yield Line("")
    if not report["matches"]:
        yield Line("This error is not in the catalogue.", "warning")
        if not error["path"]:
            yield from _wrapped(
                "next:", "paste the whole traceback, not its last line", width, "plain"
            )
        yield from _wrapped(
            "or:" if not error["path"] else "next:",
            "trueup check MODEL, which reads the model's files",
            width,
            "plain",
        )
        return
    for position, match in enumerate(report["matches"]):
        if position == 1:
            yield Line("Less likely:")
            yield Line("")
        gate = _gate(match)
        since = f" ({gate})" if gate else ""
        guess = ", a guess from little text" if match["is_guess"] else ""
        yield Line(f"{match['code']}{guess}{since}", "error" if position == 0 else "plain")
        yield from _wrapped("cause:", match["cause"], width, "plain")
        yield from _wrapped("hint:", match["hint"], width, "plain")
        if match["about"] and position == 0:
            yield from _wrapped("about:", match["about"], width, "dim")
        if match["command"]:
            yield Line(f"{INDENT}{'next:':<{LABEL_WIDTH}}{match['command']}")
        yield Line("")


def printable(text: Any) -> str:
    """Somebody else's text, without what would move the cursor or start a line."""
    text = str(text)
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    )


def _place(where: Mapping[str, Any]) -> str:
    place = where["path"] or ""
    if where["line"] is not None:
        place += f":{where['line']}"
    if where["key"] is not None:
        place += f": {where['key']}" if place else where["key"]
    return printable(place)


def _gate(finding: Mapping[str, Any]) -> str:
    since, until = finding["since"], finding["until"]
    if since and until:
        return f"since transformers {since}, works again in {until}"
    if since:
        return f"since transformers {since}"
    return f"before transformers {until}" if until else ""


def _paragraph(text: str, width: int, indent: str = INDENT) -> Iterator[Line]:
    for line in textwrap.wrap(text, width - len(indent), break_long_words=False):
        yield Line(f"{indent}{line}")


def _wrapped(label: str, text: str, width: int, kind: str) -> Iterator[Line]:
    margin = len(INDENT) + LABEL_WIDTH
    lines = textwrap.wrap(
        printable(text), width - margin, break_long_words=False, break_on_hyphens=False
    )
    for position, line in enumerate(lines or [""]):
        name = label if position == 0 else ""
        yield Line(f"{INDENT}{name:<{LABEL_WIDTH}}{line}", kind)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _width() -> int:
    if not sys.stdout.isatty():
        return PIPED_WIDTH
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
