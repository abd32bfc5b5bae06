"""`trueup.forecast` on pandas frames; the packages that it needs are imported by its use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.forecasting import defaults
from trueup.protocol.forecast import Mode

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from trueup.kronos.forecaster import Forecaster


class ForecastWarning(UserWarning):
    """A remark on a forecast: what was assumed, left out or odd."""


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
    samples: int = defaults.SAMPLES,
    quantiles: Sequence[float] = defaults.QUANTILES,
    temperature: float = defaults.TEMPERATURE,
    top_k: int = defaults.TOP_K,
    top_p: float = defaults.TOP_P,
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
    defaults.require("numpy", "pandas", "torch")
    from trueup.forecasting.forecast import Request, forecast_series
    from trueup.forecasting.frame_reading import read_frame, read_futures
    from trueup.forecasting.frame_writing import write_frame
    from trueup.forecasting.result import joined_remarks

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
    if dtype != "float32" and isinstance(model, str | Path):
        told = f"computed in {dtype}: another forecast than the published code's"
        warnings.warn(told, ForecastWarning, stacklevel=2)
    for remark in joined_remarks(forecasts):
        warnings.warn(remark, ForecastWarning, stacklevel=2)
    return write_frame(forecasts, read)
