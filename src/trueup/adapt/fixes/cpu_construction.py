"""The model is built where its constructor can read what it computes."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources

READERS = ("item", "tolist", "numpy")


def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
    import torch

    with torch.device("cpu"):
        self._published___init__(*args, **kwargs)
    for module in self.modules():
        # There was memory, so `post_init` took all for initialised; the loader comes after it.
        module.__dict__.pop("_is_hf_initialized", None)


class CpuConstruction(Fix):
    """The model's constructor reads the data of a tensor: `Tensor.item() cannot be called on meta`.

    The loader of transformers 5 builds models without memory. TrueUp builds those of this route
    on the CPU; the edit does the same for a loader of transformers. The doctor reads what is
    done, not on which device, so that it finds it again.
    """

    name = "cpu-construction"
    answers = unseen = ("LOAD106",)
    does = "the model is built on the CPU, where its constructor can read what it computes"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether a constructor in the model's file reads a tensor, or has a part of it read."""
        code = facts.code
        return code.method(code.model, "__init__") is not None and any(
            isinstance(node, ast.Attribute) and node.attr in READERS
            for method in code.methods_of_modeling()
            if method.node.name == "__init__"
            for node in ast.walk(method.node)
        )

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Put a constructor of ours before the model's."""
        method = facts.code.method(facts.code.model, "__init__")
        if method is not None:
            sources.wrap(method.owner, "__init__", __init__)
