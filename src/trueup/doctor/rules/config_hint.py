"""What to do about a config.json that is not what it should be."""

from __future__ import annotations

import shlex

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.layouts import evidence_of, layout_of

COPY = "copy config.json from where the weights came from"


def config_hint(checkpoint: Checkpoint) -> str:
    """The command that rebuilds config.json where the weights tell it, else to copy it."""
    is_whole = not any(each.path in checkpoint.weights.files for each in checkpoint.problems)
    if is_whole and layout_of(evidence_of(checkpoint)) is not None:
        return f"{COPY}, or: trueup check {shlex.quote(str(checkpoint.directory))} --write-config"
    return COPY
