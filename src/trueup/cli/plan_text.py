"""A plan as text for people, in the look of the doctor's reports."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from trueup.adapt.placement import size_words
from trueup.adapt.plan import LOADED
from trueup.doctor.render.command import command
from trueup.doctor.render.report_text import header_lines
from trueup.doctor.render.text import INDENT, PIPED_WIDTH, Line, printable
from trueup.doctor.render.verdict_text import verdict_lines

MARGIN = 11


def plan_lines(report: Mapping[str, Any], *, width: int = PIPED_WIDTH) -> Iterator[Line]:
    """Route and reasons, what is mapped, memory, caveats."""
    plan = report["plan"]
    yield from header_lines(report)
    yield Line("")
    yield from verdict_lines(report, width=width)
    if plan["route"] == "refused":
        return
    yield Line("")
    for position, text in enumerate(plan["mapped"]):
        yield from _labelled("mapped:" if position == 0 else "", text, width)
    if plan["environment"] is not None:
        yield from _labelled("built:", _environment_words(plan["environment"]), width)
    for position, text in enumerate(_fix_words(report)):
        yield from _labelled("fixes:" if position == 0 else "", text, width)
    if plan["consent"] != "not needed":
        yield from _labelled("consent:", _consent_words(report), width)
    unit = "bars" if plan["kind"] == "forecast" else "tokens"
    yield from _labelled("memory:", _memory_words(plan["memory"], unit), width)
    if plan["context_tokens"] is not None:
        yield from _labelled("context:", f"{plan['context_tokens']} {unit}", width)
    yield from _labelled("proof:", _proof_words(report), width)
    for caveat in plan["caveats"]:
        yield Line("")
        yield Line(f"{caveat['code']} caveat", "warning")
        for line in textwrap.wrap(caveat["text"], width - len(INDENT)):
            yield Line(f"{INDENT}{line}")


def _proof_words(report: Mapping[str, Any]) -> str:
    proof = report["plan"]["proof"]
    reason = f" ({proof['reason']})" if proof["reason"] else ""
    if proof["state"] == "unproven":
        if report["plan"]["kind"] == "forecast":
            return f"unproven{reason}; `trueup verify` compares with published outputs alone"
        verify = command("verify", report["model"]["source"], report["options"])
        return f"unproven{reason}; prove it with: {verify}"
    extent = _extent_words(proof["tried"]) if proof["state"] == "proven" else ""
    return f"{proof['state']}{reason}{extent}, in {proof['record']}"


def _extent_words(tried: Mapping[str, Any] | None) -> str:
    if tried is None:
        return ""
    how = "layer by layer" if tried["layer_by_layer"] else "whole"
    how += "" if tried["extent"] == LOADED else ", without the load itself"
    return f" up to {tried['longest_tokens']} tokens, {how}"


def _memory_words(memory: Mapping[str, int], unit: str) -> str:
    return (
        f"{size_words(memory['weights_bytes'])} of weights, "
        f"{size_words(memory['kv_bytes_per_1k_tokens'])} for every 1000 {unit}, "
        f"{size_words(memory['overhead_bytes'])} besides"
    )


def _environment_words(environment: Mapping[str, Any]) -> str:
    """Which environment it is, and what it takes where it has to be built first."""
    words = (
        f"transformers {environment['transformers']} and torch {environment['torch']} on Python "
        f"{environment['python_version']}"
    )
    if not environment["is_ours"]:
        return f"yours, {words}: {environment['interpreter']}"
    shared = "torch shared" if environment["shares_torch"] else "with a torch of its own"
    disk = f"{environment['disk_bytes'] / 10**6:,.0f} MB on the disk, {shared}"
    if environment["is_built"]:
        return f"{words}: {environment['lock'][:19]}, {disk}"
    about = f"about {environment['download_bytes'] / 10**6:,.0f} MB to download, {disk}"
    return f"not yet: {words}: {about}"


def _labelled(label: str, text: str, width: int) -> Iterator[Line]:
    lines = textwrap.wrap(
        printable(text), width - MARGIN, break_long_words=False, break_on_hyphens=False
    )
    for position, line in enumerate(lines):
        yield Line(f"{INDENT}{label if position == 0 else '':<{MARGIN - len(INDENT)}}{line}")


def _fix_words(report: Mapping[str, Any]) -> Iterator[str]:
    """Each fix, the findings that it answers and what it does."""
    if not report["plan"]["fixes"]:
        return
    from trueup.adapt.fixes.choice import fixes_of

    met = dict.fromkeys(each["code"] for each in report["findings"])
    for fix in fixes_of(report["plan"]["fixes"]):
        answered = [code for code in met if code in fix.answers]
        told = f" ({', '.join(answered)})" if answered else ""
        yield f"{fix.title}{told}: {fix.does}"


def _consent_words(report: Mapping[str, Any]) -> str:
    if report["plan"]["consent"] == "given":
        return "given; the model's own code runs"
    trust = command("trust", report["model"]["source"], report["options"])
    return f"needed, because the model's own code runs: {trust}"
