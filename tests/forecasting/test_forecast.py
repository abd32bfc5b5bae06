from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.forecasting.stand_in import StandIn, columns, minutes, series_of, sessions
from trueup.errors import CheckpointError, RequestError
from trueup.forecasting import forecast as module
from trueup.forecasting.bars import build_series, count_odd
from trueup.forecasting.forecast import Request, default_lookback, forecast_series


def forecast(forecaster: Any, series: Any, **options: Any) -> Any:
    (found,) = forecast_series(forecaster, [series], Request(**{"horizon": 6, **options}))
    return found


def test_the_summary_is_that_of_the_paths() -> None:
    series = series_of(sessions(10))
    found = forecast(StandIn(), series, samples=9, seed=3, return_samples=True)
    paths = found.paths.astype(np.float64)
    assert paths.shape == (9, 6, 6)
    assert np.allclose(found.mean, paths.mean(axis=0))
    assert np.allclose(found.quantiles[0.9], np.quantile(paths, 0.9, axis=0))
    assert list(found.quantiles) == [0.1, 0.5, 0.9]
    last = series.values[-1, 3]
    assert np.allclose(found.p_close_up, (paths[..., 3] > last).mean(axis=0))
    ranges = paths[..., :4].max(axis=-1) - paths[..., :4].min(axis=-1)
    assert np.allclose(found.expected_range, ranges.mean(axis=0))
    assert found.last_close == last
    assert (found.samples, found.seed, found.mode, len(found)) == (9, 3, "exact", 6)


def test_paths_are_kept_only_when_asked_for() -> None:
    assert forecast(StandIn(), series_of(minutes(20))).paths is None


def test_the_window_is_the_newest_bars_with_the_features_of_their_times() -> None:
    stand_in = StandIn(context=64)
    series = series_of(sessions(10))
    found = forecast(stand_in, series, lookback=20)
    (window,) = stand_in.windows
    assert np.array_equal(window.bars, series.values[-20:])
    assert window.past[-1].tolist() == [0, 15, 4, 14, 6]
    assert window.future[0].tolist() == [35, 9, 0, 17, 6]
    assert found.lookback == 20


def test_the_lookback_leaves_room_for_the_horizon_where_it_can() -> None:
    assert default_lookback(512, 120) == 392
    assert default_lookback(512, 256) == 256
    assert default_lookback(512, 300) == 512
    found = forecast(StandIn(context=64), series_of(minutes(500)), horizon=10)
    assert found.lookback == 54


def test_a_seed_is_drawn_where_none_is_given_and_gives_the_same_again() -> None:
    series = series_of(minutes(30))
    first = forecast(StandIn(), series)
    again = forecast(StandIn(), series, seed=first.seed)
    assert np.array_equal(first.mean, again.mean)


def test_a_seed_is_any_whole_number_that_torch_takes() -> None:
    seed = Request(horizon=1, seed=np.int64(7)).seed
    assert (seed, type(seed)) == (7, int)
    assert Request(horizon=1, seed=2**63 - 1).seed == 2**63 - 1
    with pytest.raises(RequestError, match="or less") as caught:
        Request(horizon=1, seed=2**63)
    assert caught.value.param == "seed"


def test_many_series_are_sampled_in_batches_and_their_places_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BATCH_SEQUENCES", 8)
    stand_in, told = StandIn(), []
    many = [series_of(minutes(20 + at), f"S{at}", at) for at in range(5)]
    found = forecast_series(
        stand_in,  # type: ignore[arg-type]
        many,
        Request(horizon=2, samples=4, seed=7),
        on_step=lambda step, bars, first: told.append((step, bars.shape, first)),
    )
    assert [each.name for each in found] == ["S0", "S1", "S2", "S3", "S4"]
    assert [call["series"] for call in stand_in.calls] == [2, 2, 1]
    assert len({call["seed"] for call in stand_in.calls}) == 3
    assert told[0] == (0, (2, 4, 6), 0)
    assert told[-1] == (1, (1, 4, 6), 4)


def test_a_cancelled_forecast_ends_with_the_step_before() -> None:
    asked = iter([False, False, True])
    found = forecast_series(
        StandIn(),  # type: ignore[arg-type]
        [series_of(minutes(20)), series_of(minutes(20), "B")],
        Request(horizon=5, samples=64),
        is_cancelled=lambda: next(asked, True),
    )
    assert [len(each) for each in found] == [2]
    assert found[0].mean.shape == (2, 6)


def test_odd_bars_are_told_and_repaired_when_asked() -> None:
    series = series_of(minutes(20))
    plain = forecast(StandIn(), series, seed=1, return_samples=True)
    assert count_odd(plain.paths) > 0
    assert "left as the model gave them" in plain.remarks[-1]
    mended = forecast(StandIn(), series, seed=1, return_samples=True, repair=True)
    assert count_odd(mended.paths) == 0
    assert "repaired" in mended.remarks[-1]


def test_rolling_is_named() -> None:
    found = forecast(StandIn(), series_of(minutes(20)), mode="rolling")
    assert found.mode == "rolling"
    assert any(remark.startswith("rolling mode: an approximation") for remark in found.remarks)


def test_a_history_that_is_shorter_than_asked_is_told() -> None:
    found = forecast(StandIn(), series_of(minutes(20)), lookback=30)
    assert "20 bars of history, of the 30 asked for" in found.remarks


def test_numbers_before_the_lookback_do_not_matter_and_those_within_do() -> None:
    given = columns(40)
    given["close"][3] = np.nan
    series = build_series("", minutes(40), given)
    forecast(StandIn(), series, lookback=30)
    with pytest.raises(RequestError, match="`close` is nan"):
        forecast(StandIn(), series, lookback=40)


def test_one_bar_of_constant_price_needs_a_frequency_and_is_told() -> None:
    one = series_of(minutes(1))
    with pytest.raises(RequestError, match="one bar"):
        forecast(StandIn(), one)
    flat = {name: np.full(1, 3.0) for name in columns(1)}
    found = forecast(StandIn(), build_series("", minutes(1), flat), freq="5min")
    assert any("do not move over 1 bar" in remark for remark in found.remarks)


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    class Broken(StandIn):
        def sample(self, *args: Any, **options: Any) -> Any:
            return np.full((1, 30, 6, 6), np.nan, dtype=np.float32)

    with pytest.raises(CheckpointError, match="NaN or infinite"):
        forecast(Broken(), series_of(minutes(20)))


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"horizon": 0}, "horizon"),
        ({"horizon": 2.5}, "horizon"),
        ({"horizon": True}, "horizon"),
        ({"samples": 0}, "samples"),
        ({"temperature": -0.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"top_k": None}, "top_k"),
        ({"seed": -1}, "seed"),
        ({"mode": "fast"}, "mode"),
        ({"quantiles": (0.0, 0.5)}, "quantiles"),
        ({"quantiles": (0.5, 0.5)}, "quantiles"),
        ({"lookback": 0}, "lookback"),
    ],
)
def test_a_request_that_cannot_be_meant_names_its_field(
    options: dict[str, Any], param: str
) -> None:
    with pytest.raises(RequestError) as met:
        Request(**{"horizon": 6, **options})
    assert met.value.param == param


def test_no_series_and_too_many_numbers_are_refused() -> None:
    with pytest.raises(RequestError, match="there is no series"):
        forecast_series(StandIn(), [], Request(horizon=1))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="numbers, expected at most"):
        forecast(StandIn(), series_of(minutes(9)), horizon=10**9)
