"""The report of a suite as plain data, ready for JSON; every renderer shows this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import trueup
from trueup.suite.case import STATES, Place, Problem, Result, Subject

SCHEMA_VERSION = 1
KIND = "suite"
PLAN_KEYS = ("route", "implementation", "dtype", "device", "engine", "family")


def build_report(
    subjects: Sequence[Subject],
    results: Sequence[Result],
    *,
    started_at: str,
    seconds: float,
    environment: Mapping[str, Any],
    is_static: bool = False,
    is_interrupted: bool = False,
) -> dict[str, Any]:
    """Everything that is known of a run; `baseline` is added by those who have one."""
    places = {each.id: Place.in_file(each.place) for each in subjects if each.place}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "trueup": trueup.__version__,
        "started_at": started_at,
        "seconds": round(seconds, 3),
        "is_static": is_static,
        "is_interrupted": is_interrupted,
        "environment": dict(environment),
        "summary": summary(results),
        "subjects": [_subject(each, results) for each in subjects],
        "cases": [_case(each, places.get(each.case.subject)) for each in results],
        "baseline": None,
    }


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """How many passed of all that there were; what was skipped or not run has not passed."""
    counts = Counter(each.state for each in results)
    passed, total = counts["passed"], len(results)
    rate = passed / total if total else 0.0
    return {
        "cases": total,
        **{state: counts[state] for state in STATES},
        "pass_rate": round(rate, 4),
        "text": f"{passed} of {total}, {_percent(passed, total)}",
    }


def _percent(passed: int, total: int) -> str:
    """Never 100.0 % where something is missing, and never 0.0 % where something passed."""
    if not total:
        return "0.0 %"
    share = min(passed / total * 100, 99.9 if passed < total else 100.0)
    return f"{max(share, 0.1) if passed else 0.0:.1f} %"


def _subject(subject: Subject, results: Sequence[Result]) -> dict[str, Any]:
    own = [each for each in results if each.case.subject == subject.id]
    plan = subject.plan
    return {
        "id": subject.id,
        "title": subject.title,
        "type": subject.type,
        "name": subject.name,
        "role": subject.role,
        "kind": subject.kind,
        "source": subject.source,
        "chain": list(subject.chain),
        "place": subject.place,
        "plan": None if plan is None else {key: plan.get(key) for key in PLAN_KEYS},
        "summary": summary(own),
    }


def _case(result: Result, place: Place | None) -> dict[str, Any]:
    """The case in the report's shape; a problem without a place is at its subject's."""
    case, verdict = result.case, result.verdict
    problem = verdict.problem or verdict.unable
    return {
        "id": case.id,
        "subject": case.subject,
        "title": case.title,
        "state": result.state,
        "seconds": round(result.seconds, 3),
        "figures": [each.as_dict() for each in verdict.figures],
        "because": result.because,
        "needed": result.needed,
        **_problem(problem, place),
        "more": [_problem(each, place) for each in verdict.more],
        "instead": result.instead,
        "notes": list(verdict.notes),
        "details": dict(verdict.details),
    }


def _problem(problem: Problem | None, place: Place | None) -> dict[str, Any]:
    if problem is None:
        return {"cause": None, "where": None, "hint": None}
    return {"cause": problem.cause, "where": _place(problem.where or place), "hint": problem.hint}


def _place(place: Place | None) -> dict[str, Any] | None:
    if place is None:
        return None
    return {"text": place.text, "path": place.path, "line": place.line}
