"""What is measured of any model: that it can run, that it loads, what memory it takes."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trueup.doctor.render.verdict_text import is_too_old, next_steps
from trueup.errors import TrueUpError
from trueup.suite.case import Figure, Place, Problem, Verdict
from trueup.suite.criteria import Criteria
from trueup.suite.service import Service

LOAD_SECONDS = 1800.0
SMALL_TEXT = "def f(x): return x"
SMALL_QUESTION = "Hello"
SMALL_CANDLES: Mapping[str, Any] = {
    "timestamps": [f"2026-06-{day:02}" for day in range(1, 21)],
    "open": [10 + day % 3 for day in range(20)],
    "high": [11 + day % 3 for day in range(20)],
    "low": [9 + day % 3 for day in range(20)],
    "close": [10 + day % 4 for day in range(20)],
}
# What measurements of the same load differ by: arenas of the allocator, lazily imported modules.
LOAD_ALLOWANCE, LOAD_ALLOWANCE_BYTES = 1.2, 128 * 2**20
WARM_UPS, STEADY_REQUESTS = 2, 8
STEADY_ALLOWANCE, STEADY_ALLOWANCE_BYTES = 0.02, 32 * 2**20
GIB = 2**30


def check_verdict(report: Mapping[str, Any]) -> Verdict:
    """The verdict on a check's report: a route remains, and nothing breaks on it."""
    plan, findings = report["plan"], report["findings"]
    route = plan["route"]
    avoided = list(dict.fromkeys(each["code"] for each in findings if each["avoided"]))
    left = [each for each in findings if not each["avoided"]]
    errors = [each for each in left if each["severity"] == "error"]
    notes = [f"{each['code']}: {each['cause']}" for each in left if each not in errors]
    if avoided and route != "refused":
        notes.insert(0, f"the {route} route avoids {', '.join(avoided)}")
    details = {
        "route": route,
        "findings": [each["code"] for each in left],
        "avoided": avoided if route != "refused" else [],
    }
    if route == "refused":
        problems = _refusal(report)
    else:
        problems = [_problem(each, report) for each in errors]
    first = problems[0] if problems else None
    return Verdict(problem=first, more=tuple(problems[1:]), notes=tuple(notes), details=details)


def _refusal(report: Mapping[str, Any]) -> list[Problem]:
    """All that keeps a model from every route, what comes first first.

    1. Where the native route would run it: what closes that, which avoids all else. Elsewhere all
       that breaks.
    2. The plan's own reasons; a version that is too old for any model stands before what breaks.
    """
    plan, findings = report["plan"], report["findings"]
    errors = [each for each in findings if each["severity"] == "error"]
    closing = [each for each in findings if "native" in each["blocks"]]
    told = closing if plan["implementation"] else [e for e in findings if e in errors + closing]
    codes = tuple(f"{each['code']}: " for each in findings)
    reasons = [each for each in plan["why"] if not each.startswith(codes)]
    problems = [_problem(each, report) for each in told]  # 1
    if not reasons and problems:
        return problems
    is_old = is_too_old(report["environment"]["transformers"])
    steps = next_steps(report) if is_old or not problems else []
    reason = Problem(  # 2
        cause="; ".join(reasons) or "no route runs this model here",
        where=Place(text=report["model"]["directory"]),
        hint=steps[0] if steps else _check_command(report),
    )
    return [reason, *problems] if is_old else [*problems, reason]


def _check_command(report: Mapping[str, Any]) -> str:
    """The check that says more, by the same version."""
    words = ["trueup", "check", report["model"]["source"]]
    if report["environment"]["is_assumed"]:
        words += ["--transformers", report["environment"]["transformers"]]
    return shlex.join(words)


def _problem(finding: Mapping[str, Any], report: Mapping[str, Any]) -> Problem:
    where, folder = finding["where"], report["model"]["directory"]
    path = str(Path(folder) / where["path"]) if where["path"] else None
    text = path or folder
    if where["line"] is not None:
        text += f":{where['line']}"
    if where["key"] is not None:
        text += f": {where['key']}"
    cause = f"{finding['code']}: {finding['cause']}"
    if finding["since"]:
        cause += f" (since transformers {finding['since']})"
    place = Place(text=text, path=path, line=where["line"])
    return Problem(cause=cause, where=place, hint=finding["hint"])


async def loads(service: Service, name: str, kind: str, directory: str | None = None) -> Verdict:
    """The first request is answered, which loads the model of `directory`, where that is known."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(LOAD_SECONDS):
            await _small_request(service, name, kind)
    except TrueUpError as error:
        problem = Problem.of(error)
        if directory is not None:  # a server tells no paths
            problem = replace(problem, where=Place(text=directory))
        return Verdict(problem=problem)
    except TimeoutError:
        waited = Figure(name="load", value=LOAD_SECONDS, unit="s")
        problem = Problem(cause=f"there was no answer within {LOAD_SECONDS:.0f} s")
        return Verdict(problem=problem, figures=(waited,))
    return Verdict(figures=(Figure(name="load", value=loop.time() - started, unit="s"),))


async def takes_memory(
    service: Service, name: str, plan: Mapping[str, Any] | None, criteria: Sequence[Criteria]
) -> Verdict:
    """The memory that loading took, of the host and of GPUs apart.

    It keeps to the smallest limit of the criteria, else to what the plan foretold.
    """
    used = await service.memory(name)
    if used is None or (used.host_private_bytes is None and used.device_bytes is None):
        return Verdict(unable=Problem(cause="the system does not say what memory the model takes"))
    host_limits = [each.host_memory_bytes for each in criteria if each.host_memory_bytes]
    device_limits = [each.device_memory_bytes for each in criteria if each.device_memory_bytes]
    planned_host, planned_device = _planned(plan)
    figures = []
    for label, value, limits, planned in (
        ("host, private", used.host_private_bytes, host_limits, planned_host),
        ("device", used.device_bytes, device_limits, planned_device),
    ):
        if value is not None:
            limit = min(limits) if limits else planned
            figures.append(Figure(name=label, value=value, unit="bytes", limit=limit))
    missed = [each for each in figures if not each.is_met]
    problem = None
    if missed:
        told = "; ".join(
            f"{each.value / GIB:.2f} GiB of memory ({each.name}), expected "
            f"{(each.limit or 0) / GIB:.2f} GiB or less"
            for each in missed
        )
        hint = "load it in a smaller type: `dtype: bfloat16`, or give the role more memory"
        problem = Problem(cause=f"the loaded model takes {told}", hint=hint)
    return Verdict(problem=problem, figures=tuple(figures))


def _planned(plan: Mapping[str, Any] | None) -> tuple[float | None, float | None]:
    """What host and device may take by the plan, with an allowance."""
    if plan is None:
        return None, None
    memory = plan["memory"]
    total = memory["weights_bytes"] + memory["overhead_bytes"]
    most = total * LOAD_ALLOWANCE + LOAD_ALLOWANCE_BYTES
    # On a GPU the host's share is the interpreter's, which the plan does not tell apart.
    return (None, most) if str(plan["device"]).startswith("cuda") else (most, None)


async def keeps_memory(service: Service, name: str, kind: str) -> Verdict:
    """The same small request again and again takes no more memory."""
    for _ in range(WARM_UPS):
        await _small_request(service, name, kind)
    before = await service.memory(name)
    for _ in range(STEADY_REQUESTS):
        await _small_request(service, name, kind)
    after = await service.memory(name)
    figures = []
    for label in ("host_private_bytes", "device_bytes"):
        early, late = (getattr(each, label, None) for each in (before, after))
        if early is not None and late is not None:
            limit = early * STEADY_ALLOWANCE + STEADY_ALLOWANCE_BYTES
            told = "host, private" if label.startswith("host") else "device"
            figures.append(Figure(name=told, value=late - early, unit="bytes", limit=limit))
    if not figures:
        return Verdict(unable=Problem(cause="the system does not say what memory the model takes"))
    missed = [each for each in figures if not each.is_met]
    problem = None
    if missed:
        told = "; ".join(
            f"{each.value / 2**20:.0f} MiB more ({each.name}), expected "
            f"{(each.limit or 0) / 2**20:.0f} MiB or less"
            for each in missed
        )
        problem = Problem(cause=f"{STEADY_REQUESTS} requests left {told}")
    return Verdict(problem=problem, figures=tuple(figures))


async def answers_at_all(service: Service, name: str, kind: str) -> Verdict:
    """Whoever is first able in the chain answers."""
    verdict = await loads(service, name, kind)
    figures = tuple(Figure(name="answer", value=each.value, unit="s") for each in verdict.figures)
    return Verdict(problem=verdict.problem, figures=figures)


async def _small_request(service: Service, name: str, kind: str) -> None:
    if kind == "embedding":
        await service.embed(name, [SMALL_TEXT])
    elif kind == "forecast":
        await service.forecast(name, SMALL_CANDLES)
    elif kind == "completion":
        await service.complete(name, SMALL_QUESTION, max_tokens=1)
    else:
        messages = [{"role": "user", "content": SMALL_QUESTION}]
        await service.answer(name, messages, max_tokens=1)
