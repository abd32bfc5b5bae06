from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import trueup
from tests.forecasting.stand_in import StandIn, columns, minutes
from trueup.errors import RequestError
from trueup.forecasting.frame import ForecastWarning


def frame(count: int = 40, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"timestamps": minutes(count), **columns(count), **more})


def forecast(data: Any, horizon: int = 3, **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trueup.forecast(data, horizon, model=StandIn(), seed=1, **options)  # type: ignore


def test_times_stay_where_they_were_and_in_their_zone() -> None:
    column = forecast(frame())
    assert list(column["timestamps"]) == list(
        pd.date_range("2024-06-03 03:20", periods=3, freq="5min")
    )
    data = frame().set_index("timestamps").tz_localize("Asia/Shanghai")
    index = forecast(data).index
    assert str(index.tz) == "Asia/Shanghai"
    assert str(index[0]) == "2024-06-03 03:20:00+08:00"


def test_many_series_come_back_under_their_ids() -> None:
    data = pd.concat([frame(symbol="B"), frame(50, symbol="A")])
    out = forecast(data, id_column="symbol", return_samples=True)
    assert list(out["symbol"]) == ["A"] * 3 + ["B"] * 3
    assert {"close", "close_0.9", "p_close_up", "expected_range", "close_sample_30"} <= set(out)


def test_what_is_assumed_is_warned_of_and_kept() -> None:
    with pytest.warns(ForecastWarning) as met:
        out = trueup.forecast(
            frame().rename(columns={"volume": "VOL"}),
            3,
            model=StandIn(),
            seed=1,  # type: ignore
        )
    assert any("taken as `volume`" in str(each.message) for each in met)
    assert out.attrs["trueup"]["seed"] == 1


def test_times_to_come_are_taken_and_checked() -> None:
    times = pd.date_range("2024-06-10", periods=3)
    assert list(forecast(frame(), future=times)["timestamps"]) == list(times)
    with pytest.raises(RequestError, match="2 times are given"):
        forecast(frame(), future=times[:2])


@pytest.mark.parametrize(
    "data", [[], pd.DataFrame(), frame()[:0], frame().drop(columns="timestamps")]
)
def test_what_is_no_frame_of_candles_is_refused(data: Any) -> None:
    with pytest.raises(RequestError):
        forecast(data)


def test_infinite_numbers_are_refused() -> None:
    data = frame()
    data.loc[39, "close"] = np.inf
    with pytest.raises(RequestError, match="`close` is inf"):
        forecast(data)
