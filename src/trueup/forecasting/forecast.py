"""Forecasts of series with a loaded pair: windows in, sampled paths out, summarised.

Called in the caller's own process and in a worker; numpy alone, the pair is handed in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.errors import CheckpointError, RequestError
from trueup.forecasting import defaults
from trueup.forecasting.bars import Series, Times, check_bars
from trueup.forecasting.calendar import Future, check_future, future_timestamps, time_features
from trueup.forecasting.result import SeriesForecast, summarise
from trueup.protocol.forecast import MODES, Mode

if TYPE_CHECKING:
    from trueup.kronos.forecaster import Forecaster

# Step of the horizon, the bars of that step [series, samples, 6] in data units, and the position
# of the first of these series: many series are sampled in several batches, one after another.
OnStep = Callable[[int, NDArray[np.float32], int], None]

# Sequences whose keys and values are in memory at a time.
BATCH_SEQUENCES = 64
# float32 numbers of all the paths together: 2 GiB.
MOST_NUMBERS = 2**29
SEEDS = 2**31
MOST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How to forecast.

    `lookback` is how many of the newest bars the model sees: by default what the context holds
    beside the horizon, so that nothing slides, or the whole context where the horizon would take
    more than half of it. `top_k` 0 takes every token. `seed` None draws one.

    Raises: RequestError where a value cannot be meant; `param` is its name.
    """

    horizon: int
    samples: int = defaults.SAMPLES
    quantiles: tuple[float, ...] = defaults.QUANTILES
    temperature: float = defaults.TEMPERATURE
    top_k: int = defaults.TOP_K
    top_p: float = defaults.TOP_P
    seed: int | None = None
    mode: Mode = "exact"
    freq: str | None = None
    lookback: int | None = None
    repair: bool = False
    return_samples: bool = False

    def __post_init__(self) -> None:
        _whole("horizon", self.horizon, 1)
        _whole("samples", self.samples, 1)
        _whole("top_k", self.top_k, 0)
        if self.lookback is not None:
            _whole("lookback", self.lookback, 1)
        if self.seed is not None:
            _whole("seed", self.seed, 0)
            if self.seed > MOST_SEED:
                raise _refused("seed", self.seed, f"a whole number, {MOST_SEED} or less")
            # torch takes no integer of numpy's for a seed.
            object.__setattr__(self, "seed", int(self.seed))
        if not 0 <= self.temperature < float("inf"):
            raise _refused("temperature", self.temperature, "a number, 0 or more")
        if not 0 < self.top_p <= 1:
            raise _refused("top_p", self.top_p, "a number above 0 and up to 1")
        if self.mode not in MODES:
            raise _refused("mode", self.mode, "`exact` or `rolling`")
        levels = sorted(set(self.quantiles))
        if len(levels) < len(self.quantiles) or not all(0 < level < 1 for level in levels):
            raise _refused("quantiles", self.quantiles, "numbers between 0 and 1, each once")
        object.__setattr__(self, "quantiles", tuple(float(level) for level in levels))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A series cut to what the model sees, and the times to come."""

    series: Series
    future: Future
    remarks: tuple[str, ...]


def forecast_series(
    forecaster: Forecaster,
    series: Sequence[Series],
    request: Request,
    *,
    futures: Sequence[Times | None] | None = None,
    on_step: OnStep | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> list[SeriesForecast]:
    """Forecast each of `series`, in their order.

    `futures` are the times to come where they are known, in UTC where the series has a zone.
    The same seed and the same series in the same order give the same paths.

    `is_cancelled` is asked before each step: after a yes, forecasts end with the step before, and
    series without any are left out.

    Raises: RequestError where a series cannot be forecast; CheckpointError where the model gives
    numbers that are none.
    """
    if not series:
        raise RequestError("there is no series, expected 1 or more", param="series")
    numbers = len(series) * request.samples * request.horizon * 6
    if numbers > MOST_NUMBERS:
        raise RequestError(
            f"{len(series):,} series of {request.horizon:,} bars with {request.samples:,} samples "
            f"are {numbers:,} numbers, expected at most {MOST_NUMBERS:,}",
            param="samples",
            hint="forecast fewer series at a time, fewer bars, or with fewer samples",
        )
    known = [None] * len(series) if futures is None else futures
    prepared = [
        _prepare(each, request, times, forecaster.context)
        for each, times in zip(series, known, strict=True)
    ]
    request = replace(
        request, seed=secrets.randbelow(SEEDS) if request.seed is None else request.seed
    )
    batch = max(1, BATCH_SEQUENCES // request.samples)
    done: list[SeriesForecast] = []
    for first in range(0, len(prepared), batch):
        part = prepared[first : first + batch]
        done += _sampled(forecaster, part, request, first, on_step, is_cancelled)
        if len(done) < first + len(part) or len(done[-1]) < request.horizon:
            break
    return done


def default_lookback(context: int, horizon: int) -> int:
    """How many bars of history the model sees where nobody says."""
    room = context - horizon
    return room if room * 2 >= context else context


def _sampled(
    forecaster: Forecaster,
    part: Sequence[_Prepared],
    request: Request,
    first: int,
    on_step: OnStep | None,
    is_cancelled: Callable[[], bool],
) -> list[SeriesForecast]:
    from trueup.kronos.forecaster import Window

    seed = request.seed or 0
    windows = [
        Window(
            bars=each.series.values,
            past=time_features(each.series.wall_clock()),
            future=time_features(_wall(each)),
        )
        for each in part
    ]
    paths = forecaster.sample(
        windows,
        request.horizon,
        samples=request.samples,
        temperature=request.temperature,
        top_k=request.top_k,
        top_p=request.top_p,
        # Another batch draws other numbers.
        seed=(seed + first) % SEEDS if first else seed,
        mode=request.mode,
        on_step=None if on_step is None else lambda step, bars: on_step(step, bars, first),
        is_cancelled=is_cancelled,
    )
    steps = paths.shape[2]
    if not steps:
        return []
    if not np.isfinite(paths).all():
        raise CheckpointError(
            "the model gives numbers that are NaN or infinite",
            where=f"the forecast of {', '.join(f'`{e.series.name}`' for e in part[:3])}",
            hint="its weights are damaged, or the dtype is too narrow for them: try float32",
        )
    return [
        summarise(
            each.series,
            paths[position],
            each.future.timestamps[:steps],
            quantiles=request.quantiles,
            mode=request.mode,
            seed=seed,
            lookback=len(each.series),
            repair=request.repair,
            with_paths=request.return_samples,
            remarks=each.remarks,
        )
        for position, each in enumerate(part)
    ]


def _wall(prepared: _Prepared) -> Times:
    return replace(prepared.series, timestamps=prepared.future.timestamps).wall_clock()


def _prepare(series: Series, request: Request, times: Times | None, context: int) -> _Prepared:
    # The sessions are read off all of the history, more than the model sees.
    if times is None:
        future = future_timestamps(series, request.horizon, request.freq)
    else:
        future = check_future(series, times, request.horizon)
    lookback = request.lookback or default_lookback(context, request.horizon)
    seen = series.last(lookback)
    told = [*series.remarks, *check_bars(seen), *future.remarks]
    if request.lookback is not None and len(seen) < request.lookback:
        bars = "1 bar" if len(seen) == 1 else f"{len(seen):,} bars"
        told.append(f"{bars} of history, of the {request.lookback:,} asked for")
    if request.mode == "rolling":
        told.append(
            "rolling mode: an approximation where history and horizon exceed the context "
            f"of {context:,} bars"
        )
    return _Prepared(series=seen, future=future, remarks=tuple(told))


def _whole(param: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise _refused(param, value, f"a whole number, {least} or more")


def _refused(param: str, value: object, expected: str) -> RequestError:
    return RequestError(f"`{param}` is {value!r}, expected {expected}", param=param)
