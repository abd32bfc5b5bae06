"""The checkpoint of a plan, read again by whoever carries the plan out."""

from __future__ import annotations

from pathlib import Path

from trueup.adapt.plan import Plan
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import Source


def checkpoint_of(plan: Plan) -> Checkpoint:
    """What lies in the plan's directory now.

    Raises: CheckpointError where it cannot be read.
    """
    return read_checkpoint(
        Source(
            directory=Path(plan.model.directory),
            source=plan.model.source,
            revision=plan.model.revision,
            id=plan.model.id,
        )
    )
