"""A model whose weights are never all in memory: each part gets them when its turn comes.

Built without weights and with true buffers, the planned side by the loader that serves. Before a
layer runs its tensors are read from the files, afterwards they are dropped; the output of each
layer is kept for the comparison. Works for the library's classes as for a model's own code, because
it only uses hooks of modules. Runs in a child process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trueup.adapt.load import mapped_family
from trueup.adapt.load_weights import unit_rows
from trueup.adapt.native.family import Part
from trueup.adapt.planned_files import checkpoint_of
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError
from trueup.proof.job import Job
from trueup.proof.skeleton import planned_skeleton, tell_cpu, without_weights
from trueup.proof.subject import (
    Subject,
    reference_class,
    reference_directory,
    reference_subject,
)

ATTRIBUTE = "_trueup_stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a tensor of the model comes from: a file, a name in it, and which rows of it."""

    file: Path
    name: str
    part: Part


@dataclass(slots=True)
class Stream:
    """The state of one model: sources by the model's names, and the outputs that were kept.

    `places` are where tensors lay when they were read; `changed` are those that a forward pass
    replaced, which stay: Baichuan2's head does so in its first one and never again.
    """

    sources: dict[str, list[Source]]
    dtype: Any
    weights_format: str
    outputs: dict[int, list[npt.NDArray[np.float32]]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


def load_streamed(job: Job) -> Subject:
    """The job's side, built without weights.

    Raises: AdaptError for a tensor that is missing, or too many.
    """
    import torch

    plan = job.plan
    checkpoint = checkpoint_of(plan)
    dtype = getattr(torch, job.dtype)
    if job.side == "reference":
        directory = reference_directory(job)
        model, map_tensor = _reference_model(job, directory, dtype), None
        subject = reference_subject(job, directory, model)
    else:
        subject = planned_skeleton(job)
        model = subject.model
        family = mapped_family(plan)
        map_tensor = None if family is None else family.map_tensor(checkpoint)
    model.eval()
    model.requires_grad_(False)
    stream = Stream(
        sources=_sources(model, checkpoint, map_tensor),
        dtype=dtype,
        weights_format=checkpoint.weights.format,
    )
    _attach(model, stream)
    return subject


def layers_of(model: Any) -> dict[str, npt.NDArray[np.float32]]:
    """The outputs of every layer [tokens, hidden], of the longest prompt that was asked."""
    stream: Stream = getattr(model, ATTRIBUTE)
    return {
        f"layers/{layer:03}": max(kept, key=len) for layer, kept in sorted(stream.outputs.items())
    }


def _reference_model(job: Job, directory: Path, dtype: Any) -> Any:
    import transformers

    config = transformers.AutoConfig.from_pretrained(
        directory, trust_remote_code=job.code is not None, local_files_only=True
    )
    config.torch_dtype = dtype
    if job.code is None:
        with without_weights(dtype):
            return transformers.AutoModelForCausalLM.from_config(config)
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    # `from_config` would resolve the code again by `_name_or_path`.
    name = config.auto_map[reference_class(job, directory)]
    model_class = get_class_from_dynamic_module(name, str(directory))
    with without_weights(dtype):
        return model_class(config)


def _sources(
    model: Any, checkpoint: Checkpoint, map_tensor: Callable[[str], tuple[Part, ...] | None] | None
) -> dict[str, list[Source]]:
    """Every tensor of the model with where it comes from; each tensor of a file goes somewhere."""
    wanted = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    prefix = f"{model.base_model_prefix}."
    sources: dict[str, list[Source]] = {}
    for name, info in checkpoint.weights.tensors.items():
        if map_tensor is None:
            spellings = (name, prefix + name, name.removeprefix(prefix))
            target = next((each for each in spellings if each in wanted), None)
            parts: tuple[Part, ...] = () if target is None else (Part(target=target),)
            is_known = target is not None or name.endswith("inv_freq")
        else:
            mapped = map_tensor(name)
            parts, is_known = mapped or (), mapped is not None
        if not is_known:
            raise AdaptError(
                f"the tensor `{name}` has no place in the model", where=str(checkpoint.directory)
            )
        for part in parts:
            source = Source(file=checkpoint.directory / info.file, name=name, part=part)
            sources.setdefault(part.target, []).append(source)
    _tie(model, sources)
    missing = [name for name, _ in model.named_parameters() if name not in sources]
    if missing:
        raise AdaptError(
            f"the weight files hold nothing for `{missing[0]}`", where=str(checkpoint.directory)
        )
    return sources


def _tie(model: Any, sources: dict[str, list[Source]]) -> None:
    """A head that is the embedding is read as the embedding."""
    if not getattr(model.config, "tie_word_embeddings", False):
        return
    names = {id(module): name for name, module in model.named_modules()}
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or embedding is None:
        return
    target, source = (f"{names[id(each)]}.weight" for each in (head, embedding))
    if target not in sources and source in sources:
        sources[target] = sources[source]


def _attach(model: Any, stream: Stream) -> None:
    """Hooks for every part."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and not parameter.is_meta:
                module._parameters[name] = _empty(parameter)
    for name, buffer in model.named_buffers():
        if name in stream.sources:
            buffer.copy_(_read(stream, name))
    setattr(model, ATTRIBUTE, stream)
    layers = _layers(model)
    seen: set[int] = set()
    for number, layer in enumerate(layers.values()):
        layer.register_forward_hook(_keeping(stream, number))
    for name, module in (*layers.items(), *model.named_modules()):
        if id(module) in seen or not _parameters(module, name in layers):
            continue
        seen |= {id(each) for each in module.modules()} if name in layers else {id(module)}
        names = {f"{name}.{each}" if name else each for each in _parameters(module, name in layers)}
        module.register_forward_pre_hook(_filling(model, stream, names))
        module.register_forward_hook(_dropping(model, stream, names))
    tell_cpu(model, stream.dtype)


def _layers(model: Any) -> dict[str, Any]:
    """The modules of the longest list of modules, by name."""
    import torch

    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList)
    ]
    if not lists:
        raise AdaptError(f"`{type(model).__name__}` has no list of layers")
    name, longest = max(lists, key=lambda each: len(each[1]))
    return {f"{name}.{number}": module for number, module in enumerate(longest)}


def _parameters(module: Any, is_layer: bool) -> list[str]:
    return [name for name, _ in module.named_parameters(recurse=is_layer)]


def _empty(parameter: Any) -> Any:
    import torch

    return torch.nn.Parameter(
        torch.empty(parameter.shape, dtype=parameter.dtype, device="meta"), requires_grad=False
    )


def _filling(model: Any, stream: Stream, names: set[str]) -> Callable[..., None]:
    def fill(*_: Any) -> None:
        import torch

        for name in sorted(names - stream.changed):
            owner, _dot, last = name.rpartition(".")
            values = _read(stream, name)
            parameters = model.get_submodule(owner)._parameters
            if tuple(values.shape) != tuple(parameters[last].shape):
                raise AdaptError(
                    f"`{name}` has the shape {list(values.shape)} in the file, expected "
                    f"{list(parameters[last].shape)}"
                )
            parameters[last] = torch.nn.Parameter(values, requires_grad=False)
            stream.places[name] = values.data_ptr()

    return fill


def _dropping(model: Any, stream: Stream, names: set[str]) -> Callable[..., None]:
    def drop(*_: Any) -> None:
        for name in names:
            owner, _dot, last = name.rpartition(".")
            parameters = model.get_submodule(owner)._parameters
            if parameters[last].data_ptr() != stream.places[name]:
                stream.changed.add(name)
            else:
                parameters[last] = _empty(parameters[last])

    return drop


def _keeping(stream: Stream, number: int) -> Callable[..., None]:
    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        values = hidden.detach().float().reshape(-1, hidden.shape[-1]).cpu().numpy()
        stream.outputs.setdefault(number, []).append(values)

    return keep


def _read(stream: Stream, name: str) -> Any:
    """The values of one tensor in the model's dtype, a copy: no file stays mapped."""
    import torch

    pieces = []
    for source in stream.sources[name]:
        whole = _tensor(stream, source)
        rows = source.part.rows
        pieces += [whole[start:stop] for start, stop in rows] if rows else [whole]
    if stream.sources[name][0].part.has_unit_rows:
        return unit_rows(pieces[0].to(stream.dtype))
    if len(pieces) == 1:
        return pieces[0].to(stream.dtype, copy=True)
    return torch.cat([each.to(stream.dtype) for each in pieces])


def _tensor(stream: Stream, source: Source) -> Any:
    if stream.weights_format == "safetensors":
        from safetensors import safe_open

        with safe_open(source.file, framework="pt", device="cpu") as opened:
            return opened.get_tensor(source.name)
    import torch

    return torch.load(source.file, map_location="cpu", mmap=True, weights_only=True)[source.name]
