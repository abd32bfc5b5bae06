"""The end of a report: the route and the next command, or why there is none and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import Version

from trueup.doctor.joining import STAGES
from trueup.doctor.render.text import INDENT, LABEL_WIDTH, Line, printable, wrapped
from trueup.environment.environment import OLDEST_TRANSFORMERS

# The code of the finding that nothing is known of a release.
NOTHING_KNOWN = "ENV107"
# What a user does first with a model that does not chat.
FIRST_USES = {"embedding": ("embed", ' "some text"'), "completion": ("serve", "")}


def verdict_lines(report: Mapping[str, Any], *, width: int) -> Iterator[Line]:
    """The route and the next command."""
    plan, source = report["plan"], printable(report["model"]["source"])
    if plan is None or plan["route"] == "refused":
        yield Line("No route runs this model here.", "bad")
        for reason in (plan or {}).get("why", ()):
            yield from wrapped("why:", reason, width)
        for label, step in zip(("next:", "or:"), next_steps(report), strict=False):
            yield from wrapped(label, step, width)
        return
    implementation = f" as {plan['implementation']}" if plan["implementation"] else ""
    yield Line(
        f"Route: {plan['route']}{implementation}, {plan['dtype']} on {plan['device']}", "good"
    )
    for reason in plan["why"]:
        yield from wrapped("why:", reason, width)
    for position, step in enumerate(_first_steps(plan, source)):
        label = "then:" if position else "next:"
        yield Line(f"{INDENT}{label:<{LABEL_WIDTH}}{step}")


def _first_steps(plan: Mapping[str, Any], source: str) -> Iterator[str]:
    """The commands until a model answers: to agree to its code, to build what it runs in."""
    if plan["consent"] == "needed":
        yield f"trueup trust {source}"
    environment = plan["environment"]
    if environment is not None and not environment["is_built"]:
        yield printable(environment["command"])
    verb, example = FIRST_USES.get(plan["kind"], ("chat", ""))
    yield f"trueup {verb} {source}{example}"


def next_steps(report: Mapping[str, Any]) -> list[str]:
    """What to do about a model that no route runs: the first step, then what does without one.

    1. The hint of what closes every route.
    2. A transformers on which TrueUp would run it.
    3. The hint of the first error, else of a warning that the audit of code did not make; of a
       model that the native route would run, of config or import.
    4. Where the native route is not for such a model: transformers itself.
    """
    has_native = bool(report["plan"] and report["plan"]["implementation"])
    told = [each for each in report["findings"] if each["hint"]]
    hints = [each["hint"] for each in told if "native" in each["blocks"]]  # 1
    has_family = bool(report["plan"] and report["plan"]["family"])
    if not hints and has_family and is_too_old(report["environment"]["transformers"]):  # 2
        oldest = ".".join(map(str, OLDEST_TRANSFORMERS.release[:2]))
        hints = [f"pip install 'transformers>={oldest}'"]
    if not hints:  # 3
        stages = ("config", "import") if has_native else STAGES
        mended = [each for each in told if each["stage"] in stages and not _is_of_audit(each)]
        mended.sort(key=lambda each: each["severity"] != "error")
        hints = [each["hint"] for each in mended]
    return hints[:1] if has_native else [*hints[:1], *_without_a_route(report)]  # 4


def _is_of_audit(finding: Mapping[str, Any]) -> bool:
    """Whether it says what code does, which is to be read and not to be mended."""
    return bool(finding["code"].startswith("SAFE") and finding["severity"] != "error")


def _without_a_route(report: Mapping[str, Any]) -> Iterator[str]:
    """What can be done without TrueUp, as far as it is known."""
    model, version = report["model"], report["environment"]["transformers"]
    codes = {each["code"] for each in report["findings"]}
    if not model["model_type"] or version is None or NOTHING_KNOWN in codes:
        return
    source = shlex.quote(printable(model["source"]))
    if not any(each["severity"] == "error" for each in report["findings"]):
        own = f"; its own code, which `trueup trust {source}` shows, needs `trust_remote_code=True`"
        yield (
            f"load it with transformers {version} itself, where nothing known breaks"
            f"{own if model['has_own_code'] else ''}"
        )
    elif (
        model["has_own_code"]
        and "works" not in report
        # What closes every route fails with any release.
        and not any("native" in each["blocks"] for each in report["findings"])
    ):
        yield f"trueup check {source} --works   (which releases of transformers should run it)"


def is_too_old(version: str | None) -> bool:
    """Whether TrueUp runs no model on that transformers."""
    return version is not None and Version(version) < OLDEST_TRANSFORMERS
