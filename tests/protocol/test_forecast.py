"""Requests for forecasts: what is read, and which field an error names."""

from __future__ import annotations

from typing import Any

import pytest

from trueup.errors import RequestError
from trueup.protocol.candles import MAX_BARS, MAX_SERIES
from trueup.protocol.forecast import check_size, parse_forecast_request

CANDLES: dict[str, Any] = {
    "timestamps": ["2026-06-29", "2026-06-30"],
    "open": [1, 2],
    "high": [3, None],
    "low": [0.5, 1],
    "close": [2, 3],
}
ASKED: dict[str, Any] = {"model": "m", "horizon": 2, "series": [CANDLES]}


def candles(**more: Any) -> dict[str, Any]:
    return {**ASKED, "series": [{**CANDLES, **more}]}


def test_defaults_and_a_single_series() -> None:
    request = parse_forecast_request({**ASKED, "series": CANDLES, "freq": None, "user": "u"})
    assert (request.samples, request.quantiles, request.mode) == (30, (0.1, 0.5, 0.9), "exact")
    assert (request.temperature, request.top_k, request.top_p) == (1.0, 0, 0.9)
    (series,) = request.series
    assert (series.id, series.columns["high"], series.future) == ("0", [3, None], None)
    assert set(series.columns) == {"open", "high", "low", "close"}


def test_everything() -> None:
    more = {"id": 7, "volume": [1, 2], "amount": [1, 2], "future_timestamps": [1, 2]}
    options = {
        "samples": 3, "quantiles": [0.9, 0.1], "temperature": 0, "top_k": 5, "top_p": 1, "seed": 4,
        "mode": "rolling", "return_samples": True, "repair": True, "stream": True, "lookback": 9,
    }  # fmt: skip
    request = parse_forecast_request({**candles(**more), **options})
    assert request.quantiles == (0.1, 0.9)
    assert (request.series[0].id, request.series[0].future) == ("7", [1, 2])
    assert (request.lookback, request.mode, request.seed) == (9, "rolling", 4)


def test_a_table_instead_of_series() -> None:
    table = {"model": "m", "horizon": 1, "csv": "a", "id_column": "b", "timestamp_column": "c"}
    request = parse_forecast_request(table)
    assert (request.csv, request.series, request.id_column) == ("a", (), "b")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"horizon": 1, "series": [CANDLES]}, "model"),
        ({"model": "m", "series": [CANDLES]}, "horizon"),
        ({"model": "m", "horizon": 1}, "series"),
        ({**ASKED, "csv": "a"}, "csv"),
        ({**ASKED, "id_column": "a"}, "id_column"),
        ({**ASKED, "horizon": 0}, "horizon"),
        ({**ASKED, "horizon": 4097}, "horizon"),
        ({**ASKED, "samples": 257}, "samples"),
        ({**ASKED, "quantiles": [1]}, "quantiles"),
        ({**ASKED, "quantiles": [0.5, 0.5]}, "quantiles"),
        ({**ASKED, "quantiles": 0.5}, "quantiles"),
        ({**ASKED, "top_p": 0}, "top_p"),
        ({**ASKED, "temperature": -1}, "temperature"),
        ({**ASKED, "seed": -1}, "seed"),
        ({**ASKED, "mode": "fast"}, "mode"),
        ({**ASKED, "pred_len": 2}, "pred_len"),
        ({**ASKED, "series": []}, "series"),
        ({**ASKED, "series": "a"}, "series"),
        ({**ASKED, "series": [1]}, "series[0]"),
        (candles(Open=[1, 2]), "series[0].Open"),
        (candles(open=None), "series[0].open"),
        (candles(open=[1]), "series[0].open"),
        (candles(open=[1, "2"]), "series[0].open[1]"),
        (candles(open=[1, True]), "series[0].open[1]"),
        (candles(timestamps=[]), "series[0].timestamps"),
        (candles(timestamps=[1.5, 2]), "series[0].timestamps[0]"),
        (candles(timestamps=[1, "2026-06-30"]), "series[0].timestamps[1]"),
        (candles(future_timestamps=[]), "series[0].future_timestamps"),
        (candles(id=""), "series[0].id"),
        ({**ASKED, "series": [{**CANDLES, "id": "a"}, {**CANDLES, "id": "a"}]}, "series[1].id"),
    ],
)
def test_what_cannot_be_meant_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_forecast_request(body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"series": [CANDLES] * (MAX_SERIES + 1)}, f"expected at most {MAX_SERIES}"),
        (candles(**{n: [1] * (MAX_BARS + 1) for n in CANDLES}), f"expected at most {MAX_BARS}"),
        ({"horizon": 4096, "samples": 256, "series": [CANDLES, {**CANDLES, "id": "b"}]},
         "2097152 bars, expected at most 1048576"),
        ({"horizon": 4096, "samples": 256, "return_samples": True},
         "numbers, expected at most 4194304"),
        ({"horizon": 1024, "samples": 100, "return_samples": True, "stream": True},
         "expected at most 524288 of a stream"),
    ],
)  # fmt: skip
def test_what_is_too_large_names_its_limit(more: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_forecast_request({**ASKED, **more})
    assert caught.value.code == "forecast_too_large"
    assert words in caught.value.cause


def test_the_series_of_a_table_are_counted_when_it_was_read() -> None:
    request = parse_forecast_request({"model": "m", "horizon": 1, "csv": "a"})
    check_size(request, MAX_SERIES)
    with pytest.raises(RequestError, match=f"{MAX_SERIES + 1} series"):
        check_size(request, MAX_SERIES + 1)
