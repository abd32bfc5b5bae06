"""The report of a check or a plan, as the mapping that is printed as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.source import Source
from trueup.doctor.finding import Finding
from trueup.environment.environment import Environment

SCHEMA_VERSION = 1
# The packages whose versions decide what runs.
TOLD_PACKAGES = ("torch", "tokenizers", "huggingface-hub", "safetensors", "sentencepiece")
REFUSED = "refused"


def build_report(
    kind: Literal["check", "plan"],
    *,
    source: Source,
    checkpoint: Checkpoint,
    environment: Environment,
    findings: Sequence[Finding],
    plan: Mapping[str, Any] | None,
    options: Mapping[str, str],
) -> dict[str, Any]:
    """Put the parts together; `plan` is a plan's JSON shape, None where none could be made.

    `options` of the command line make the same plan again.
    """
    weights = checkpoint.weights.files
    route = plan["route"] if plan is not None else REFUSED
    avoided = plan["findings"] if plan is not None else ()
    transformers = environment.transformers
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "model": {
            "id": source.id,
            "source": source.source,
            "revision": source.revision,
            "digest": checkpoint.digest,
            "directory": str(source.directory),
            "remote_bytes": 0 if source.remote is None else source.remote.bytes_of(weights),
            "model_type": checkpoint.model_type,
            "architectures": list(checkpoint.architectures),
            "hub_class": hub.chosen.name if (hub := checkpoint.hub_model) is not None else None,
            "has_own_code": bool(checkpoint.auto_map or checkpoint.remote_code),
        },
        "environment": {
            "python": environment.python,
            "python_version": environment.python_version,
            "transformers": str(transformers) if transformers is not None else None,
            "is_assumed": environment.is_assumed,
            "packages": {
                name: environment.packages[name]
                for name in TOLD_PACKAGES
                if name in environment.packages
            },
        },
        "findings": [
            {
                **finding.as_dict(),
                "avoided": finding.code in avoided or is_avoided(finding, route),
            }
            for finding in findings
        ],
        "options": dict(options),
        "plan": dict(plan) if plan is not None else None,
    }


def is_avoided(finding: Finding, route: str) -> bool:
    """Whether `route` goes around the finding; one that blocks nothing is not avoided but known."""
    if route == REFUSED:
        return False
    return route in finding.avoided_by or (bool(finding.blocks) and route not in finding.blocks)
