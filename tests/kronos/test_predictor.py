"""`KronosPredictor` with frames: the published results, and words for what fails there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.kronos.pairs import CONTEXT, forecaster, window
from trueup.errors import CheckpointError, RequestError
from trueup.kronos import Kronos, KronosPredictor, KronosTokenizer
from trueup.kronos.forecaster import Window
from trueup.protocol.candles import COLUMNS

TIMES = pd.Series(pd.date_range("2024-06-18 09:35", periods=20, freq="5min"))
ROWS, STEPS = 12, 4


def predictor(context: int = CONTEXT) -> KronosPredictor:
    it = forecaster()
    return KronosPredictor(it.model, it.tokenizer, device="cpu", max_context=context)


def frame(rows: int = ROWS) -> Any:
    return pd.DataFrame(np.abs(window(rows, 1).bars), columns=list(COLUMNS))


def predicted(df: Any = None, past: Any = None, future: Any = None, **more: Any) -> Any:
    df = frame() if df is None else df
    past = TIMES[:ROWS] if past is None else past
    future = TIMES[ROWS : ROWS + STEPS] if future is None else future
    told = {"pred_len": STEPS, "verbose": False, "top_p": 0.9, **more}
    it = predictor()
    torch.manual_seed(7)
    return it.predict(df, past, future, **told)


def test_the_mean_of_the_paths_comes_with_the_published_columns_and_index() -> None:
    found = predicted(sample_count=3)
    assert list(found.columns) == list(COLUMNS)
    assert list(found.index) == list(TIMES[ROWS : ROWS + STEPS])
    times = [TIMES[:ROWS], TIMES[ROWS : ROWS + STEPS]]
    past, future = (
        np.stack(
            [each.dt.minute, each.dt.hour, each.dt.day_of_week, each.dt.day, each.dt.month], axis=1
        ).astype(np.int64)
        for each in times
    )
    paths = forecaster_with_the_same_draws(Window(bars=frame().values, past=past, future=future))
    np.testing.assert_allclose(found.values, paths.mean(axis=0), rtol=1e-4)


def forecaster_with_the_same_draws(asked: Window) -> Any:
    it = forecaster()
    torch.manual_seed(7)
    options: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 0.9, "seed": None}
    return it.sample([asked], STEPS, samples=3, **options)[0]


def test_a_missing_volume_is_zero_and_a_missing_amount_its_product() -> None:
    bars = frame()
    bars["amount"] = bars["volume"] * bars[["open", "high", "low", "close"]].mean(axis=1)
    pd.testing.assert_frame_equal(predicted(bars.drop(columns="amount")), predicted(bars))
    bars[["volume", "amount"]] = 0.0
    pd.testing.assert_frame_equal(
        predicted(bars.drop(columns=["volume", "amount"])), predicted(bars)
    )


@pytest.mark.parametrize("kind", [pd.DatetimeIndex, list, lambda each: list(each.astype(str))])
def test_timestamps_may_come_as_an_index_a_list_or_texts(kind: Callable[[Any], Any]) -> None:
    future = TIMES[ROWS : ROWS + STEPS]
    found = predicted(past=kind(TIMES[:ROWS]), future=kind(future))
    np.testing.assert_array_equal(found.values, predicted().values)


def test_a_batch_is_each_alone_whatever_their_lengths() -> None:
    lengths = (ROWS, 7)
    futures = [TIMES[each : each + STEPS] for each in lengths]
    pasts = [TIMES[:each] for each in lengths]
    frames = [frame(each) for each in lengths]
    found = predictor().predict_batch(frames, pasts, futures, STEPS, T=0.0, verbose=False)
    for df, past, future, batched in zip(frames, pasts, futures, found, strict=True):
        alone = predicted(df, past, future, T=0.0)
        np.testing.assert_allclose(batched.values, alone.values, rtol=1e-4)


def test_none_for_a_filter_is_no_filter() -> None:
    pd.testing.assert_frame_equal(predicted(top_k=None, top_p=None), predicted(top_k=0, top_p=1.0))


def with_value(value: float) -> Any:
    bars = frame()
    bars.loc[3, "high"] = value
    return bars


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "inf": ({"df": with_value(np.inf)}, "`high` of row 3 is inf"),
    "NaN": ({"df": with_value(np.nan)}, "`high` of row 3 is nan"),
    "other names": (
        {"df": frame().rename(columns={"volume": "vol"})},
        "`vol` would be left out: it is not called `volume`",
    ),
    "capitals": ({"df": frame().rename(columns=str.title)}, "no column `open`"),
    "no rows": ({"df": frame(ROWS)[:0], "past": TIMES[:0]}, "has no rows"),
    "no frame": ({"df": [1, 2]}, "a list came where a pandas DataFrame belongs"),
    "unsorted": ({"past": TIMES[:ROWS][::-1]}, "x_timestamp does not rise"),
    "twice": ({"past": [TIMES[0], *TIMES[: ROWS - 1]]}, "x_timestamp does not rise"),
    "too long": ({"past": TIMES}, "x_timestamp has 20 timestamps for 12 bars"),
    "too short": ({"future": TIMES[ROWS : ROWS + 1]}, "y_timestamp has 1 timestamps for 4 bars"),
    "none": ({"future": TIMES[:0]}, "y_timestamp has 0 timestamps for 4 bars"),
    "before": ({"future": TIMES[:STEPS]}, "y_timestamp begins at 2024-06-18 09:35:00"),
    "no times": ({"past": ["a"] * ROWS}, "x_timestamp is no list of timestamps"),
    "half": ({"pred_len": 1.5}, "pred_len is 1.5"),
    "no step": ({"pred_len": 0, "future": TIMES[:0]}, "pred_len is 0"),
    "no temperature": ({"T": None}, "temperature is None"),
    "no sample": ({"sample_count": 0}, "samples is 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_fails_there_is_told_here(case: str) -> None:
    told, words = WRONG[case]
    with pytest.raises(RequestError) as caught:
        predicted(**told)
    assert words in caught.value.cause


def test_more_bars_than_the_context_are_told() -> None:
    many = pd.Series(pd.date_range("2024-06-18", periods=ROWS + CONTEXT + 1, freq="D"))
    with pytest.raises(RequestError, match="beyond the model's context of 24"):
        predicted(past=many[:ROWS], future=many[ROWS:], pred_len=CONTEXT + 1)


def test_a_tokenizer_of_another_model_is_told_before_it_forecasts_noise() -> None:
    it = forecaster()
    arguments = {**it.tokenizer.arguments(), "s1_bits": 5, "s2_bits": 6}
    with pytest.raises(CheckpointError, match="its `s1_bits` is 5, and the model's 6"):
        KronosPredictor(it.model, KronosTokenizer(**arguments), device="cpu")
    small = Kronos(
        **{**it.model.arguments(), "n_layers": 4, "d_model": 256, "n_heads": 4, "s2_bits": 6}
    )
    group = KronosTokenizer(**{**it.tokenizer.arguments(), "group_size": 4, "s2_bits": 6})
    with pytest.raises(CheckpointError, match="is kronos-mini, which goes with"):
        KronosPredictor(small, group, device="cpu")
    KronosPredictor(small, group, device="cpu", is_pair_checked=False)


def test_frames_and_timestamps_of_other_counts_are_told() -> None:
    with pytest.raises(RequestError, match="2 frames came with 1 and 1 lists"):
        predictor().predict_batch([frame(), frame()], [TIMES[:ROWS]], [TIMES[ROWS:]], 8)
