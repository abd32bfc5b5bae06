"""`trueup backends check` of a model that LlamaFactory runs: each thing that it needs, in order."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from trueup.config.llamafactory_settings import LlamaFactorySettings

if TYPE_CHECKING:
    from trueup.backends.llamafactory.probe import Step

WORDS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "skipped": "-"}


async def check_llamafactory(settings: LlamaFactorySettings, arguments: argparse.Namespace) -> int:
    """Print each step as it is known; 1 where one failed.

    Raises: ConfigError where the extra for SSH is missing.
    """
    from trueup.backends.llamafactory.opening import place_of
    from trueup.backends.llamafactory.probe import probe

    settings, host, root = place_of(settings)
    is_text = arguments.format == "text"
    if is_text:
        print(f"{settings.name}: LlamaFactory on {host.name}", flush=True)
    steps: list[Step] = []
    try:
        async for step in probe(settings, host, root):
            steps.append(step)
            if is_text:
                print("\n".join(_lines(step)), flush=True)
    finally:
        await host.close()
    if not is_text:
        report = {
            "schema_version": 1,
            "kind": "llamafactory",
            "name": settings.name,
            "host": host.name,
            "mode": settings.mode,
            "steps": [asdict(step) for step in steps],
        }
        print(json.dumps(report, indent=2, ensure_ascii=False))
    return int(any(step.state == "failed" for step in steps))


def _lines(step: Step) -> list[str]:
    detail = step.detail if step.state != "skipped" else "not looked at"
    status = f" (status {step.status})" if step.status else ""
    lines = [f"  {WORDS[step.state]:8} {step.name:18} {detail}{status}"]
    if step.hint is not None:
        lines.append(f"  {'':8} {'':18} hint: {step.hint}")
    return lines
