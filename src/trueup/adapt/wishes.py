"""What a user may ask of a plan, and the words that are understood."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from trueup.adapt.sizes import DTYPE_BYTES, LARGEST_CONTEXT_TOKENS
from trueup.errors import ConfigError

if TYPE_CHECKING:
    from trueup.config.settings import ModelSettings

ROUTES = ("auto", "native", "fixed", "isolated")
INT8 = "int8"
DTYPES = ("auto", *DTYPE_BYTES, INT8)
TORCH, ONNXRUNTIME = "torch", "onnxruntime"
ENGINES = ("auto", TORCH, ONNXRUNTIME)
KINDS = ("auto", "chat", "completion", "embedding", "forecast")
POOLINGS = ("auto", "mean", "cls", "last")
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How the user wants a model to be run; `auto` and None leave it to the planner.

    `pooling` and `normalize` are for embedding models, `tokenizer` is the directory or hub id of
    what a forecasting model reads bars with, `python` is the interpreter of an environment that
    the isolated route takes instead of building one.
    """

    route: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    context_tokens: int | None = None
    engine: str = "auto"
    kind: str = "auto"
    pooling: str = "auto"
    normalize: bool | None = None
    tokenizer: str | None = None
    python: str | None = None


NO_WISHES = Wishes()
# The options of the command line that are wishes.
OPTIONS = {
    "route": "--route",
    "dtype": "--dtype",
    "device": "--device",
    "kind": "--kind",
    "pooling": "--pooling",
    "tokenizer": "--tokenizer",
    "python": "--isolated-python",
}


def options_of(wishes: Wishes, revision: str | None = None) -> dict[str, str]:
    """The options, with their values, by which another command makes the same plan."""
    given = {option: getattr(wishes, name) for name, option in OPTIONS.items()}
    options = {option: value for option, value in given.items() if value not in (None, "auto")}
    return options if revision is None else {"--revision": revision, **options}


def wishes_of(settings: ModelSettings) -> Wishes:
    """What a configured model wishes: its settings of the same names."""
    return Wishes(**{each.name: getattr(settings, each.name) for each in fields(Wishes)})


def check_wishes(wishes: Wishes, longest_context: int | None) -> None:
    """Raises: ConfigError for a word that is not understood or a context that is too long."""
    for name, value, choices in (
        ("route", wishes.route, ROUTES),
        ("dtype", wishes.dtype, DTYPES),
        ("engine", wishes.engine, ENGINES),
        ("kind", wishes.kind, KINDS),
        ("pooling", wishes.pooling, POOLINGS),
    ):
        if value not in choices:
            listing = ", ".join(f"`{choice}`" for choice in choices)
            raise ConfigError(f"`{value}` is no {name}: expected one of {listing}", where=name)
    if wishes.python is not None and wishes.route not in ("auto", "isolated"):
        raise ConfigError(
            f"an interpreter is for the route `isolated`, and the route is `{wishes.route}`",
            where="python",
            hint="leave out `python`, or set `route: isolated`",
        )
    if DEVICE.fullmatch(wishes.device) is None:
        raise ConfigError(
            f"`{wishes.device}` is no device: expected `auto`, `cpu`, `cuda` or `cuda:0`",
            where="device",
        )
    wanted = wishes.context_tokens
    if wanted is not None and wanted < 1:
        raise ConfigError(
            f"a context of `{wanted}` tokens: expected 1 or more", where="context_tokens"
        )
    if wanted is not None and wanted > LARGEST_CONTEXT_TOKENS:
        raise ConfigError(
            f"a context of {wanted} tokens: expected {LARGEST_CONTEXT_TOKENS} at most",
            where="context_tokens",
        )
    if wanted is not None and longest_context is not None and wanted > longest_context:
        raise ConfigError(
            f"a context of {wanted} tokens is more than the {longest_context} that the model was "
            "made for",
            where="context_tokens",
        )
