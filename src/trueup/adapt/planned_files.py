"""The checkpoint of a plan, read again by whoever carries the plan out."""

from __future__ import annotations

import shlex
from pathlib import Path

from trueup.adapt.plan import Plan, PlannedModel
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.source import Source
from trueup.errors import AdaptError


def checkpoint_of(plan: Plan) -> Checkpoint:
    """What lies in the plan's directory now.

    Raises: CheckpointError where it cannot be read.
    """
    return _read(plan.model)


def unchanged(model: PlannedModel) -> Checkpoint:
    """What lies in a planned directory, which is what lay there when the plan was made.

    Raises: AdaptError where it is not; CheckpointError where it cannot be read.
    """
    checkpoint = _read(model)
    if checkpoint.digest != model.digest:
        raise AdaptError(
            "the model's files have changed since the plan was made",
            where=model.directory,
            hint=f"trueup plan {shlex.quote(model.source)}",
        )
    return checkpoint


def _read(model: PlannedModel) -> Checkpoint:
    return read_checkpoint(
        Source(
            directory=Path(model.directory),
            source=model.source,
            revision=model.revision,
            id=model.id,
        )
    )
