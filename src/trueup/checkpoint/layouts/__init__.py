"""The layouts of tensors whose config can be told from names and shapes."""

from __future__ import annotations

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.layouts import chatglm, decoder, encoder, kronos
from trueup.checkpoint.layouts.layout import Evidence, Layout

LAYOUTS: tuple[Layout, ...] = (
    *kronos.LAYOUTS,
    *decoder.LAYOUTS,
    *chatglm.LAYOUTS,
    *encoder.LAYOUTS,
)


def layout_of(evidence: Evidence) -> Layout | None:
    """The layout that the tensors have, None where they have none of these."""
    if not evidence.tensors:
        return None
    return next((layout for layout in LAYOUTS if layout.recognise(evidence)), None)


def evidence_of(checkpoint: Checkpoint) -> Evidence:
    """What a checkpoint shows to a layout."""
    return Evidence(
        tensors=checkpoint.weights.tensors,
        token_ids=checkpoint.tokenizer.special_ids,
        classes={name: path for path, names in checkpoint.classes.items() for name in names},
    )
