from __future__ import annotations

import copy

import pytest
import torch

from tests.engines.tiny import glm, qwen2
from trueup.engines.head import widen_head


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ties", [False, True])
def test_logits_of_a_narrow_model_are_computed_in_fp32(dtype: torch.dtype, ties: bool) -> None:
    model = copy.deepcopy(qwen2()).to(dtype)
    if ties:
        model.lm_head.weight = model.model.embed_tokens.weight
    ids = torch.tensor([[5, 6, 7, 8]])
    names = list(model.state_dict())
    with torch.inference_mode():
        narrow = model(input_ids=ids).logits
        widen_head(model)
        wide = model(input_ids=ids).logits
        hidden = model.model(input_ids=ids).last_hidden_state
    expected = hidden.float() @ model.lm_head.weight.float().T
    assert narrow.dtype == dtype
    assert wide.dtype == torch.float32
    assert torch.allclose(wide, expected, atol=1e-5)
    assert not torch.equal(wide, narrow.float())
    assert list(model.state_dict()) == names


def test_large_heads_are_widened_in_blocks_with_equal_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = copy.deepcopy(glm()).to(torch.bfloat16)
    model.lm_head.bias = torch.nn.Parameter(torch.randn(512).to(torch.bfloat16))
    hidden = torch.randn(2, 3, 64).to(torch.bfloat16)
    widen_head(model)
    with torch.inference_mode():
        whole = model.lm_head(hidden)
        monkeypatch.setattr("trueup.engines.head._CPU_BLOCK_ELEMENTS", 64 * 100)
        assert torch.allclose(model.lm_head(hidden), whole, atol=1e-6)


def test_a_model_in_fp32_stays_as_it_is() -> None:
    model = copy.deepcopy(glm())
    widen_head(model)
    assert "forward" not in vars(model.lm_head)
