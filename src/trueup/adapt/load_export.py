"""Writes a mapped model as a standard checkpoint that plain transformers loads without its code.

Everything goes to a sibling directory that is renamed when complete: a failed export leaves
nothing behind. Holds one tensor at a time besides what the loader holds.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trueup.adapt.fixes.export import refuse_full
from trueup.adapt.load import load_plan, mapped_family
from trueup.adapt.native.family import NativeFamily
from trueup.adapt.native.tokenizer import save_tokenizer
from trueup.adapt.placement import size_words
from trueup.adapt.plan import Plan
from trueup.adapt.planned_files import checkpoint_of
from trueup.adapt.sizes import DTYPE_BYTES, file_dtype
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SHARD_BYTES = 2 * 1024**3
BESIDES_BYTES = 64 * 1024**2  # tokenizer, headers and JSON files
HEADER_ALIGNMENT = 64
STORED_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def export_native(
    plan: Plan, directory: Path, *, dtype: str = "auto", shard_bytes: int = SHARD_BYTES
) -> None:
    """Write the model of `plan` to `directory`, in the file's dtype where `dtype` is `auto`.

    Raises: AdaptError where the directory holds something, the disk is too small, or the model
    is in its standard form already; what `load_plan` raises.
    """
    family = mapped_family(plan)
    if family is None:
        raise AdaptError(
            f"`{plan.family}` is a model of the library, in the standard form already",
            where=plan.model.directory,
            hint="load it with AutoModelForCausalLM.from_pretrained as it is",
        )
    directory = directory.expanduser().resolve()
    refuse_full(directory)
    checkpoint = checkpoint_of(plan)
    dtype = file_dtype(checkpoint) if dtype == "auto" else dtype
    loaded = load_plan(replace(plan, dtype=dtype, device="cpu"))
    partial = directory.parent / f".{directory.name}.partial-{os.getpid()}"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _check_space(loaded.model, directory, DTYPE_BYTES[dtype])
        partial.mkdir()
        # The weights last: where the disk fills up, it is in them, whose error tells so.
        save_tokenizer(loaded.tokenizer, partial)
        loaded.model.generation_config.save_pretrained(partial)
        _write_config(loaded.model, partial, checkpoint, family, dtype)
        _write_shards(loaded.model, partial, dtype, shard_bytes)
        partial.rename(directory)
    except OSError as error:
        raise _disk_error(error, directory) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_space(model: PreTrainedModel, directory: Path, item_bytes: int) -> None:
    needed = sum(each.numel() for each in model.parameters()) * item_bytes + BESIDES_BYTES
    free = shutil.disk_usage(directory.parent).free
    if free < needed:
        raise AdaptError(
            f"the export needs {size_words(needed)} and the disk has {size_words(free)} free",
            where=str(directory.parent),
        )


def _disk_error(error: OSError, directory: Path) -> AdaptError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = "the disk is full: nothing was exported"
    else:
        cause = f"the export could not be written: {error.strerror or error}"
    return AdaptError(cause, where=str(directory.parent))


def _write_shards(model: PreTrainedModel, directory: Path, dtype: str, shard_bytes: int) -> None:
    shards = list(_shards(model, shard_bytes))
    weight_map: dict[str, str] = {}
    total_bytes = 0
    for number, shard in enumerate(shards, start=1):
        name = "model.safetensors"
        if len(shards) > 1:
            name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        with (directory / name).open("wb") as file:
            total_bytes += _write_shard(file, shard, STORED_DTYPES[dtype])
            file.flush()
            os.fsync(file.fileno())
        weight_map |= dict.fromkeys(shard, name)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total_bytes}, "weight_map": weight_map}
        _write_json(directory / "model.safetensors.index.json", index)


def _shards(model: PreTrainedModel, shard_bytes: int) -> Iterator[dict[str, torch.Tensor]]:
    shard: dict[str, torch.Tensor] = {}
    for name, tensor in model.named_parameters():  # a tied head is named once
        held = sum(each.nbytes for each in shard.values())
        if shard and held + tensor.nbytes > shard_bytes:
            yield shard
            shard = {}
        shard[name] = tensor.detach()
    yield shard


def _write_shard(file: IO[bytes], shard: dict[str, torch.Tensor], stored_dtype: str) -> int:
    """One safetensors file: the header's length, the header, the tensors; returns their bytes.

    The library's own writer copies a whole shard in memory first.
    """
    import torch

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in shard.items():
        end = offset + tensor.nbytes
        shape = list(tensor.shape)
        header[name] = {"dtype": stored_dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % HEADER_ALIGNMENT)
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for tensor in shard.values():
        file.write(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return offset


def _write_config(
    model: PreTrainedModel,
    directory: Path,
    checkpoint: Checkpoint,
    family: NativeFamily,
    dtype: str,
) -> None:
    """config.json with the keys of transformers 4 and 5, so that either reads the right rope."""
    model.config.save_pretrained(directory)
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= family.map_config(checkpoint, 5) | family.map_config(checkpoint, 4)
    config |= {"dtype": dtype, "torch_dtype": dtype}
    config.pop("_name_or_path", None)
    _write_json(path, config)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
