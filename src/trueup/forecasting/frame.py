"""`trueup.forecast`: forecasts of candles in pandas frames."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.errors import ConfigError
from trueup.forecasting.forecast import (
    DEFAULT_QUANTILES,
    DEFAULT_SAMPLES,
    Mode,
    Request,
    forecast_series,
)
from trueup.forecasting.frame_reading import ReadFrame, read_frame, read_futures
from trueup.forecasting.result import SeriesForecast, joined_remarks
from trueup.forecasting.table import numbers

if TYPE_CHECKING:
    import pandas as pd

    from trueup.kronos.forecaster import Forecaster

EXTRA = "pip install 'trueup[forecast]'"
TORCH_EXTRA = "pip install 'trueup[forecast,torch]'"


class ForecastWarning(UserWarning):
    """A remark on a forecast: what was assumed, left out or odd."""


def require(*packages: str) -> None:
    """Make sure that `packages` are installed.

    Raises: ConfigError.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"{', '.join(f'`{name}`' for name in missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            where="the packages of this Python environment",
            hint=TORCH_EXTRA if "torch" in missing else EXTRA,
        )


def forecast(
    data: pd.DataFrame,
    horizon: int,
    *,
    model: str | Path | Forecaster,
    tokenizer: str | Path | None = None,
    context: int | None = None,
    revision: str | None = None,
    freq: str | None = None,
    id_column: str | None = None,
    timestamp_column: str | None = None,
    future: Any = None,
    samples: int = DEFAULT_SAMPLES,
    quantiles: Sequence[float] = DEFAULT_QUANTILES,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 0.9,
    seed: int | None = None,
    mode: Mode = "exact",
    lookback: int | None = None,
    repair: bool = False,
    return_samples: bool = False,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Callable[[float], None] | None = None,
) -> pd.DataFrame:
    """Forecast the `horizon` bars that follow the candles of `data`.

    `data` has a row for each bar, of one series or, with `id_column`, of many. `model` is a
    directory, a hub id, a known name such as `kronos-small`, or a loaded pair, which saves loading
    it again. `future` gives the times to come: a list for all series, or a frame with the id and
    the time. `progress` is told the part that is done, from 0 to 1.

    Returns a row for each bar to come: means as `open` … `amount`, `p_close_up`,
    `expected_range`, quantiles as `close_0.9`, with `return_samples` every path as
    `close_sample_1`. The times are where `data` has them. What was assumed or odd is a
    ForecastWarning and in `.attrs["trueup"]`, with the seed and the mode.

    Raises: RequestError where the request or the data cannot be used; ConfigError where a package
    is missing; CheckpointError where the model cannot be loaded.
    """
    require("pandas", "torch")
    request = Request(
        horizon=horizon,
        samples=samples,
        quantiles=tuple(quantiles),
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        mode=mode,
        freq=freq,
        lookback=lookback,
        repair=repair,
        return_samples=return_samples,
    )
    read = read_frame(data, id_column=id_column, timestamp_column=timestamp_column)
    futures = None if future is None else read_futures(future, read)
    forecaster = model
    if isinstance(model, str | Path):
        from trueup.kronos.loading import load_forecaster

        forecaster = load_forecaster(
            model,
            tokenizer=tokenizer,
            context=context,
            revision=revision,
            device=device,
            dtype=dtype,
        )
    total = len(read.series) * horizon

    def on_step(step: int, bars: NDArray[np.float32], first: int) -> None:
        if progress is not None:
            progress((first * horizon + (step + 1) * len(bars)) / total)

    forecasts = forecast_series(
        forecaster,  # type: ignore[arg-type]
        read.series,
        request,
        futures=futures,
        on_step=on_step,
    )
    _warn(forecasts)
    return _frame(forecasts, read)


def _warn(forecasts: Sequence[SeriesForecast]) -> None:
    for remark in joined_remarks(forecasts):
        warnings.warn(remark, ForecastWarning, stacklevel=3)


def _frame(forecasts: Sequence[SeriesForecast], read: ReadFrame) -> pd.DataFrame:
    import pandas as pd

    times = pd.DatetimeIndex(np.concatenate([each.timestamps for each in forecasts]))
    if read.zone is not None:
        times = times.tz_localize(UTC).tz_convert(read.zone)
    tables = [numbers(each) for each in forecasts]
    columns: dict[Any, Any] = {}
    if read.ids is not None:
        lengths = [len(each) for each in forecasts]
        columns[read.id_name] = [
            name for name, count in zip(read.ids, lengths, strict=True) for _ in range(count)
        ]
    if not read.in_index:
        columns[read.time_name] = times
    columns |= {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    frame = pd.DataFrame(columns)
    if read.in_index:
        frame.index = times.rename(read.time_name)
    first = forecasts[0]
    frame.attrs["trueup"] = {
        "mode": first.mode,
        "seed": first.seed,
        "samples": first.samples,
        "lookback": {each.name: each.lookback for each in forecasts},
        "remarks": {each.name: list(each.remarks) for each in forecasts if each.remarks},
    }
    return frame
