"""Which tokenizer goes with a language model, and how far the two see together.

Pure but for looking which folders lie beside the model. A tokenizer that does not belong to a model
runs without an error: its tokens are simply other bars.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trueup.errors import CheckpointError, ConfigError
from trueup.kronos.config import PAIRS
from trueup.kronos.known import (
    KNOWN_MODELS,
    KNOWN_TOKENIZERS,
    KnownModel,
    model_named,
    model_of_size,
)
from trueup.protocol.candles import COLUMNS

# Of models of no published size: what the field takes where nothing is said.
USUAL_CONTEXT = 512
CONTEXT_LIMIT = 1 << 17
CONFIG = "config.json"


def known_model(name: str, arguments: Mapping[str, Any]) -> KnownModel | None:
    """The published model that this one is, by its size, else by its name."""
    by_size = model_of_size(arguments["n_layers"], arguments["d_model"])
    return by_size or model_named(name.partition("@")[0])


def beside(directory: Path, known: KnownModel | None) -> Path | None:
    """A tokenizer's folder in the model's directory, or beside it.

    1. `tokenizer/` in it. 2. The published tokenizer's name beside it. 3. `tokenizer/` beside it.
    4. Where the public fine-tuning code puts it: `tokenizer/best_model` for `basemodel/best_model`.
    """
    return next((each for each in _places(directory, known) if (each / CONFIG).is_file()), None)


def _places(directory: Path, known: KnownModel | None) -> Iterator[Path]:
    parent = directory.parent
    yield directory / "tokenizer"
    if known is not None:
        name = known.tokenizer.hub_id.partition("/")[2]
        yield parent / name
        yield parent / name.lower()
        yield parent / known.tokenizer.hub_id.replace("/", "--")
    yield parent / "tokenizer"
    yield parent.parent / "tokenizer" / directory.name


def no_tokenizer(directory: Path, arguments: Mapping[str, Any]) -> CheckpointError:
    """What is said where nothing tells which tokenizer is meant."""
    sizes = ", ".join(
        f"{each.n_layers} of {each.d_model} ({each.name})" for each in KNOWN_MODELS.values()
    )
    published = " and ".join(each.hub_id for each in KNOWN_TOKENIZERS)
    return CheckpointError(
        f"no tokenizer lies beside the model, and its size does not tell which it needs: "
        f"{arguments['n_layers']} layers of width {arguments['d_model']}, known are {sizes}",
        where=str(directory),
        hint="give the one that it was trained with: `tokenizer=`, on the command line "
        f"`--tokenizer DIR`; published are {published}",
    )


def refuse_mismatched(
    model: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
    *,
    is_group_known: bool = True,
    where: str | None = None,
) -> None:
    """Compare the arguments of the two.

    1. A token of one must be a token of the other. 2. Bars have six columns. 3. A model of a
    published size was trained with one of the two published tokenizers, which `group_size` tells
    apart; `is_group_known` is False where that was only guessed.

    Raises: CheckpointError.
    """
    for key in ("s1_bits", "s2_bits"):  # 1
        if model[key] != tokenizer[key]:
            raise CheckpointError(
                f"the tokenizer is not this model's: its `{key}` is {tokenizer[key]}, and the "
                f"model's {model[key]}",
                where=where,
                hint=f"give the tokenizer that the model was trained with; {PAIRS}",
            )
    if tokenizer["d_in"] != len(COLUMNS):  # 2
        raise CheckpointError(
            f"the tokenizer takes {tokenizer['d_in']} columns, expected {len(COLUMNS)}: "
            f"{', '.join(COLUMNS)}",
            where=where,
        )
    known = model_of_size(model["n_layers"], model["d_model"])  # 3
    found = next(
        (each for each in KNOWN_TOKENIZERS if each.group_size == tokenizer["group_size"]), None
    )
    if known is None or found in (None, known.tokenizer) or not is_group_known:
        return
    raise CheckpointError(
        f"the tokenizer is not this model's: a model of {known.n_layers} layers of width "
        f"{known.d_model} is {known.name}, which goes with {known.tokenizer.hub_id} (group_size "
        f"{known.tokenizer.group_size}), and this tokenizer has the group_size "
        f"{tokenizer['group_size']} of {found.hub_id}: it would run, and forecast noise",
        where=where,
        hint=f"give {known.tokenizer.hub_id}, or a tokenizer that was fine-tuned from it; for a "
        "pair that was trained so, `is_pair_checked=False`",
    )


def context_of(wanted: int | None, known: KnownModel | None) -> tuple[int, str | None]:
    """How many bars the model sees, and what is to be said of that.

    Raises: ConfigError for a context of no length.
    """
    if wanted is None:
        if known is not None:
            return known.context_tokens, None
        return USUAL_CONTEXT, (
            f"the model is of no published size, so its context is not known: {USUAL_CONTEXT} "
            "bars are taken, `context=` (`--context`) says otherwise"
        )
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= CONTEXT_LIMIT:
        raise ConfigError(
            f"the context is {wanted!r}, expected a whole number of bars from 1 to "
            f"{CONTEXT_LIMIT:,}",
            where="context",
        )
    if known is not None and wanted > known.context_tokens:
        return wanted, (
            f"a context of {wanted} bars is beyond the {known.context_tokens} that {known.name} "
            "was trained with: forecasts get worse, not better"
        )
    return wanted, None
