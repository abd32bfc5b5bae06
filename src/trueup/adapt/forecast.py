"""How a Kronos checkpoint would be run: its tokenizer, its context, and what speaks against it.

`pair` looks for the tokenizer, which is a checkpoint of its own; all else is pure. Torch is not
needed: nothing is loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trueup.adapt.candidate import KRONOS_CLASSES, Candidate
from trueup.adapt.plan import Caveat, Kind
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import Source, resolve
from trueup.errors import CheckpointError, ConfigError, HubError, TrueUpError
from trueup.kronos import pairing
from trueup.kronos.faults import Readable, readable
from trueup.kronos.known import KnownModel, hub_id_of
from trueup.kronos.part import LANGUAGE_MODEL, TOKENIZER

FORECAST: Kind = "forecast"
FAMILY, IMPLEMENTATION = "kronos", "trueup.kronos.Kronos"
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A model that can be read, and its tokenizer; what is None could not be, `against` says why.

    `context_bars` is how many bars the model sees at a time.
    """

    source: Source | None = None
    checkpoint: Checkpoint | None = None
    context_bars: int = pairing.USUAL_CONTEXT
    why: tuple[str, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    against: tuple[str, ...] = ()


def is_forecast(checkpoint: Checkpoint, kind: str) -> bool:
    """Whether the checkpoint is to be run as a forecasting model; `kind` is the user's wish."""
    return kind == FORECAST or (kind == "auto" and _class_of(checkpoint) in KRONOS_CLASSES)


def known_name(name: str) -> str:
    """The hub id of a name such as `kronos-small`, where nothing here is called so."""
    return name if Path(name).expanduser().exists() else hub_id_of(name)


def pair(
    source: Source, checkpoint: Checkpoint, wishes: Wishes, watch: Watch | None = None
) -> Pair:
    """Find the tokenizer of a model, and see that the two go together.

    1. The one that was asked for. 2. One in the model's directory or beside it. 3. The one that
    the published model of this size was trained with, from the hub.
    """
    try:
        model = readable(checkpoint, LANGUAGE_MODEL)
    except CheckpointError as error:
        return Pair(against=(_words(error),))
    known = pairing.known_model(source.source, model.config.arguments)
    notes = list(model.notes)
    try:
        bars, remark = pairing.context_of(wishes.context_tokens, known)
    except ConfigError as error:
        return Pair(against=(_words(error),))
    if known is None and wishes.context_tokens is None:
        remark = (
            f"the model is of no published size, so its context is not known: {bars} bars are "
            "taken; `context_tokens` of a configuration says otherwise"
        )
    caveats = () if remark is None else (Caveat(code="CONTEXT", text=remark),)
    try:
        name, why = _name_of(source, model, known, wishes)
        found = resolve(known_name(name), watch=watch)
        tokenizer = read_checkpoint(found)
        read = readable(tokenizer, TOKENIZER)
        notes += read.notes
        pairing.refuse_mismatched(
            model.config.arguments,
            read.config.arguments,
            is_group_known="group_size" not in read.config.guessed,
        )
    except (CheckpointError, HubError) as error:
        return Pair(
            context_bars=bars, caveats=caveats, against=(f"its tokenizer: {_words(error)}",)
        )
    return Pair(
        source=found,
        checkpoint=tokenizer,
        context_bars=bars,
        why=(f"its tokenizer is `{name}`, {why}", *notes),
        caveats=caveats,
    )


def forecast_candidate(found: Pair, dtype: str) -> Candidate:
    """What the native route would run, and every reason against it."""
    against = found.against
    if dtype not in DTYPES:
        reason = f"Kronos is computed in float32 or bfloat16, and `{dtype}` was asked for"
        against = (*against, reason)
    return Candidate(
        family=FAMILY,
        implementation=IMPLEMENTATION,
        kind=FORECAST,
        why=(
            f"TrueUp implements Kronos itself, as `{IMPLEMENTATION}`",
            "none of the model's own code runs",
            *found.why,
        ),
        caveats=found.caveats,
        against=against,
    )


def _class_of(checkpoint: Checkpoint) -> str | None:
    return checkpoint.hub_model.chosen.name if checkpoint.hub_model is not None else None


def _name_of(
    source: Source, model: Readable, known: KnownModel | None, wishes: Wishes
) -> tuple[str, str]:
    """The tokenizer's directory or hub id, and why it is that one.

    Raises: CheckpointError where nothing tells.
    """
    if wishes.tokenizer is not None:  # 1
        return wishes.tokenizer, "as asked for"
    is_in_cache = source.revision is not None
    near = None if is_in_cache else pairing.beside(source.directory, known)
    if near is not None:  # 2
        return str(near), "which lies by the model"
    if known is None:
        raise pairing.no_tokenizer(source.directory, model.config.arguments)
    return known.tokenizer.hub_id, f"with which {known.hub_id} was trained"  # 3


def _words(error: TrueUpError) -> str:
    return f"{error.cause}; {error.hint}" if error.hint else error.cause
