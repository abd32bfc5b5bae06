from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from tests.engines.tiny import glm, qwen2
from trueup.engines.sequence import ModelSequence, forward_options, piece_tokens

MODELS: dict[str, Callable[[], Any]] = {
    "glm": glm,
    "qwen2": qwen2,
    "qwen2 with sliding windows": partial(qwen2, sliding_window=16),
}


def tokens(count: int) -> list[int]:
    return torch.randint(2, 500, (count,), generator=torch.Generator().manual_seed(1)).tolist()


def sequence_of(model: Any) -> ModelSequence:
    return ModelSequence(model, options=forward_options(model))


@torch.inference_mode()
def uncached(model: Any, ids: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("piece", [1, 7, 32, 90])
def test_logits_of_every_step_equal_those_of_the_whole_sequence(name: str, piece: int) -> None:
    model = MODELS[name]()
    ids = tokens(120)
    whole = uncached(model, ids)
    sequence = sequence_of(model)
    for start in range(0, 90, piece):
        logits = sequence.feed(ids[start : min(start + piece, 90)])
    assert float((logits - whole[89]).abs().max()) <= 1e-4
    for position in range(90, 120):
        logits = sequence.feed([ids[position]])
        assert float((logits - whole[position]).abs().max()) <= 1e-4, position


@pytest.mark.parametrize("name", MODELS)
def test_a_copy_grows_on_its_own(name: str) -> None:
    model = MODELS[name]()
    ids, other = tokens(80), tokens(81)[::-1]
    sequence = sequence_of(model)
    sequence.feed(ids[:60])
    twin = sequence.copy()
    for token in other[:20]:
        twin.feed([token])
    for token in ids[60:]:
        logits = sequence.feed([token])
    assert float((logits - uncached(model, ids)[-1]).abs().max()) <= 1e-4
    expected = uncached(model, [*ids[:60], *other[:21]])[-1]
    assert float((twin.feed([other[20]]) - expected).abs().max()) <= 1e-4


def test_feeding_leaves_the_caller_outside_inference_mode() -> None:
    sequence_of(glm()).feed([3, 4])
    assert not torch.is_inference_mode_enabled()


def test_pieces_are_smaller_for_larger_models() -> None:
    class Model:
        device = torch.device("cpu")

        def __init__(self, parameters: int) -> None:
            self.count = parameters

        def parameters(self) -> list[torch.Tensor]:
            return [torch.empty(self.count, device="meta")]

    sizes = [piece_tokens(Model(count)) for count in (10**6, 5 * 10**8, 6 * 10**9)]
    assert sizes == [512, 128, 32]
