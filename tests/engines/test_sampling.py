from __future__ import annotations

import math

import pytest
import torch

from trueup.engines.sampling import (
    Sampler,
    candidates,
    gumbel_noise,
    noise_key,
    penalties,
)
from trueup.errors import BackendError
from trueup.protocol.sampling import Sampling

SAMPLING_ROWS = [
    Sampling(temperature=0),
    Sampling(),
    Sampling(temperature=0.6, top_k=7),
    Sampling(temperature=1.4, top_p=0.7),
    Sampling(temperature=0.9, top_k=30, top_p=0.5),
    Sampling(presence_penalty=1.5, frequency_penalty=-0.5, top_p=0.9),
    Sampling(temperature=0, presence_penalty=2.0, frequency_penalty=0.7),
]


def logits_of(seed: int, size: int = 400, scale: float = 3.0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * scale


def plain_candidates(logits: torch.Tensor, sampling: Sampling) -> dict[int, float]:
    """Temperature, top-k, top-p as their definitions read, in float64: id -> logit."""
    rows = [(float(value) / sampling.temperature, token) for token, value in enumerate(logits)]
    rows.sort(key=lambda row: -row[0])
    if sampling.top_k:
        rows = rows[: sampling.top_k]
    largest = rows[0][0]
    weights = [math.exp(value - largest) for value, _ in rows]
    total = sum(weights)
    kept, mass = {}, 0.0
    for (value, token), weight in zip(rows, weights, strict=True):
        if mass >= sampling.top_p:
            break
        kept[token] = value
        mass += weight / total
    return kept


def test_draws_of_a_key_are_fixed_for_ever() -> None:
    # Answers that clients repeat or resume depend on these very numbers.
    assert noise_key(1234, 0, 17) == (1109266005, 1882652733)
    assert noise_key(-5, 3, 0) == (3353919998, 1992813547)
    noise = gumbel_noise(torch.tensor([0, 1, 65023]), (1, 2))
    assert noise.tolist() == pytest.approx([-1.020994960624, -1.075341119940, -0.951997408120])


def test_keys_differ_by_seed_choice_and_position() -> None:
    keys = {noise_key(s, c, p) for s in (-(2**63), -1, 0, 7) for c in range(8) for p in range(50)}
    assert len(keys) == 4 * 8 * 50


def test_noise_depends_on_the_token_alone_not_on_its_neighbours() -> None:
    key = noise_key(5, 0, 3)
    everything = gumbel_noise(torch.arange(1000), key)
    some = torch.tensor([999, 3, 500])
    assert torch.equal(gumbel_noise(some, key), everything[some])


def uniforms(count: int, key: tuple[int, int]) -> torch.Tensor:
    return torch.exp(-torch.exp(-gumbel_noise(torch.arange(count), key)))


def chi_square(counts: torch.Tensor, expected: torch.Tensor) -> float:
    return float(((counts - expected) ** 2 / expected).sum())


def test_uniforms_are_even_over_tokens_and_over_positions() -> None:
    over_tokens = uniforms(200_000, noise_key(1, 0, 0))
    over_positions = torch.stack([uniforms(50, noise_key(1, 0, p)) for p in range(4000)]).flatten()
    for draws in (over_tokens, over_positions):
        assert float(draws.min()) > 0
        assert float(draws.max()) < 1
        counts = torch.histc(draws, 256, 0, 1)
        # 255 degrees of freedom: 370 is beyond the 99.999th percentile.
        assert chi_square(counts, torch.full((256,), len(draws) / 256)) < 370


def test_neighbouring_tokens_positions_and_seeds_are_not_correlated() -> None:
    base = uniforms(100_000, noise_key(9, 0, 0))
    others = [base.roll(1), *(uniforms(100_000, noise_key(*k)) for k in [(9, 0, 1), (10, 0, 0)])]
    for other in others:
        pairs = torch.stack([base, other])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.015
        cells = (pairs[0] * 16).floor() * 16 + (pairs[1] * 16).floor()
        counts = torch.bincount(cells.long(), minlength=256).double()
        assert chi_square(counts, torch.full((256,), 100_000 / 256).double()) < 370


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.7, top_k=5, top_p=0.95)])
def test_tokens_are_drawn_with_the_probabilities_of_the_softmax(sampling: Sampling) -> None:
    logits = logits_of(1, size=12, scale=1.2)
    draws = 3000
    kept = plain_candidates(logits, sampling)
    total = sum(math.exp(value) for value in kept.values())
    sampler = Sampler(sampling, seed=11)
    counts = dict.fromkeys(kept, 0)
    for position in range(draws):
        counts[sampler.choose(logits, range(position))] += 1
    statistic = sum(
        (counts[token] - draws * math.exp(value) / total) ** 2 / (draws * math.exp(value) / total)
        for token, value in kept.items()
    )
    # 11 degrees of freedom at most: 45 is beyond the 99.999th percentile.
    assert statistic < 45


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_p=0.9),
        Sampling(top_p=0.3, temperature=0.5),
        Sampling(top_p=0.999, temperature=2.0),
        Sampling(top_k=1),
        Sampling(top_k=40),
        Sampling(top_k=40, top_p=0.6, temperature=1.7),
        Sampling(top_k=5000),
        Sampling(top_p=1e-9),
    ],
)
def test_top_k_and_top_p_keep_what_their_definitions_keep(sampling: Sampling) -> None:
    for seed in range(5):
        logits = logits_of(seed, size=3000, scale=1.0)
        if sampling.top_p == 1 and not 0 < sampling.top_k < len(logits):
            continue
        token_ids, _ = candidates(logits, sampling, (1, 2))
        assert set(token_ids.tolist()) == set(plain_candidates(logits, sampling))


def test_a_flat_distribution_grows_the_nucleus_beyond_the_first_guess() -> None:
    token_ids, _ = candidates(torch.zeros(5000), Sampling(top_p=0.5), (1, 2))
    assert abs(len(token_ids) - 2500) <= 1


@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0, 12.0])
@pytest.mark.parametrize("size", [10, 64, 65, 3000])
def test_leaving_out_what_cannot_win_changes_no_choice(size: int, scale: float) -> None:
    looked_at = 0
    for seed in range(100):
        logits = logits_of(seed, size=size, scale=scale)
        key = noise_key(seed, 0, 0)
        token_ids, scores = candidates(logits, Sampling(), key)
        everything = (logits - logits.max()).double() + gumbel_noise(torch.arange(size), key)
        assert int(token_ids[scores.argmax()]) == int(everything.argmax())
        looked_at += len(token_ids)
    assert looked_at / 100 < 64 + 0.05 * size


def test_penalties_follow_the_formula_of_the_api() -> None:
    counts = torch.tensor([0.0, 1.0, 3.0, 0.0])
    sampling = Sampling(presence_penalty=0.5, frequency_penalty=0.25)
    assert penalties(counts, sampling).tolist() == [0.0, 0.75, 1.25, 0.0]


def test_penalties_count_the_answer_also_where_it_is_resumed() -> None:
    sampling = Sampling(temperature=0, frequency_penalty=1.0)
    logits = torch.tensor([0.0, 2.5, 2.0, 1.9])
    answer: list[int] = []
    sampler = Sampler(sampling, seed=0)
    for _ in range(9):
        answer.append(sampler.choose(logits, answer))
    assert answer[:4] == [1, 2, 3, 1]
    for cut in range(1, 9):
        resumed = Sampler(sampling, seed=0)
        rest = answer[:cut]
        while len(rest) < 9:
            rest.append(resumed.choose(logits, rest))
        assert rest == answer


@pytest.mark.parametrize("temperature", [1e-5, 1e-30, 1e-45, 5e-324])
def test_a_tiny_temperature_is_greedy_and_does_not_overflow(temperature: float) -> None:
    logits = logits_of(2)
    sampling = Sampling(temperature=temperature)
    assert Sampler(sampling, seed=1).choose(logits, []) == int(logits.argmax())


def test_tokens_of_minus_infinity_are_never_drawn() -> None:
    logits = torch.full((50,), -math.inf)
    logits[[3, 30]] = 0.0
    drawn = {Sampler(Sampling(), seed=seed).choose(logits, []) for seed in range(50)}
    assert drawn == {3, 30}


@pytest.mark.parametrize("sampling", SAMPLING_ROWS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(sampling: Sampling, value: float) -> None:
    logits = logits_of(0)
    logits[5] = value
    with pytest.raises(BackendError, match="expected a finite number"):
        Sampler(sampling, seed=0).choose(logits, [1])
