"""The published Kronos models and their tokenizers. Data, and the two ways to look it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trueup.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTokenizer:
    """A published tokenizer; `group_size` is the only argument in which the two differ."""

    hub_id: str
    group_size: int
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A published language model, the tokenizer it was trained with, and how far it sees.

    `context_tokens` counts bars. `n_layers` and `d_model` tell a copy in a directory by its size.
    """

    name: str
    hub_id: str
    tokenizer: KnownTokenizer
    context_tokens: int
    parameters: int
    n_layers: int
    d_model: int


TOKENIZER_BASE = KnownTokenizer(
    hub_id="NeoQuasar/Kronos-Tokenizer-base", group_size=4, parameters=3_958_042
)
TOKENIZER_2K = KnownTokenizer(
    hub_id="NeoQuasar/Kronos-Tokenizer-2k", group_size=5, parameters=3_958_042
)
KNOWN_TOKENIZERS = (TOKENIZER_BASE, TOKENIZER_2K)

KNOWN_MODELS: Mapping[str, KnownModel] = {
    each.name: each
    for each in (
        KnownModel(
            name="kronos-mini",
            hub_id="NeoQuasar/Kronos-mini",
            tokenizer=TOKENIZER_2K,
            context_tokens=2048,
            parameters=4_108_032,
            n_layers=4,
            d_model=256,
        ),
        KnownModel(
            name="kronos-small",
            hub_id="NeoQuasar/Kronos-small",
            tokenizer=TOKENIZER_BASE,
            context_tokens=512,
            parameters=24_741_376,
            n_layers=8,
            d_model=512,
        ),
        KnownModel(
            name="kronos-base",
            hub_id="NeoQuasar/Kronos-base",
            tokenizer=TOKENIZER_BASE,
            context_tokens=512,
            parameters=102_310_592,
            n_layers=12,
            d_model=832,
        ),
    )
}


def model_named(name: str) -> KnownModel | None:
    """The model of a short name or a hub id, in any case; None where it is another's."""
    wanted = name.strip().lower()
    return next(
        (each for each in KNOWN_MODELS.values() if wanted in (each.name, each.hub_id.lower())),
        None,
    )


def model_of_size(n_layers: int, d_model: int) -> KnownModel | None:
    """The published model of this size, which a copy or a fine-tuned one has too."""
    return next(
        (
            each
            for each in KNOWN_MODELS.values()
            if (each.n_layers, each.d_model) == (n_layers, d_model)
        ),
        None,
    )


def tokenizer_named(name: str) -> KnownTokenizer | None:
    """The tokenizer of a hub id, or of its last part, in any case; None where it is another's."""
    wanted = name.strip().lower()
    return next(
        (
            each
            for each in KNOWN_TOKENIZERS
            if wanted in (each.hub_id.lower(), each.hub_id.lower().partition("/")[2])
        ),
        None,
    )


def hub_id_of(name: str) -> str:
    """The hub id that a short name stands for, with its revision; any other name as it is.

    Raises: CheckpointError for a name such as `kronos-smal`, which no hub can have.
    """
    plain, at, revision = name.partition("@")
    known = model_named(plain) or tokenizer_named(plain)
    if known is None and "/" not in plain and plain.lower().startswith("kronos-"):
        raise CheckpointError(
            f"no published Kronos model is called `{plain}`, and there is no such directory",
            where=name,
            hint=f"{', '.join(KNOWN_MODELS)}, a directory, or a hub id with its owner",
        )
    return name if known is None else f"{known.hub_id}{at}{revision}"
