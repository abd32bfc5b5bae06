"""`trueup.load`: a model in the caller's own process."""

from __future__ import annotations

import shlex
from os import PathLike, fspath
from typing import TYPE_CHECKING

from trueup.adapt.load import ISOLATED_ROUTE, load_plan
from trueup.adapt.wishes import INT8
from trueup.errors import AdaptError, ConfigError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load(
    model: str | PathLike[str],
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    route: str = "auto",
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load `model` (a directory, or a hub id in the local cache) in this process.

    What comes back are an ordinary model and tokenizer of transformers, for generate, pipelines
    and PEFT. Code of the model runs on the route `fixed` alone, with the consent that `trueup
    trust` keeps.

    Raises: AdaptError where the plan is refused, with the reasons, or is for an environment of
    its own, which is another process's; CheckpointError where `model`
    cannot be found or read; ConfigError for an unknown device, dtype or route, or an argument of
    another kind.
    """
    import torch

    from trueup.adapt.planning import Wishes, plan_model

    wishes = Wishes(
        device=_word("device", device, torch.device),
        dtype=_word("dtype", dtype, torch.dtype).removeprefix("torch."),
        route=_word("route", route),
    )
    if wishes.dtype == INT8:
        raise ConfigError(
            f"`{INT8}` is no dtype of a torch model: only `trueup serve` and `embed` have it",
            where="dtype",
        )
    plan = plan_model(_word("model", model, PathLike), wishes)
    if plan.route == ISOLATED_ROUTE:
        raise AdaptError(
            "the plan's route is `isolated`: its model runs in an environment of its own, which "
            "cannot be this process",
            where=plan.model.directory,
            hint=f"trueup serve {shlex.quote(plan.model.source)} --route isolated, and ask that "
            "server",
        )
    loaded = load_plan(plan)
    return loaded.model, loaded.tokenizer


def _word(name: str, value: object, *kinds: type) -> str:
    """The text of a string or of a value of `kinds`."""
    if isinstance(value, PathLike):
        value = fspath(value) if PathLike in kinds else value
    elif isinstance(value, kinds):
        value = str(value)
    if not isinstance(value, str):
        accepted = " or ".join(f"a `{kind.__name__}`" for kind in kinds)
        raise ConfigError(
            f"{name} is `{value!r}`, expected a string" + (f" or {accepted}" if accepted else ""),
            where=name,
        )
    return value
