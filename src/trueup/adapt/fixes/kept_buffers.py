"""Tables that no file holds have their values after loading."""

from __future__ import annotations

import ast
from typing import Any

from trueup.adapt.fixes.fix import Fix, FixFacts
from trueup.adapt.fixes.source import Sources, function_text
from trueup.doctor.code import CodeClass


def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
    import torch

    with torch.device("cpu"):
        self._published___init__(*args, **kwargs)
    for module in self.modules():
        # There was memory, so `post_init` took all for initialised; the loader comes after it.
        module.__dict__.pop("_is_hf_initialized", None)
    self._kept_buffers = {name: self._buffers[name] for name in self._non_persistent_buffers_set}


def _init_weights(self: Any, module: Any) -> None:
    for name, value in getattr(module, "_kept_buffers", {}).items():
        module._buffers[name] = value.to(module._buffers[name].device)


def _init_weights_too(self: Any, module: Any) -> None:
    self._published__init_weights(module)
    for name, value in getattr(module, "_kept_buffers", {}).items():
        module._buffers[name] = value.to(module._buffers[name].device)


class KeptBuffers(Fix):
    """A table in a non-persistent buffer is left without values by the loader of transformers 5.

    It builds models without memory and fills in what the files hold: wrong answers, no error.
    TrueUp builds such models on the CPU, where their constructors fill these tables; the edit
    does the same for a loader of transformers.
    """

    name = "kept-buffers"
    answers = unseen = ("LOAD103",)
    does = "tables that no file holds are computed on the CPU and kept while the model is loaded"
    since = "5.0.0"

    def applies(self, facts: FixFacts) -> bool:
        """Whether a class of the model's file registers such a buffer."""
        return bool(_owners(facts)) and facts.code.model is not None

    def apply(self, sources: Sources, facts: FixFacts) -> None:
        """Compute them on the CPU, and put them back where weights are initialised."""
        for owner in _owners(facts):
            sources.wrap(owner, "__init__", __init__)
        code = facts.code
        method = code.method(code.model, "_init_weights")
        if method is not None:
            sources.wrap(method.owner, "_init_weights", _init_weights_too)
        elif code.model is not None:
            sources.add_member(code.model, function_text(_init_weights))


def _owners(facts: FixFacts) -> list[CodeClass]:
    found: dict[str, CodeClass] = {}
    for method in facts.code.methods_of_modeling():
        if method.node.name == "__init__" and _registers_lost(method.owner.node):
            found[method.owner.name] = method.owner
    return list(found.values())


def _registers_lost(node: ast.ClassDef) -> bool:
    return any(
        isinstance(each, ast.keyword)
        and each.arg == "persistent"
        and isinstance(each.value, ast.Constant)
        and each.value.value is False
        for each in ast.walk(node)
    )
