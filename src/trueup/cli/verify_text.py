"""A proof as text for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.adapt.plan import IN_LAYERS
from trueup.doctor.render.text import INDENT, PIPED_WIDTH, Line, printable

LEVELS = {"proven": "good", "failed": "error", "unproven": "warning"}
GIGABYTE = 10**9
SHOWN_REASONS = 12


def proof_lines(
    shape: Mapping[str, Any], record: Path | None, *, width: int = PIPED_WIDTH
) -> Iterator[Line]:
    """Verdict and reasons, then what was measured."""
    model, verdict = printable(str(shape["model"]["source"])), shape["verdict"]
    reference = shape.get("reference")
    against = f" against {reference['words']}" if reference else ""
    yield Line(f"{model}: {shape['route']} route in {shape['dtype']}{printable(against)}", "title")
    yield Line(f"{verdict.upper()}{_uncompared_words(shape)}", LEVELS[verdict])
    for reason in shape["reasons"][:SHOWN_REASONS]:
        for at, line in enumerate(textwrap.wrap(printable(reason), width - len(INDENT) - 2)):
            yield Line(f"{INDENT}{'- ' if at == 0 else '  '}{line}")
    if len(shape["reasons"]) > SHOWN_REASONS:
        yield Line(f"{INDENT}- and {len(shape['reasons']) - SHOWN_REASONS} more")
    if shape.get("hint"):
        yield Line(f"{INDENT}hint: {printable(shape['hint'])}")
    for dtype, cases in shape.get("figures", {}).items():
        yield Line("")
        yield Line(f"{dtype:<20} {'largest':>9} {'mean':>9} {'same first':>10}  tokens")
        for case in cases:
            yield Line(_case_line(case))
    if shape.get("layers"):
        worst = max(shape["layers"])
        yield Line(f"{len(shape['layers'])} layers: outputs differ by {worst:.1e} of their scale")
    if "tried" in shape:
        yield Line("")
        yield from _tried_lines(shape)
    if record is not None:
        yield Line(f"record: {record}", "dim")
    if shape.get("note"):
        yield Line(f"{INDENT}{shape['note']}", "dim")


def _uncompared_words(shape: Mapping[str, Any]) -> str:
    """What a verdict of proven leaves out: the load, tensors without a file's, conversations."""
    if shape["verdict"] != "proven":
        return ""
    words = ""
    if shape["tried"]["extent"] == IN_LAYERS:
        words = " layer by layer; the load itself was not asked, it does not fit into the memory"
    found = shape.get("inspection", {}).values()
    names = sorted({name for each in found for name in each.get("not_compared", ())})
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        words += f" by its answers; in memory not compared: `{printable(names[0])}`{more}"
    chats = shape.get("tokenizer", {}).get("not_compared", ())
    return words + (f"; not compared: {printable(', '.join(chats))}" if chats else "")


def _case_line(case: Mapping[str, Any]) -> str:
    first = case["first_different"]
    tokens = "same" if first is None else f"differ from number {first['step'] + 1}"
    return (
        f"{INDENT}{case['case']:<18} {case['maximum']:>9.1e} {case['mean']:>9.1e} "
        f"{case['argmax_agreement']:>10.1%}  {tokens}"
    )


def _tried_lines(shape: Mapping[str, Any]) -> Iterator[Line]:
    tried = shape["tried"]
    context = tried["context_tokens"] or "unknown"
    how = "layer by layer" if tried["layer_by_layer"] else "whole"
    yield Line(f"tried {how}, up to {tried['longest_tokens']} of {context} tokens of context")
    if "tokenizer" in shape:
        texts, chats = shape["tokenizer"]["texts"], shape["tokenizer"]["chats"]
        conversations = f" and {chats} conversations" if chats else ""
        yield Line(f"tokenizer: the ids of {texts} texts{conversations} compared")
    inspected = shape.get("inspection", {})
    for dtype, found in inspected.items():
        counts = [f"{found[name]} {name}" for name in ("tensors", "buffers") if name in found]
        if counts:
            yield Line(f"in memory, {dtype}: {' and '.join(counts)} compared")
    peaks = shape.get("peak_bytes")
    if peaks:
        shown = ", ".join(f"{side} {peak / GIGABYTE:.1f} GB" for side, peak in peaks.items())
        yield Line(f"memory at most: {shown}")
