"""Words and numbers that every form of the report shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

STATE_WORDS = {"passed": "passed", "failed": "failed", "skipped": "skipped", "not_run": "not run"}
UNSHOWN_NAMES = ("answer", "load", "first text")
KIB = 1024
SHOWN_CHARACTERS = 120
CHANGE_WORDS = {
    "broken": "broken",
    "fixed": "fixed",
    "slower": "slower",
    "new": "new",
    "gone": "gone",
}


def amount(value: float, unit: str) -> str:
    """A number with its unit, as people read it."""
    if unit == "s":
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    if unit == "share":
        return f"{value:.1%}"
    if unit == "cosine":
        return f"{value:.6f}"
    if unit == "bytes":
        return _size(value)
    return f"{value:g}"


def _size(value: float) -> str:
    size, units = abs(value), ("B", "KiB", "MiB", "GiB", "TiB")
    power = 0
    while size >= KIB and power < len(units) - 1:
        size, power = size / KIB, power + 1
    number = f"{size:.2f}" if power > 2 else f"{size:.0f}"
    return f"{'-' if value < 0 else ''}{number} {units[power]}"


def figure_words(figure: Mapping[str, Any]) -> str:
    """`host, private 412 MiB (at most 560 MiB)`."""
    name = "" if figure["name"] in UNSHOWN_NAMES else f"{figure['name']} "
    words = f"{name}{amount(figure['value'], figure['unit'])}"
    if figure["limit"] is not None:
        bound = "at least" if figure["is_floor"] else "at most"
        words += f" ({bound} {amount(figure['limit'], figure['unit'])})"
    return words


def case_words(case: Mapping[str, Any]) -> str:
    """What is told of a case on one line beside its state: its figures, or why it has none."""
    if case["because"]:
        return str(case["because"])
    figures = "; ".join(map(figure_words, case["figures"]))
    return figures or _shortened(str(case["cause"] or case["title"]))


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def key_of(case: Mapping[str, Any]) -> str:
    """The case's id without its subject."""
    return str(case["id"]).removeprefix(f"{case['subject']}/")


def counts_words(summary: Mapping[str, Any]) -> str:
    """`9 of 11, 81.8 %; 1 failed, 1 skipped`."""
    rest = ", ".join(
        f"{summary[state]} {STATE_WORDS[state]}"
        for state in ("failed", "skipped", "not_run")
        if summary[state]
    )
    return f"{summary['text']}; {rest}" if rest else str(summary["text"])


def run_words(report: Mapping[str, Any]) -> str:
    """Where and when the suite ran, on one line."""
    environment = report["environment"]
    parts = [
        f"{name} {version}" for name, version in environment.get("packages", {}).items() if version
    ]
    if environment.get("python"):
        parts.append(f"Python {environment['python']}")
    if environment.get("config"):
        parts.insert(0, environment["config"])
    if environment.get("url"):
        parts.insert(0, environment["url"])
    seconds = amount(report["seconds"], "s")
    return " · ".join((*parts, f"{report['started_at']}, {seconds}"))


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What must be known of the run as a whole."""
    found = []
    if report["is_static"]:
        found.append("Static: nothing was loaded.")
    if report["is_interrupted"]:
        found.append("Interrupted: what had not been run is marked so.")
    return found


def subject_words(subject: Mapping[str, Any]) -> str:
    """`chat, native as transformers.GlmForCausalLM, float32 on cpu`."""
    parts = [subject["kind"] or "of an unknown kind"]
    plan = subject["plan"]
    if plan is not None and plan["route"] == "refused":
        parts.append("no route")
    elif plan is not None:
        implementation = f" as {plan['implementation']}" if plan["implementation"] else ""
        parts.append(f"{plan['route']}{implementation}, {plan['dtype']} on {plan['device']}")
    if subject["type"] == "role":
        parts.append("chain: " + ", ".join(subject["chain"]))
    if subject["type"] == "backend":
        parts.append("another's server")
    return ", ".join(parts)


def cases_of(report: Mapping[str, Any], subject: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The cases of a subject in order."""
    return [case for case in report["cases"] if case["subject"] == subject["id"]]


def unhappy(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What failed, then what was skipped for a reason of its own."""
    cases: Sequence[Mapping[str, Any]] = report["cases"]
    failed = [each for each in cases if each["state"] == "failed"]
    alone = [each for each in cases if each["state"] == "skipped" and not each["needed"]]
    return [*failed, *alone]


def problem_rows(case: Mapping[str, Any]) -> list[list[tuple[str, str]]]:
    """Why a case failed: of each problem its label and text, and last what to use instead."""
    blocks = [
        [
            ("cause", each["cause"]),
            ("where", None if each["where"] is None else each["where"]["text"]),
            ("hint", each["hint"]),
        ]
        for each in (case, *case["more"])
    ]
    blocks[-1].append(("instead", case["instead"]))
    return [[(label, text) for label, text in block if text] for block in blocks]


def comparisons(report: Mapping[str, Any]) -> Iterator[tuple[Sequence[str], list[list[str]]]]:
    """The two names of each comparison, and for every prompt its id and how each fared."""
    for case in report["cases"]:
        if prompts := case["details"].get("prompts"):
            rows = [[row["id"], *map(_fared, row["answers"])] for row in prompts]
            yield case["details"]["compared"], rows


def _fared(answer: Mapping[str, Any]) -> str:
    word = STATE_WORDS["passed" if answer["passed"] else "failed"]
    return word if answer["seconds"] is None else f"{word} {amount(answer['seconds'], 's')}"


def change_words(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The kind of every change since the baseline and a line on it."""
    for name, word in CHANGE_WORDS.items():
        for row in (report["baseline"] or {}).get(name, ()):
            if name == "slower":
                told = f"{amount(row['before'], 's')} then, {amount(row['now'], 's')} now"
            elif name in ("new", "gone"):
                state = row.get("now") or row.get("before")
                told = STATE_WORDS.get(state, str(state))
            else:
                told = f"{_state(row['before'])} then, {_state(row['now'])} now"
            yield word, f"{row['id']}: {told}"


def _state(name: str) -> str:
    return STATE_WORDS.get(name, name)
