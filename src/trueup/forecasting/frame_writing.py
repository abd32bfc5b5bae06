"""Forecasts as a pandas frame, in the form of the frame that they follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from trueup.forecasting.frame_reading import ReadFrame
from trueup.forecasting.result import SeriesForecast
from trueup.forecasting.table import numbers

if TYPE_CHECKING:
    import pandas as pd


def write_frame(forecasts: Sequence[SeriesForecast], read: ReadFrame) -> pd.DataFrame:
    """A row for each bar to come, with ids and times where `read` has them."""
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
