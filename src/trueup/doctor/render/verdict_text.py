"""The end of a report: the route and the next command, or why there is none and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.version import Version

from trueup.doctor.joining import STAGES
from trueup.doctor.render.command import TAKEN, WISHED, command
from trueup.doctor.render.text import INDENT, LABEL_WIDTH, Line, printable, wrapped
from trueup.environment.environment import OLDEST_TRANSFORMERS

# The code of the finding that nothing is known of a release.
NOTHING_KNOWN = "ENV107"
# The code of the finding that the model's code imports a package that is not there.
NO_PACKAGE = "ENV102"
# What a user does first with a model that does not chat.
FIRST_USES = {
    "embedding": ("embed", ' "some text"'),
    "completion": ("serve", ""),
    "forecast": ("serve", ""),
}


def verdict_lines(report: Mapping[str, Any], *, width: int) -> Iterator[Line]:
    """The route and the next command."""
    plan = report["plan"]
    if plan is None or plan["route"] == "refused":
        yield Line(_refusal(report), "bad")
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
    for position, step in enumerate(_first_steps(report)):
        label = "then:" if position else "next:"
        yield Line(f"{INDENT}{label:<{LABEL_WIDTH}}{step}")


def _refusal(report: Mapping[str, Any]) -> str:
    asked, other = _options(report).get("--route"), _other_route(report)
    if other is None:
        return "No route runs this model here."
    if other == asked:
        return f"The route `{asked}` runs this model here, but not with that Python."
    return f"The route `{asked}` does not run this model here; `{other}` does."


def _options(report: Mapping[str, Any]) -> dict[str, str]:
    return dict(report.get("options") or {})


def _other_route(report: Mapping[str, Any]) -> str | None:
    return (report["plan"] or {}).get("other_route")


def _first_steps(report: Mapping[str, Any]) -> Iterator[str]:
    """The commands until a model answers: to agree to its code, to build what it runs in."""
    plan, source, options = report["plan"], report["model"]["source"], _options(report)
    if plan["consent"] == "needed":
        yield command("trust", source, options)
    environment = plan["environment"]
    if environment is not None and not environment["is_built"]:
        yield printable(environment["command"])
    verb, example = FIRST_USES.get(plan["kind"], ("chat", ""))
    if verb == "chat" and not options.keys() & set(WISHED) <= set(TAKEN[verb]):
        verb = "serve"
    yield f"{command(verb, source, options)}{example}"


def next_steps(report: Mapping[str, Any]) -> list[str]:
    """What to do about a model that no route runs: the first step, then what does without one.

    1. Another route than the one that was asked for; an environment that has what the own code
       imports: to install a package here helps no environment, and nobody has looked at it.
    2. The hint of what closes every route.
    3. A transformers on which TrueUp would run it.
    4. The hint of the first error, else of a warning that the audit of code did not make; of a
       model that the native route would run, of config or import.
    5. Where the native route is not for such a model: transformers itself.
    """
    if (step := _of_asked_route(report)) is not None:  # 1
        return [step]
    has_native = bool(report["plan"] and report["plan"]["implementation"])
    told = [each for each in report["findings"] if each["hint"]]
    hints = [each["hint"] for each in told if "native" in each["blocks"]]  # 2
    has_family = bool(report["plan"] and report["plan"]["family"])
    if not hints and has_family and is_too_old(report["environment"]["transformers"]):  # 3
        oldest = ".".join(map(str, OLDEST_TRANSFORMERS.release[:2]))
        hints = [f"pip install 'transformers>={oldest}'"]
    if not hints:  # 4
        stages = ("config", "import") if has_native else STAGES
        mended = [each for each in told if each["stage"] in stages and not _is_of_audit(each)]
        mended.sort(key=lambda each: each["severity"] != "error")
        hints = [each["hint"] for each in mended]
    return hints[:1] if has_native else [*hints[:1], *_without_a_route(report)]  # 5


def _of_asked_route(report: Mapping[str, Any]) -> str | None:
    """What leads on from a route that was asked for."""
    options, other = _options(report), _other_route(report)
    source, asked = report["model"]["source"], options.get("--route")
    python = options.pop("--isolated-python", None)
    if other is not None:
        if other != asked:
            del options["--route"]
        return command("plan", source, options)
    if asked != "isolated":
        return None
    lacking = [each["cause"] for each in report["findings"] if each["code"] == NO_PACKAGE]
    if not lacking and python is None:
        return None
    needed = f" ({'; '.join(lacking)})" if lacking else ""
    again = command("plan", source, {**options, "--isolated-python": "PATH"})
    return f"make an environment in which the model's code works{needed}: {again}"


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
