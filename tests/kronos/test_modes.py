"""What a forecast can do besides the published one: rolling, steps as they come, ends, bf16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.kronos.pairs import CONTEXT, forecaster, window
from trueup.errors import RequestError
from trueup.kronos.forecaster import Forecaster
from trueup.kronos.model import Kronos

LIKELIEST = {"temperature": 0.0, "top_k": 0, "top_p": 1.0}
DRAWN = {"temperature": 1.0, "top_k": 0, "top_p": 0.9}


def test_within_the_context_rolling_is_exact() -> None:
    it, asked = forecaster(), window(12, CONTEXT - 12)
    options: dict[str, Any] = {"samples": 3, "seed": 4, **DRAWN}
    exact = it.sample([asked], CONTEXT - 12, **options)
    np.testing.assert_array_equal(
        it.sample([asked], CONTEXT - 12, mode="rolling", **options), exact
    )


def test_beyond_the_context_rolling_is_another_function_from_the_first_bar_that_slides() -> None:
    it, asked = forecaster(), window(18, 20)
    options: dict[str, Any] = {"samples": 2, "seed": 4, **DRAWN}
    exact = it.sample([asked], 20, **options)
    rolling = it.sample([asked], 20, mode="rolling", **options)
    assert np.isfinite(rolling).all()
    # 18 bars and 6 steps fill the context; the seventh still sees all of it.
    np.testing.assert_allclose(rolling[:, :, :7], exact[:, :, :7], rtol=1e-4)
    assert np.abs(rolling - exact).max() > 1e-3


def test_rolling_takes_a_horizon_beyond_the_context() -> None:
    it, horizon = forecaster(), 2 * CONTEXT + 3
    found = it.sample([window(5, horizon)], horizon, samples=2, seed=1, mode="rolling", **DRAWN)
    assert found.shape == (1, 2, horizon, 6)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("mode", ["exact", "rolling"])
@pytest.mark.parametrize(("lookbacks", "horizon"), [((9,), 6), ((20, 31), 9)])
def test_steps_are_the_bars_of_the_whole(mode: Any, lookbacks: Any, horizon: int) -> None:
    it, asked = forecaster(), [window(each, horizon, seed=each) for each in lookbacks]
    options: dict[str, Any] = {"samples": 3, "seed": 2, "mode": mode, **DRAWN}
    steps: list[Any] = []
    streamed = it.sample(
        asked, horizon, on_step=lambda step, bars: steps.append((step, bars)), **options
    )
    assert [step for step, _ in steps] == list(range(horizon))
    np.testing.assert_array_equal(np.stack([bars for _, bars in steps], axis=2), streamed)
    np.testing.assert_allclose(it.sample(asked, horizon, **options), streamed, rtol=1e-4, atol=1e-4)


def test_a_cancelled_forecast_has_the_steps_until_then() -> None:
    it, asked = forecaster(), window(9, 6)
    options: dict[str, Any] = {"samples": 2, "seed": 3, **DRAWN}
    left = iter([False, False, False, True])
    found = it.sample([asked], 6, is_cancelled=lambda: next(left), **options)
    assert found.shape == (1, 2, 3, 6)
    whole = it.sample([asked], 6, on_step=lambda step, bars: None, **options)
    np.testing.assert_allclose(found, whole[:, :, :3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["exact", "rolling"])
def test_a_model_in_bf16_forecasts(mode: Any) -> None:
    it = forecaster()
    asked = [window(9, 20), window(17, 20)]
    fp32 = it.sample(asked, 20, samples=1, seed=None, **LIKELIEST)
    halved = Forecaster(
        model=it.model.to(torch.bfloat16), tokenizer=it.tokenizer, context=it.context
    )
    found = halved.sample(asked, 20, samples=1, seed=None, mode=mode, **LIKELIEST)
    assert found.dtype == np.float32
    assert found.shape == fp32.shape
    assert np.isfinite(found).all()


def test_a_model_with_fixed_embeddings_of_times_forecasts() -> None:
    torch.manual_seed(0)
    model = Kronos(6, 5, 2, 32, 2, 48, 0.0, 0.0, 0.0, 0.0, learn_te=False)
    assert not model.time_emb.get_parameter("hour_embed.emb.weight").requires_grad
    fixed = Forecaster(model=model, tokenizer=forecaster().tokenizer, context=CONTEXT)
    found = fixed.sample([window(9, 4)], 4, samples=2, seed=1, **DRAWN)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"horizon": 0}, "horizon"),
        ({"samples": 0}, "samples"),
        ({"mode": "fast"}, "mode"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 1.5}, "top_p"),
        ({"horizon": CONTEXT + 1}, "horizon"),
    ],
)
def test_what_cannot_be_meant_names_its_field(changed: dict[str, Any], param: str) -> None:
    told: dict[str, Any] = {"horizon": 3, "samples": 1, "seed": 1, "mode": "exact", **DRAWN}
    told |= changed
    horizon = told.pop("horizon")
    with pytest.raises(RequestError) as caught:
        forecaster().sample([window(9, max(1, horizon))], horizon, **told)
    assert caught.value.param == param


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e39])
def test_a_number_that_is_none_is_named_with_its_place(value: float) -> None:
    asked = window(9, 3)
    asked.bars[4, 3] = value
    with pytest.raises(RequestError, match="close of bar 4"):
        forecaster().sample([asked], 3, samples=1, seed=1, **DRAWN)


def test_constant_prices_are_forecast() -> None:
    asked = window(9, 3)
    asked.bars[:] = 12.5
    found = forecaster().sample([asked], 3, samples=2, seed=1, **DRAWN)
    np.testing.assert_allclose(found, 12.5, atol=1e-3)
