"""The end of a report: the route and the next command, or why there is none and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import Version

from trueup.doctor.render.text import INDENT, LABEL_WIDTH, Line, printable, wrapped
from trueup.environment.environment import OLDEST_TRANSFORMERS


def verdict_lines(report: Mapping[str, Any], *, width: int) -> Iterator[Line]:
    """The route and the next command."""
    plan, source = report["plan"], printable(report["model"]["source"])
    if plan is None or plan["route"] == "refused":
        yield Line("No route runs this model here.", "bad")
        for reason in (plan or {}).get("why", ()):
            yield from wrapped("why:", reason, width, "plain")
        told = [each for each in report["findings"] if each["hint"]]
        hints = [each["hint"] for each in told if "native" in each["blocks"]]
        if not hints and _is_too_old(report["environment"]["transformers"]):
            oldest = ".".join(map(str, OLDEST_TRANSFORMERS.release[:2]))
            hints = [f"pip install 'transformers>={oldest}'"]
        hints = hints or [each["hint"] for each in told if each["stage"] in ("config", "import")]
        if hints:
            yield from wrapped("next:", hints[0], width, "plain")
        return
    implementation = f" as {plan['implementation']}" if plan["implementation"] else ""
    yield Line(
        f"Route: {plan['route']}{implementation}, {plan['dtype']} on {plan['device']}", "good"
    )
    for reason in plan["why"]:
        yield from wrapped("why:", reason, width, "plain")
    verb, example = ("embed", ' "some text"') if plan["kind"] == "embedding" else ("chat", "")
    yield Line(f"{INDENT}{'next:':<{LABEL_WIDTH}}trueup {verb} {source}{example}")


def _is_too_old(version: str | None) -> bool:
    return version is not None and Version(version) < OLDEST_TRANSFORMERS
