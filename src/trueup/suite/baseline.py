"""What changed since an earlier run: its report against this one. Pure but for the reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trueup.errors import UsageError
from trueup.suite.report import KIND, SCHEMA_VERSION

MAX_FILE_BYTES = 64 * 2**20
# Times vary from run to run: what is told of is beyond that.
SLOWER_TIMES, SLOWER_SECONDS = 1.5, 0.25
HINT = "write one: trueup suite --report baseline.json"
CHANGES = ("broken", "fixed", "slower", "new", "gone")


def read_baseline(path: Path) -> dict[str, Any]:
    """The report of an earlier run.

    Raises:
        UsageError: the file cannot be read or is no report of a suite.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError(f"the file is longer than {MAX_FILE_BYTES} bytes")
        report: Any = json.loads(raw)
    except OSError as error:
        cause = f"the baseline cannot be read: {error.strerror or error}"
        raise UsageError(cause, where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the baseline is no JSON: {error}", where=str(path), hint=HINT) from error
    kind = report.get("kind") if isinstance(report, dict) else None
    version = report.get("schema_version") if isinstance(report, dict) else None
    if kind != KIND or version != SCHEMA_VERSION or not _has_cases(report):
        raise UsageError(
            f"the baseline has kind `{kind}` and schema_version `{version}`, expected the report "
            f"of a suite: `{KIND}` and `{SCHEMA_VERSION}`",
            where=str(path),
            hint=HINT,
        )
    return dict(report)


def _has_cases(report: Mapping[str, Any]) -> bool:
    cases = report.get("cases")
    return isinstance(cases, list) and all(
        isinstance(each, dict)
        and isinstance(each.get("id"), str)
        and isinstance(each.get("state"), str)
        and isinstance(each.get("figures"), list)
        for each in cases
    )


def changes(
    before: Mapping[str, Any],
    now: Sequence[Mapping[str, Any]],
    *,
    is_chosen: Callable[[str], bool] = lambda identity: True,
) -> dict[str, list[dict[str, Any]]]:
    """What is broken, fixed, slower, new and gone; cases that were not run say nothing.

    `is_chosen` says which ids this run was to have at all.
    """
    early = {each["id"]: each for each in before["cases"] if is_chosen(each["id"])}
    late = {each["id"]: each for each in now}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CHANGES}
    for identity, case in late.items():
        if identity not in early:
            found["new"].append({"id": identity, "now": case["state"]})
            continue
        was, state = early[identity]["state"], case["state"]
        if "not_run" in (was, state):
            continue
        row = {"id": identity, "before": was, "now": state}
        if was == "passed" and state != "passed":
            found["broken"].append(row)
        elif was != "passed" and state == "passed":
            found["fixed"].append(row)
        elif slower := _slower(early[identity], case):
            found["slower"].append({"id": identity, **slower})
    found["gone"] = [
        {"id": identity, "before": case["state"]}
        for identity, case in early.items()
        if identity not in late
    ]
    return found


def _slower(early: Mapping[str, Any], late: Mapping[str, Any]) -> dict[str, Any] | None:
    before, now = _seconds(early), _seconds(late)
    if before is None or now is None:
        return None
    if now > before * SLOWER_TIMES and now > before + SLOWER_SECONDS:
        return {"before": before, "now": now}
    return None


def _seconds(case: Mapping[str, Any]) -> float | None:
    """The time that the case is about, not that of carrying it out."""
    values = (
        each.get("value")
        for each in case["figures"]
        if isinstance(each, dict) and each.get("unit") == "s"
    )
    return next((float(each) for each in values if isinstance(each, (int, float))), None)
