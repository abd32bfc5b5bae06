"""Whether the user has agreed to let a plan's code run. Reads files, asks nobody."""

from __future__ import annotations

from dataclasses import replace

from trueup.adapt.plan import Plan
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import CheckpointError
from trueup.trust.code import read_code
from trueup.trust.consents import Consents


def with_consent(plan: Plan, checkpoint: Checkpoint, consents: Consents | None = None) -> Plan:
    """The plan with the consent that there is; refused where its code cannot be read whole."""
    if plan.consent == "not needed":
        return plan
    try:
        code = read_code(checkpoint)
    except CheckpointError as error:
        return replace(
            plan, route="refused", why=(error.cause,), fixes=(), findings=(), consent="not needed"
        )
    if (consents or Consents()).get(code.digest) is None:
        return replace(plan, consent="needed")
    return replace(plan, consent="given", code=code.digest)
