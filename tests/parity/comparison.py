"""Compares a native model with recorded answers of remote code; the reference side never runs it.

Answers hold prefill logits at chosen positions, 64 greedy tokens, and the logits that some of the
cached decode steps chose from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LOGIT_TOLERANCE = 1e-4
GREEDY_STEPS = 64

Model = Any
Weights = dict[str, Any]
Mistake = Callable[[Any, Weights], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What remote code said to one left-padded batch."""

    input_ids: npt.NDArray[np.int32]  # [batch, tokens]
    attention_mask: npt.NDArray[np.int8]  # [batch, tokens]
    positions: npt.NDArray[np.int32]  # [n, 2]: row and position of each prefill logits row
    logits: npt.NDArray[np.float32]  # [n, vocabulary]
    greedy: npt.NDArray[np.int32]  # [batch, GREEDY_STEPS]
    steps: npt.NDArray[np.int32]  # the decode steps that step_logits has
    step_logits: npt.NDArray[np.float32]  # [steps, batch, vocabulary]

    @classmethod
    def load(cls, path: Path) -> Answers:
        with np.load(path) as arrays:
            return cls(**arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far a model is from the answers."""

    logits: float
    tokens_are_equal: bool

    @property
    def is_parity(self) -> bool:
        return self.logits <= LOGIT_TOLERANCE and self.tokens_are_equal


def distance(model: Model, answers: Answers, *, gives_positions: bool = False) -> Distance:
    """Runs prefill and cached greedy decode; decode logits count while the tokens are the same.

    Without `gives_positions` the prefill counts padding as positions: what rope computes is the
    same, but it rounds as at the higher ones, which rope over whole heads feels by 1e-4.
    """
    import torch
    from transformers import GenerationConfig

    input_ids = torch.from_numpy(answers.input_ids).long()
    attention_mask = torch.from_numpy(answers.attention_mask).long()
    # The reference ran without stop tokens; the model's own defaults would fill an unset one.
    model.generation_config = GenerationConfig(pad_token_id=0)
    settings = GenerationConfig(
        max_new_tokens=GREEDY_STEPS,
        do_sample=False,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    given = {"position_ids": positions} if gives_positions else {}
    with torch.no_grad():
        prefill = model(input_ids=input_ids, attention_mask=attention_mask, **given).logits
        generated = model.generate(
            input_ids=input_ids, attention_mask=attention_mask, generation_config=settings
        )
    rows, columns = answers.positions.T
    furthest = _furthest(prefill.float().numpy()[rows, columns], answers.logits)
    greedy = generated.sequences[:, input_ids.shape[1] :].numpy()
    same = np.array_equal(greedy, answers.greedy)
    if same:
        step_logits = torch.stack(generated.logits).float().numpy()[answers.steps]
        furthest = max(furthest, _furthest(step_logits, answers.step_logits))
    return Distance(logits=furthest, tokens_are_equal=same)


def with_mistake(model: Model, mistake: Mistake) -> Model:
    """A copy of a native model whose config or weights were mapped wrongly."""
    config = copy.deepcopy(model.config)
    weights = {name: values.clone() for name, values in model.state_dict().items()}
    mistake(config, weights)
    wrong = type(model)(config)
    wrong.load_state_dict(weights)
    return wrong.to(model.dtype).eval()


def _furthest(left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]) -> float:
    return float(np.abs(left - right).max())


def _rotate_every_channel(config: Any, weights: Weights) -> None:
    _set_rope(config, partial_rotary_factor=1.0)


def _multiply_theta(config: Any, weights: Weights) -> None:
    _set_rope(config, rope_theta=16 * _rope(config, "rope_theta"))


def _take_other_eps(config: Any, weights: Weights) -> None:
    config.rms_norm_eps = config.rms_norm_eps * 10


def _swap_gate_and_up(config: Any, weights: Weights) -> None:
    for name in [name for name in weights if "gate_up_proj" in name]:
        weights[name] = weights[name].roll(len(weights[name]) // 2, dims=0)


def _swap_keys_and_values(config: Any, weights: Weights) -> None:
    for key in [name for name in weights if ".k_proj." in name]:
        value = key.replace(".k_proj.", ".v_proj.")
        weights[key], weights[value] = weights[value], weights[key]


def _drop_biases(config: Any, weights: Weights) -> None:
    for name in [name for name in weights if name.endswith("_proj.bias")]:
        weights[name].zero_()


def _divide_positions(config: Any, weights: Weights) -> None:
    _set_rope(config, rope_theta=10000.0)
    linear = {"rope_type": "linear", "factor": 500.0}
    if _has_rope_parameters(config):
        config.rope_parameters |= linear
    else:
        config.rope_scaling = linear


def _multiply_base(config: Any, weights: Weights) -> None:
    _set_rope(config, rope_theta=16 * 10000.0)
    if _has_rope_parameters(config):
        config.rope_parameters["rope_type"] = "default"
    else:
        config.rope_scaling = None


def _has_rope_parameters(config: Any) -> bool:
    # transformers 5 keeps every rope setting in one dictionary, 4.x some of them on the config.
    return bool(getattr(config, "rope_parameters", None))


def _rope(config: Any, key: str) -> float:
    settings = config.rope_parameters if _has_rope_parameters(config) else vars(config)
    return float(settings[key])


def _set_rope(config: Any, **settings: float) -> None:
    if _has_rope_parameters(config):
        config.rope_parameters |= settings
    for key, value in settings.items():
        if hasattr(config, key):
            setattr(config, key, value)


MISTAKES: Mapping[str, Mistake] = {
    "every channel rotated": _rotate_every_channel,
    "gate and up swapped": _swap_gate_and_up,
    "keys and values swapped": _swap_keys_and_values,
    "biases dropped": _drop_biases,
    "theta 16 times too large": _multiply_theta,
    "eps 10 times too large": _take_other_eps,
}
# `rope_ratio` in the meaning of the other family.
ROPE_RATIO_MISREAD: Mapping[str, Mistake] = {
    "glm4": _divide_positions,
    "chatglm2-32k": _multiply_base,
}
