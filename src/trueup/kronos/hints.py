"""Words that several explanations share. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.kronos.known import model_named, tokenizer_named
from trueup.kronos.part import LANGUAGE_MODEL, Part

SHOWN, SHOWN_CHARACTERS = 4, 80


def fetch_again(checkpoint: Checkpoint, part: Part) -> str:
    """How the files come here once more, by name where the directory's own says which they are."""
    if checkpoint.revision is not None:
        return f"hf download {shlex.quote(checkpoint.source)} --force-download"
    name = checkpoint.directory.name
    known = model_named(name) if part is LANGUAGE_MODEL else tokenizer_named(name)
    if known is None:
        return "copy it again from where it came from, for a published one `hf download ID`"
    return f"hf download {known.hub_id} --local-dir {shlex.quote(str(checkpoint.directory))}"


def write_config(checkpoint: Checkpoint) -> str:
    """The command that makes config.json of the weights."""
    return f"`trueup check {shlex.quote(str(checkpoint.directory))} --write-config`"


def counted(names: Collection[str]) -> str:
    """How many tensors."""
    return "1 tensor" if len(names) == 1 else f"{len(names)} tensors"


def listing(names: Collection[str], shown: int = SHOWN) -> str:
    """The first names, fit for one line."""
    listed = ", ".join(f"`{_short(name)}`" for name in list(names)[:shown])
    return f"{listed} and {len(names) - shown} more" if len(names) > shown else listed


def _short(name: str) -> str:
    text = name if name.isprintable() else repr(name)[1:-1]
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."
