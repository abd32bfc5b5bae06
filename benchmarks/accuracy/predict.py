"""Predictions: what `trueup check` says of a model directory for an environment's interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cause import Cause, of_finding

CHECK_SECONDS = 120
Findings = tuple[Mapping[str, Any], ...]


def findings(directory: Path, python: str) -> Findings:
    """Every finding of a check, whatever its severity; of one that ends in an error, none."""
    check = [sys.executable, "-m", "trueup", "check", str(directory)]
    try:
        done = subprocess.run(
            [*check, "--python", python, "--format", "json"],
            capture_output=True,
            text=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        print(f"`check {directory}` took more than {CHECK_SECONDS} s", file=sys.stderr)
        return ()
    if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
        print(f"`check {directory}` ended with {done.returncode}: {done.stderr}", file=sys.stderr)
        return ()
    return tuple(json.loads(done.stdout)["findings"])


def causes(found: Findings, directory: Path) -> tuple[Cause, ...]:
    """What is predicted to fail: errors. Warnings and information predict nothing."""
    return tuple(of_finding(one, directory) for one in found if one["severity"] == "error")
