"""What a forecast of one series says: the mean, quantiles, odds and every path when asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from trueup.forecasting.bars import CLOSE, Series, Times, count_odd, repaired, wall_clock

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """h bars to come, in the units of the history; columns as COLUMNS.

    `timestamps` [h] are in UTC where they have a `timezone`. `mean` is over the sampled paths,
    which `paths` has when asked for. `p_close_up` is the share of the paths whose close is above
    the last one of the history; `expected_range` the mean distance from the highest to the lowest
    price within the bar. `lookback` is how many bars of history were given to the model.
    """

    name: str
    timestamps: Times
    mean: Floats  # [h, 6]
    quantiles: Mapping[float, Floats]  # each [h, 6]
    p_close_up: Floats  # [h]
    expected_range: Floats  # [h]
    paths: Floats | None = None  # [samples, h, 6]
    samples: int
    lookback: int
    last_close: float
    mode: str
    seed: int
    timezone: tzinfo | None = None
    remarks: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.timestamps)

    def wall_clock(self) -> Times:
        """The timestamps as a clock at the exchange shows them, without a zone."""
        return wall_clock(self.timestamps, self.timezone)


def joined_remarks(forecasts: Sequence[SeriesForecast]) -> tuple[str, ...]:
    """The remarks on all of them; those that differ in numbers alone are told once, and counted."""
    alike: dict[str, list[str]] = {}
    for remark in (remark for each in forecasts for remark in each.remarks):
        key = re.sub(r"\d[\d,.]*", "#", remark).replace(" bars ", " bar ")
        alike.setdefault(key, []).append(remark)
    return tuple(
        first + ("" if not more else f" (and the like of {_others(len(more))})")
        for first, *more in alike.values()
    )


def _others(count: int) -> str:
    return "1 other forecast" if count == 1 else f"{count:,} other forecasts"


def summarise(
    series: Series,
    paths: Floats,
    timestamps: Times,
    *,
    quantiles: Sequence[float],
    mode: str,
    seed: int,
    lookback: int,
    repair: bool,
    with_paths: bool,
    remarks: Sequence[str],
) -> SeriesForecast:
    """The forecast that `paths` [samples, h, 6] are."""
    told = [*remarks]
    odd = count_odd(paths)
    bars = "1 sampled bar" if odd == 1 else f"{odd:,} sampled bars"
    if odd and repair:
        paths = repaired(paths)
        told.append(
            f"{bars} of {paths[..., 0].size:,} repaired: high and low bound the prices, "
            "no volume is negative"
        )
    elif odd:
        told.append(
            f"{bars} of {paths[..., 0].size:,} with a high below or a low above another price, "
            "or a negative volume: left as the model gave them (repair is off)"
        )
    exact = paths.astype(np.float64)
    mean = exact.mean(axis=0)
    levels = np.quantile(exact, list(quantiles), axis=0) if len(quantiles) else ()
    last_close = float(series.values[-1, CLOSE])
    prices = exact[..., :4]
    return SeriesForecast(
        name=series.name,
        timestamps=timestamps,
        mean=mean.astype(np.float32),
        quantiles={
            level: values.astype(np.float32)
            for level, values in zip(quantiles, levels, strict=True)
        },
        p_close_up=(exact[..., CLOSE] > last_close).mean(axis=0).astype(np.float32),
        expected_range=(prices.max(axis=-1) - prices.min(axis=-1)).mean(axis=0).astype(np.float32),
        paths=paths if with_paths else None,
        samples=len(paths),
        lookback=lookback,
        last_close=last_close,
        mode=mode,
        seed=seed,
        timezone=series.timezone,
        remarks=tuple(dict.fromkeys(told)),
    )
