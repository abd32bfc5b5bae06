"""Models without their weights: parameters on the meta device, and true buffers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from trueup.adapt.chat import chat_encoder
from trueup.adapt.chat_own import own_chat
from trueup.adapt.load_native import library_class, native_config, native_tokenizer
from trueup.adapt.load_own import unfilled_own
from trueup.adapt.native.family import NativeFamily
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.proof.job import Job
from trueup.proof.subject import Subject, chat_tokens


def native_skeleton(family: NativeFamily, checkpoint: Checkpoint, job: Job, dtype: Any) -> Subject:
    """The library's class of the family's config, with parameters on the meta device.

    Raises: AdaptError, CheckpointError.
    """
    tokenizer, stops = native_tokenizer(family, checkpoint, job.plan)
    config = native_config(family, checkpoint, tokenizer, stops, dtype)
    with without_weights(dtype):
        model = library_class(job.plan.implementation or "")(config)
    encode = chat_tokens(chat_encoder(tokenizer, checkpoint, family.speech))
    return Subject(model=model, tokenizer=tokenizer, encode_chat=encode, runs_own_code=False)


def library_skeleton(job: Job, dtype: Any) -> Subject:
    """The library's class of a config that it knows, with parameters on the meta device.

    Raises: whatever the library does of a config that it cannot read.
    """
    from transformers import AutoConfig, AutoTokenizer

    directory = job.plan.model.directory
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    with without_weights(dtype):
        model = library_class(job.plan.implementation or "")(config)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return Subject(
        model=model, tokenizer=tokenizer, encode_chat=lambda _: None, runs_own_code=False
    )


def own_skeleton(checkpoint: Checkpoint, job: Job) -> Subject:
    """The model's own class, repaired as the plan says, with parameters on the meta device.

    Raises: as `load_own`.
    """

    def build(model_class: Any, config: Any, dtype: Any) -> Any:
        with without_weights(dtype):
            return model_class(config)

    plan = replace(job.plan, dtype=job.dtype)
    model, tokenizer, _ = unfilled_own(checkpoint, plan, build)
    return Subject(
        model=model,
        tokenizer=tokenizer,
        encode_chat=chat_tokens(own_chat(model, tokenizer, checkpoint).encode),
        runs_own_code=True,
    )


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
