"""How much memory a forecast takes, and its refusal where the host has less."""

from __future__ import annotations

from collections.abc import Sequence

from trueup.environment.hardware import host_memory
from trueup.errors import RequestError
from trueup.kronos.model import Kronos

GIB = 2**30


def cache_bytes(
    model: Kronos,
    context: int,
    lookbacks: Sequence[int],
    horizon: int,
    samples: int,
    *,
    is_rolling: bool,
) -> int:
    """What the model keeps for a forecast of such series; most of the memory that it takes.

    Caches are as wide as the longest series wants. Each path has its steps, up to where the window
    of every series slides, and to the horizon its inputs and what s2 looks at.
    """
    seen = [min(each, context) for each in lookbacks]
    steps = horizon if is_rolling else min(horizon, context - min(seen))
    positions = (max(seen) + steps * samples) * 2 * (model.n_layers + 1)
    numbers = (positions + horizon * samples * 3) * model.d_model
    return len(seen) * numbers * model.norm.weight.element_size()


def refuse_too_large(
    model: Kronos,
    context: int,
    lookbacks: Sequence[int],
    horizon: int,
    samples: int,
    *,
    is_rolling: bool,
) -> None:
    """A GPU refuses what it does not have; a host lends it, and ends the process later.

    Raises: RequestError.
    """
    needed = cache_bytes(model, context, lookbacks, horizon, samples, is_rolling=is_rolling)
    _, available = host_memory()
    if model.norm.weight.device.type == "cpu" and needed > available > 0:
        raise RequestError(
            f"{len(lookbacks)} series of {horizon} bars with {samples} samples take "
            f"{needed / GIB:.1f} GiB of memory, and {available / GIB:.1f} GiB are free",
            param="samples",
            code="forecast_too_large",
            hint="ask for fewer samples or a shorter horizon",
        )
