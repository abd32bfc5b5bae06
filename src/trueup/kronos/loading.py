"""From the name of a language model to a pair that forecasts: model, tokenizer, context."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import Source
from trueup.errors import HubError
from trueup.kronos import pairing
from trueup.kronos.faults import Readable
from trueup.kronos.forecaster import Forecaster
from trueup.kronos.model import Kronos
from trueup.kronos.part import LANGUAGE_MODEL, TOKENIZER
from trueup.kronos.pretrained import LoggedNotes, load, locate
from trueup.kronos.tokenizer import KronosTokenizer
from trueup.kronos.weights import device_of, dtype_of

if TYPE_CHECKING:
    import torch

    from trueup.kronos.known import KnownModel

Name = str | os.PathLike[str]


def load_forecaster(
    model: Name,
    *,
    tokenizer: Name | None = None,
    context: int | None = None,
    revision: str | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
    progress: Watch | None = None,
    is_pair_checked: bool = True,
) -> Forecaster:
    """The pair of a directory, a hub id or a known name (`kronos-small`), ready to forecast.

    Without `tokenizer` it is the one in or beside the model's directory, else the published one
    that its name or size tells; `context` is what that model was trained with. `revision` is the
    model's. `progress` is told notes and how far a download is; without one, notes are logged.

    Raises: CheckpointError, HubError where one of the two is not to be had, not whole, or not the
    other's; AdaptError for a device or dtype that is not here; ConfigError for the context.
    """
    placed, kind = device_of(device), dtype_of(dtype)
    watch = progress or LoggedNotes()
    source, found = locate(model, LANGUAGE_MODEL, revision=revision, watch=watch)
    arguments = found.config.arguments
    known = pairing.known_model(os.fspath(model), arguments)
    bars, remark = pairing.context_of(context, known)
    if remark is not None:
        watch.note(remark)
    its_source, its_found = _tokenizer(tokenizer, source, found, known, watch)
    its_arguments = its_found.config.arguments
    is_group_known = is_pair_checked and "group_size" not in its_found.config.guessed
    pairing.refuse_mismatched(
        arguments,
        its_arguments,
        is_group_known=is_group_known,
        where=str(its_source.directory),
    )
    return Forecaster(
        model=load(Kronos, source, found, dtype=kind, device=placed, watch=watch),
        # Its bits are signs: in another dtype bars would have other tokens.
        tokenizer=load(
            KronosTokenizer,
            its_source,
            its_found,
            dtype=dtype_of("float32"),
            device=placed,
            watch=watch,
        ),
        context=bars,
    )


def _tokenizer(
    wanted: Name | None,
    source: Source,
    found: Readable,
    known: KnownModel | None,
    watch: Watch,
) -> tuple[Source, Readable]:
    """The tokenizer that was named, else the one beside the model, else the published one.

    Raises: CheckpointError, HubError.
    """
    if wanted is not None:
        return locate(wanted, TOKENIZER, revision=None, watch=watch)
    is_in_cache = source.revision is not None
    near = None if is_in_cache else pairing.beside(source.directory, known)
    if near is not None:
        watch.note(f"the tokenizer is the one in `{near}`")
        return locate(near, TOKENIZER, revision=None, watch=watch)
    if known is None:
        raise pairing.no_tokenizer(source.directory, found.config.arguments)
    if known.hub_id != source.source.partition("@")[0]:
        watch.note(
            f"the model has the size of {known.name}, so its tokenizer is taken to be "
            f"{known.tokenizer.hub_id}"
        )
    try:
        return locate(known.tokenizer.hub_id, TOKENIZER, revision=None, watch=watch)
    except HubError as error:
        other = "or give the directory of the tokenizer: `tokenizer=`, `--tokenizer DIR`"
        error.hint = f"{error.hint}; {other}" if error.hint else other[3:]
        raise
