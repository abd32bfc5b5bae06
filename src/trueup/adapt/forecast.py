"""How a Kronos checkpoint would be run: its tokenizer, its context, and what speaks against it.

`pair` looks for the tokenizer, which is a checkpoint of its own; all else is pure. Torch is not
needed: nothing is loaded here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trueup.adapt.candidate import KRONOS_CLASSES, Candidate
from trueup.adapt.native.family import whole_number
from trueup.adapt.plan import Caveat, Kind
from trueup.adapt.wishes import Wishes
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import Source, resolve
from trueup.errors import CheckpointError, HubError
from trueup.kronos.faults import readable
from trueup.kronos.known import KnownModel, model_of_size
from trueup.kronos.part import LANGUAGE_MODEL, Part
from trueup.kronos.part import TOKENIZER as TOKENIZER_PART

FORECAST: Kind = "forecast"
FAMILY, IMPLEMENTATION = "kronos", "trueup.kronos.Kronos"
TOKENIZER = "KronosTokenizer"
# Where a copy of a model keeps its tokenizer, beside the model or in its directory.
TOKENIZER_FOLDER = "tokenizer"
DTYPES = ("float32", "bfloat16")
# Of a size that nobody published, and whose context no file tells.
DEFAULT_CONTEXT = 512
BITS = ("s1_bits", "s2_bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The tokenizer that goes with a model; None where there is none, and `against` says why."""

    source: Source | None = None
    checkpoint: Checkpoint | None = None
    why: str = ""
    against: tuple[str, ...] = ()


def is_forecast(checkpoint: Checkpoint, kind: str) -> bool:
    """Whether the checkpoint is to be run as a forecasting model; `kind` is the user's wish."""
    return kind == FORECAST or (kind == "auto" and class_of(checkpoint) is not None)


def class_of(checkpoint: Checkpoint) -> str | None:
    """`Kronos` or `KronosTokenizer`, None for everything else."""
    name = checkpoint.hub_model.chosen.name if checkpoint.hub_model is not None else None
    return name if name in KRONOS_CLASSES else None


def pair(
    source: Source,
    checkpoint: Checkpoint,
    wishes: Wishes,
    watch: Watch | None = None,
) -> Pair:
    """Find the tokenizer of a model.

    1. The one that was asked for. 2. One in the folder `tokenizer`, in the model's directory or
    beside it. 3. The one that the published model of this size was trained with, from the hub.
    """
    if class_of(checkpoint) == TOKENIZER:
        return Pair()
    known = known_model(checkpoint)
    beside = _beside(source.directory)
    if wishes.tokenizer is not None:  # 1
        name, why = wishes.tokenizer, "as asked for"
    elif beside is not None:  # 2
        name, why = str(beside), "found beside the model"
    elif known is not None:  # 3
        name, why = known.tokenizer.hub_id, f"the one that {known.hub_id} was trained with"
    else:
        reason = (
            "the model is of no published size, so nothing tells its tokenizer: name it with "
            "`tokenizer` (`--tokenizer DIR`), or put it into the folder `tokenizer` beside it"
        )
        return Pair(against=(reason,))
    try:
        found = resolve(name, watch=watch)
        tokenizer = read_checkpoint(found)
    except (CheckpointError, HubError) as error:
        told = f"{error.cause}; {error.hint}" if error.hint else error.cause
        reason = f"the tokenizer `{name}` ({why}) cannot be had: {told}"
        if wishes.tokenizer is None:
            reason += "; `tokenizer` (`--tokenizer DIR`) names a copy of it"
        return Pair(against=(reason,))
    return Pair(
        source=found,
        checkpoint=tokenizer,
        why=f"bars are read with the tokenizer `{name}`, {why}",
    )


def known_model(checkpoint: Checkpoint) -> KnownModel | None:
    """The published model that has this size."""
    layers, width = (whole_number(checkpoint.config, key) for key in ("n_layers", "d_model"))
    return model_of_size(layers, width) if layers is not None and width is not None else None


def context_bars(checkpoint: Checkpoint, wishes: Wishes) -> int:
    """How many bars the model sees at a time: no file of it says so."""
    known = known_model(checkpoint)
    published = known.context_tokens if known is not None else DEFAULT_CONTEXT
    return wishes.context_tokens or published


def forecast_candidate(
    checkpoint: Checkpoint, found: Pair | None, dtype: str, wishes: Wishes
) -> Candidate:
    """What the native route would run, and every reason against it."""
    if class_of(checkpoint) == TOKENIZER:
        reason = (
            "these are weights of a Kronos tokenizer, which turns bars into tokens and forecasts "
            "nothing: name the language model, and this one as its `tokenizer`"
        )
        return Candidate(family=FAMILY, kind=FORECAST, against=(reason,))
    unreadable = _unreadable(checkpoint, LANGUAGE_MODEL)
    found = found or Pair()
    why = (
        "Kronos is implemented by TrueUp itself, as `trueup.kronos.Kronos`",
        "none of the model's own code runs",
        *((found.why,) if found.why else ()),
    )
    return Candidate(
        family=FAMILY,
        implementation=IMPLEMENTATION,
        kind=FORECAST,
        why=why,
        caveats=_caveats(checkpoint, found, wishes),
        against=(
            *unreadable,
            *_against_dtype(dtype),
            *found.against,
            *_against_tokenizer(checkpoint, found),
        ),
    )


def _against_dtype(dtype: str) -> tuple[str, ...]:
    if dtype in DTYPES:
        return ()
    return (f"Kronos is computed in float32 or bfloat16, and `{dtype}` was asked for",)


def _against_tokenizer(checkpoint: Checkpoint, found: Pair) -> tuple[str, ...]:
    tokenizer = found.checkpoint
    if tokenizer is None or found.source is None:
        return ()
    name = found.source.source
    if unreadable := _unreadable(tokenizer, TOKENIZER_PART):
        return tuple(f"the tokenizer `{name}`: {reason}" for reason in unreadable)
    return tuple(
        f"`{key}` is {checkpoint.config.get(key)} in the model's config.json and "
        f"{tokenizer.config.get(key)} in that of its tokenizer `{name}`: they are no pair"
        for key in BITS
        if checkpoint.config.get(key) != tokenizer.config.get(key)
    )


def _unreadable(checkpoint: Checkpoint, part: Part) -> tuple[str, ...]:
    """Why no model can be made of a directory, as whoever loads it would say."""
    try:
        readable(checkpoint, part)
    except CheckpointError as error:
        return (f"{error.cause}; {error.hint}" if error.hint else error.cause,)
    return ()


def _caveats(checkpoint: Checkpoint, found: Pair, wishes: Wishes) -> tuple[Caveat, ...]:
    known, caveats = known_model(checkpoint), []
    group = found.checkpoint.config.get("group_size") if found.checkpoint is not None else None
    if known is not None and group is not None and group != known.tokenizer.group_size:
        text = (
            f"a model of this size was published with {known.tokenizer.hub_id}, and this tokenizer "
            "is another: forecasts are wrong where the model was not trained with it"
        )
        caveats.append(Caveat(code="PAIR", text=text))
    if known is None and wishes.context_tokens is None:
        text = (
            f"no file says how many bars the model sees: {DEFAULT_CONTEXT} are taken; "
            "`context_tokens` says otherwise"
        )
        caveats.append(Caveat(code="CONTEXT", text=text))
    if known is not None and (wishes.context_tokens or 0) > known.context_tokens:
        text = (
            f"{known.hub_id} was published for {known.context_tokens} bars, and "
            f"{wishes.context_tokens} were asked for"
        )
        caveats.append(Caveat(code="CONTEXT", text=text))
    return tuple(caveats)


def _beside(directory: Path) -> Path | None:
    places = (directory / TOKENIZER_FOLDER, directory.parent / TOKENIZER_FOLDER)
    try:
        return next((each for each in places if (each / "config.json").is_file()), None)
    except OSError:
        return None
