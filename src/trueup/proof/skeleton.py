"""Models without their weights: parameters on the meta device, and true buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from trueup.adapt.chat import chat_encoder
from trueup.adapt.load_native import library_class, native_config, native_tokenizer
from trueup.adapt.native.family import NativeFamily
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.proof.job import Job
from trueup.proof.subject import Messages, Subject


def native_skeleton(family: NativeFamily, checkpoint: Checkpoint, job: Job, dtype: Any) -> Subject:
    """The library's class of the family's config, with parameters on the meta device.

    Raises: AdaptError, CheckpointError.
    """
    tokenizer, stops = native_tokenizer(family, checkpoint, job.plan)
    config = native_config(family, checkpoint, tokenizer, stops, dtype)
    with without_weights(dtype):
        model = library_class(job.plan.implementation or "")(config)
    encode = chat_encoder(tokenizer, checkpoint, family.speech)

    def encode_chat(messages: Messages) -> list[int]:
        return [int(each) for each in encode(messages)]

    return Subject(model=model, tokenizer=tokenizer, encode_chat=encode_chat, runs_own_code=False)


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
