"""Which tensor of a library's model a tensor of a weight file became, told by its name.

Names that no rule here knows belong to tensors that the library merges, renames or leaves out.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_LAYER = re.compile(r"(?:^|\.)(\d+)\.")
# Spellings of old files, which every release of the library still reads.
OLD_ENDINGS = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)


def layer_number(name: str) -> int:
    """The first number in a tensor's name: its layer; -1 outside the layers."""
    found = _LAYER.search(name)
    return int(found[1]) if found else -1


def state_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and the buffers that a file would hold, tied ones under each of their names."""
    state: dict[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
    for prefix, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                state[f"{prefix}.{name}" if prefix else name] = buffer
    return state


class Names:
    """From names in files to names in a model of the library's."""

    def __init__(self, model: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
        self._state = state
        prefix = getattr(model, "base_model_prefix", "")
        self._prefix = f"{prefix}." if prefix else ""
        self._model = model

    def is_converted(self, name: str) -> bool:
        """Whether the library rearranges a file's tensor while it loads, even under its name."""
        return any(pattern.search(name) for pattern in self._conversions)

    @functools.cached_property
    def _conversions(self) -> list[re.Pattern[str]]:
        return _conversions(self._model)

    def target(self, name: str) -> str | None:
        """The model's name for a file's; None where it is not known."""
        for spelled in self._spellings(name):
            if spelled in self._state:
                return spelled
        return None

    def _spellings(self, name: str) -> tuple[str, ...]:
        spellings = [name]
        for old, new in OLD_ENDINGS:
            if name.endswith(old):
                spellings.append(name.removesuffix(old) + new)
        if not self._prefix:
            return tuple(spellings)
        added = [self._prefix + each for each in spellings]
        removed = [each.removeprefix(self._prefix) for each in spellings]
        return (*spellings, *removed, *added)


def _conversions(model: torch.nn.Module) -> list[re.Pattern[str]]:
    """Names whose numbers the library rearranges while it loads: releases from 5.0 on say which."""
    try:
        from transformers.conversion_mapping import get_model_conversion_mapping
    except ImportError:
        return []
    transforms: list[Any] = get_model_conversion_mapping(model) or []
    return [
        each.compiled_sources
        for each in transforms
        if getattr(each, "operations", None) and hasattr(each, "compiled_sources")
    ]
