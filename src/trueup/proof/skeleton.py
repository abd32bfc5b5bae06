"""Models without their weights: parameters on the meta device, and true buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from trueup.adapt.load import load_plan, runs_own_code
from trueup.proof.job import Job
from trueup.proof.subject import Subject, chat_tokens


def planned_skeleton(job: Job) -> Subject:
    """What the loader that serves makes of the plan, without weights.

    Raises: as `load_plan`.
    """

    def build(model_class: Any, config: Any, dtype: Any) -> Any:
        with without_weights(dtype):
            model = model_class(config)
        tell_cpu(model, dtype)  # its `chat` puts what it writes on `model.device`
        return model

    loaded = load_plan(replace(job.plan, dtype=job.dtype), build=build)
    return Subject(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        encode_chat=chat_tokens(loaded.encode_chat),
        runs_own_code=runs_own_code(job.plan),
    )


def tell_cpu(model: Any, dtype: Any) -> None:
    """Let `model.device` be the CPU, whatever device its parameters are on."""
    import torch

    cpu = torch.device("cpu")
    changed = {
        "__module__": type(model).__module__,
        "device": property(lambda _: cpu),
        "dtype": property(lambda _: dtype),
    }
    model.__class__ = type(type(model).__name__, (type(model),), changed)


@contextlib.contextmanager
def without_weights(dtype: Any) -> Iterator[None]:
    """Modules built in it have parameters on the meta device, and buffers with their values."""
    import torch

    register = torch.nn.Module.register_parameter
    initialisers = {
        name: each
        for name, each in vars(torch.nn.init).items()
        if name.endswith("_") and not name.startswith("_") and callable(each)
    }

    def on_meta(module: Any, name: str, parameter: Any) -> None:
        register(module, name, parameter)
        if parameter is not None:
            module._parameters[name] = torch.nn.Parameter(
                parameter.detach().to("meta"), requires_grad=False
            )

    def skipping(function: Callable[..., Any]) -> Callable[..., Any]:
        def skip(tensor: Any, *values: Any, **options: Any) -> Any:
            if isinstance(tensor, torch.nn.Parameter):
                return tensor
            return function(tensor, *values, **options)

        return skip

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    torch.nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    for name, each in initialisers.items():
        setattr(torch.nn.init, name, skipping(each))
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        torch.nn.Module.register_parameter = register  # type: ignore[method-assign]
        for name, each in initialisers.items():
            setattr(torch.nn.init, name, each)
