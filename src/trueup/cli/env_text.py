"""Environments as text for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trueup.doctor.render.text import printable

if TYPE_CHECKING:
    from trueup.adapt.isolate.planned import PlannedEnvironment
    from trueup.adapt.isolate.prune import Pruned
    from trueup.adapt.isolate.store import Built

COLUMNS = ("LOCK", "TRANSFORMERS", "PYTHON", "TORCH", "DISK", "USED", "STATE")
SHOWN_DIGITS = 12
LABEL_WIDTH = 13
MEGABYTE, GIGABYTE = 10**6, 10**9
DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS = 86_400, 3600, 60


def size(count: int) -> str:
    """A size as download lines have it."""
    if count >= GIGABYTE:
        return f"{count / GIGABYTE:.1f} GB"
    return f"{count / MEGABYTE:.0f} MB"


def short(digest: str) -> str:
    """As much of a lock as people need to name it."""
    return digest.removeprefix("sha256:")[:SHOWN_DIGITS]


def table(found: Sequence[Built]) -> list[str]:
    """A line for each environment."""
    rows = [COLUMNS, *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _row(built: Built) -> tuple[str, ...]:
    request = built.lock.request
    return (
        short(built.digest),
        request.transformers,
        request.python,
        built.lock.versions.get("torch", "-") + (" (shared)" if request.shares_torch else ""),
        size(built.disk_bytes),
        _ago(time.time() - built.used_at),
        built.fault or "whole",
    )


def built_lines(
    built: Built, *, seconds: float | None = None, has_packages: bool = False
) -> list[str]:
    """One environment: where it is and what it has; `seconds` where it was built just now."""
    request, versions = built.lock.request, built.lock.versions
    shared = "shared" if request.shares_torch else "its own"
    lines = [
        _labelled("lock", short(built.digest)),
        _labelled("transformers", request.transformers),
        _labelled("torch", f"{versions.get('torch', '-')}, {shared}"),
        _labelled("python", f"{request.python}, {built.base}"),
        _labelled("interpreter", str(built.interpreter)),
        _labelled("disk", size(built.disk_bytes)),
    ]
    if built.fault is not None:
        lines.append(_labelled("fault", f"{built.fault}; `trueup env build` builds it anew"))
    if has_packages:
        for position, (name, version) in enumerate(versions.items()):
            is_shared = name in built.lock.shared
            text = f"{name}=={version}{' (shared)' if is_shared else ''}"
            lines.append(_labelled("packages" if position == 0 else "", text))
    elif seconds is not None:
        lines.append(_labelled("built", f"in {seconds:.1f} s"))
    else:
        age = _ago(time.time() - built.built_at)
        when = "just now" if age == "now" else f"{age} ago"
        lines.append(_labelled("built", f"{when}, and used as it is"))
    return lines


def planned_lines(planned: PlannedEnvironment) -> list[str]:
    """What would be built."""
    request = planned.request
    torch = f"{request.torch}, shared" if request.shares_torch else f"{request.torch}, its own"
    if planned.copies_torch:
        torch = f"{request.torch}, a copy: it lies on another file system"
    lines = [
        _labelled("transformers", request.transformers),
        _labelled("torch", torch),
        _labelled("python", f"{planned.interpreter.version}, {planned.interpreter.path}"),
        _labelled("download", f"about {size(planned.download_bytes)}"),
        _labelled("disk", f"about {size(planned.disk_bytes)}"),
    ]
    lines += [_labelled("why", printable(why)) for why in planned.why]
    for known in planned.advisories:
        met = "" if known.is_reached else "; a worker does not come there"
        lines.append(_labelled("known", f"{known.id}: {known.reason}{met}"))
    for position, line in enumerate(request.requirements):
        lines.append(_labelled("packages" if position == 0 else "", line))
    lines.append(_labelled("built", f"not yet; `{printable(planned.command)}`"))
    return lines


def pruned_lines(done: Pruned, *, is_dry: bool) -> list[str]:
    """What was deleted."""
    verb = "would delete" if is_dry else "deleted"
    lines = [f"{verb} {short(each.digest)}  {size(each.disk_bytes)}" for each in done.environments]
    lines += [f"{verb} {path}  {size(held)}, half-built" for path, held in done.half_built.items()]
    lines += [f"kept {short(digest)}: a process runs in it" for digest in done.in_use]
    return lines or ["nothing to delete"]


def _labelled(label: str, text: str) -> str:
    return f"{label + ':' if label else '':<{LABEL_WIDTH}} {text}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", DAY_SECONDS), ("h", HOUR_SECONDS), ("min", MINUTE_SECONDS)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now" if seconds < 1 else f"{seconds:.0f} s"
