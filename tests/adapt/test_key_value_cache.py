"""Which models are stepped by keys and values alone, and how much of them is kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.adapt.library_zoo import CAUSAL, SIZES
from trueup.adapt import key_value_cache as key_value
from trueup.adapt.key_value_cache import key_value_cache, steps_by_cache

# Their layers keep a state: each release steps some of them wrongly by a cache of keys and values.
OTHERWISE = {"jamba", "mamba", "recurrent_gemma", "rwkv"}


def model_of(model_type: str, **fields: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    sizes = {**SIZES, **CAUSAL[model_type], **fields}
    config = transformers.AutoConfig.for_model(model_type, **sizes)
    return transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "mixtral", "bloom", *sorted(OTHERWISE)])
def test_what_keeps_a_state_besides_is_stepped_by_generate(model_type: str) -> None:
    assert steps_by_cache(model_of(model_type)) == (model_type not in OTHERWISE)


@pytest.mark.parametrize(
    ("of", "name", "value"),
    [
        ("model", "_is_stateful", True),
        ("model", "_supports_default_dynamic_cache", lambda: False),
        ("model", "forward", lambda input_ids: input_ids),
        ("module", "PLAIN_LAYERS", ()),
    ],
)
def test_each_sign_of_another_state_is_enough(
    of: str, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("llama")
    assert steps_by_cache(model)
    monkeypatch.setattr(model if of == "model" else key_value, name, value, raising=False)
    assert not steps_by_cache(model)


@pytest.mark.parametrize(
    ("model_type", "fields", "kept"),
    [
        ("mistral", {"sliding_window": 8}, 7),
        ("llama", {"sliding_window": 8}, 20),  # no layer of Llama's has a window
        ("llama", {"layer_types": ["sliding_attention"] * 3, "sliding_window": 8}, 20),
    ],
)
def test_only_what_no_layer_looks_back_on_is_forgotten(
    model_type: str, fields: dict[str, Any], kept: int
) -> None:
    model = model_of(model_type, **fields)
    cache = key_value_cache(model)
    with torch.inference_mode():
        for start in range(0, 20, 5):
            ids = torch.arange(20)[None, start : start + 5] + 3
            model(input_ids=ids, past_key_values=cache, use_cache=True)
    assert {each.keys.shape[-2] for each in cache.layers} == {kept}
