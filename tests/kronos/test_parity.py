"""Forecasts against the oracle: the same seed gives the same tokens, and logits are as near."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.kronos.pairs import CONTEXT, expected, forecaster, window
from trueup.errors import RequestError
from trueup.kronos import generating, memory
from trueup.kronos.blocks import Block
from trueup.kronos.forecaster import Forecaster
from trueup.kronos.memory import cache_bytes
from trueup.kronos.model import Kronos

LIKELIEST = {"temperature": 1.0, "top_k": 1, "top_p": 1.0}
SAMPLINGS = [
    LIKELIEST,
    {"temperature": 0.0, "top_k": 0, "top_p": 1.0},
    {"temperature": 1.0, "top_k": 5, "top_p": 0.9},
    {"temperature": 0.8, "top_k": 0, "top_p": 0.7},
    {"temperature": 1.3, "top_k": 0, "top_p": 1.0},
]
# Lookback and horizon: inside the context, up to its last bar, over it at the last step, from the
# first step on, and with a history that was longer already.
LENGTHS = [(1, 4), (9, 6), (18, 7), (18, 8), (20, 10), (24, 5), (40, 6), (30, 24)]


class Recorded:
    """Draws in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.logits: list[torch.Tensor] = []
        self.tokens: list[torch.Tensor] = []
        original = generating.choose

        def choose(logits: torch.Tensor, *rest: Any) -> torch.Tensor:
            self.logits.append(logits.clone())
            self.tokens.append(original(logits, *rest))
            return self.tokens[-1]

        monkeypatch.setattr(generating, "choose", choose)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("lookback", "horizon"), LENGTHS)
def test_the_same_seed_gives_the_oracles_tokens(
    lookback: int,
    horizon: int,
    sampling: dict[str, Any],
    samples: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded = Recorded(monkeypatch)
    it, asked = forecaster(), window(lookback, horizon, seed=lookback)
    options = {"samples": samples, "seed": 5, **sampling}
    made, bars = expected(it, asked, **options)
    found = it.sample([asked], horizon, **options)
    assert torch.equal(torch.stack(recorded.tokens[0::2], dim=1), made.s1)
    assert torch.equal(torch.stack(recorded.tokens[1::2], dim=1), made.s2)
    for ours, theirs in zip(recorded.logits, made.logits, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[0], bars, rtol=1e-5, atol=1e-4)


def swapped_halves(it: Forecaster) -> None:
    frequencies = it.model.transformer[0].self_attn.rotary.inv_freq
    frequencies.copy_(frequencies.flip(0))


def swapped_gate(it: Forecaster) -> None:
    block = it.model.transformer[1]
    assert isinstance(block, Block)
    block.ffn.w1, block.ffn.w3 = block.ffn.w3, block.ffn.w1


def other_eps(it: Forecaster) -> None:
    it.model.norm.eps = 1e-2


def heads_of_the_model(it: Forecaster) -> None:
    cross = it.model.dep_layer.cross_attn
    cross.n_heads, cross.head_dim = it.model.n_heads, it.model.d_model // it.model.n_heads


@pytest.mark.parametrize("mistake", [swapped_halves, swapped_gate, other_eps, heads_of_the_model])
def test_a_mistake_is_seen(
    mistake: Callable[[Forecaster], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(monkeypatch)
    it, asked = forecaster(), window(12, 2)
    right, _ = expected(it, asked, samples=1, seed=1, **LIKELIEST)
    mistake(it)
    it.sample([asked], 2, samples=1, seed=1, **LIKELIEST)
    apart = [
        float((ours - theirs).abs().max())
        for ours, theirs in zip(recorded.logits[:2], right.logits[:2], strict=True)
    ]
    assert max(apart) > 1e-3


def test_the_plain_forward_pass_is_the_oracles(monkeypatch: pytest.MonkeyPatch) -> None:
    it, asked = forecaster(), window(15, 1)
    made, _ = expected(it, asked, samples=1, seed=1, **LIKELIEST)
    recorded = Recorded(monkeypatch)
    it.sample([asked], 1, samples=1, seed=1, **LIKELIEST)
    model: Kronos = it.model
    assert not model.training
    tokens = it.tokenizer.encode(torch.from_numpy(normalised(asked.bars))[None])
    with torch.no_grad():
        logits, states = model.decode_s1(*tokens, torch.from_numpy(asked.past)[None])
        fine = model.decode_s2(states, made.s1[:, :1])
    torch.testing.assert_close(logits[:, -1], made.logits[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(fine[:, -1], made.logits[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[:, -1], recorded.logits[0], rtol=0, atol=1e-5)


def normalised(bars: Any) -> Any:
    columns = np.asarray(bars, dtype=np.float32)
    return np.clip((columns - columns.mean(axis=0)) / (columns.std(axis=0) + 1e-5), -5, 5)


@pytest.mark.parametrize("samples", [1, 2])
def test_series_of_any_lengths_run_as_each_alone(samples: int) -> None:
    """Likeliest tokens, so that draws do not depend on who else is in the batch."""
    it = forecaster()
    asked = [window(length, 8, seed=length) for length in (3, CONTEXT + 9, 17, 24, 20, 17)]
    options = {"samples": samples, "seed": None, "temperature": 0.0, "top_k": 0, "top_p": 1.0}
    together = it.sample(asked, 8, **options)
    alone = [it.sample([each], 8, **options)[0] for each in asked]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5, atol=1e-4)


def test_equal_lengths_draw_together_as_the_published_batch_does() -> None:
    """One draw for all rows, series after series: the oracle runs the rows side by side."""
    it = forecaster()
    asked = [window(12, 4, seed=1), window(12, 4, seed=1)]
    options = {"seed": 9, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    _, bars = expected(it, asked[0], samples=4, **options)
    found = it.sample(asked, 4, samples=2, **options)
    np.testing.assert_allclose(found.reshape(4, 4, 6), bars, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("on_step", [None, lambda step, bars: None])
def test_what_is_cancelled_before_its_first_step_has_none(samples: int, on_step: Any) -> None:
    found = forecaster().sample(
        [window(5, 3), window(9, 3)], 3, samples=samples, seed=1, **LIKELIEST,
        on_step=on_step, is_cancelled=lambda: True,
    )  # fmt: skip
    assert found.shape == (2, samples, 0, 6)


@pytest.mark.parametrize("mode", ["exact", "rolling"])
def test_a_forecast_that_the_host_has_no_memory_for_is_refused(
    mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    it, asked = forecaster(), window(12, 8)
    needed = cache_bytes(it.model, CONTEXT, [12], 8, 5, is_rolling=mode == "rolling")
    options = {"samples": 5, "seed": 1, "mode": mode, **LIKELIEST}
    monkeypatch.setattr(memory, "host_memory", lambda: (needed, needed))
    assert it.sample([asked], 8, **options).shape == (1, 5, 8, 6)
    monkeypatch.setattr(memory, "host_memory", lambda: (needed, needed - 1))
    with pytest.raises(RequestError, match="GiB are free") as met:
        it.sample([asked], 8, **options)
    assert met.value.param == "samples"
