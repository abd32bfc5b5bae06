"""Puts the tensors of a directory into one of the two classes, every one of them accounted for.

No number of the model is drawn: each parameter is a tensor of the file, and what a file need not
hold follows from the arguments. Runs in whoever loads a model.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError, CheckpointError
from trueup.kronos.faults import Readable, account
from trueup.kronos.hints import fetch_again

Model = TypeVar("Model", bound=nn.Module)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
RANDOM = (Tensor.normal_, Tensor.uniform_)
DEVICES = ("cpu", "cuda")
LEGACY_START = b"\x80"
# What 1 / 10000^x of another machine may differ by, and what 8 bits of a number may.
FREQUENCY_TOLERANCE, ROUNDED_TOLERANCE = 1e-4, 1e-2


class _NotRandom(TorchFunctionMode):
    """Leaves memory as it is where a constructor would draw numbers that files replace.

    The meta device would do as well, but its arithmetic imports torch's compiler: seconds.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See TorchFunctionMode."""
        given = kwargs or {}
        if func in RANDOM or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def build_empty(kind: type[Model], arguments: Mapping[str, Any]) -> Model:
    """The class with memory that nobody has written to, but for what follows from its sizes."""
    with _NotRandom():
        return kind(**arguments)


def build(kind: type[Model], found: Readable) -> Model:
    """The class with the directory's arguments; its parameters hold nothing yet.

    Raises: CheckpointError where its tensors are not those of the files.
    """
    model = build_empty(kind, found.config.arguments)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    account(found, shapes, optional={name for name, _ in model.named_buffers()})
    return model


def fill(
    model: Model,
    found: Readable,
    directory: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Model:
    """The same model with the tensors of `directory`, in eval mode.

    Parameters are of `dtype`; tables of frequencies stay in fp32, which positions need.

    Raises: CheckpointError where a file cannot be read or a tensor is not finite.
    """
    wanted = dict(model.named_parameters())
    filled: dict[str, Tensor] = {}
    stored: dict[str, Tensor] = {}
    for file, name, tensor in _read_tensors(found.checkpoint, directory):
        plain = name.removeprefix(found.prefix)
        if plain not in wanted:
            stored[plain] = tensor
            continue
        if not _is_finite(tensor):
            kind = "NaN" if bool(tensor.isnan().any()) else "infinity"
            raise CheckpointError(
                f"the tensor `{plain}` holds {kind}: the training that saved it had diverged, or "
                "the file is damaged",
                where=str(directory / file),
                hint=fetch_again(found.checkpoint, found.part),
            )
        # A copy: a mapped file that is replaced later would change the model, or end the process.
        filled[plain] = tensor.to(device=device, dtype=dtype, copy=True)
    _keep_tables(model, stored, found)
    filled |= {name: table.to(device) for name, table in model.named_buffers()}
    lost = [name for name in wanted if name not in filled]
    if lost:
        raise CheckpointError(
            f"the weight files changed while they were read: `{lost[0]}` is gone",
            where=str(directory),
        )
    model.load_state_dict(filled, strict=True, assign=True)
    return model.requires_grad_(False).eval()


def dtype_of(dtype: str | torch.dtype) -> torch.dtype:
    """The dtype of a name.

    Raises: AdaptError for any but fp32 and bf16.
    """
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if dtype == "auto":
        return torch.float32
    if found is None or found not in DTYPES.values():
        raise AdaptError(
            f"the dtype `{dtype}` is not one that Kronos runs in",
            where="dtype",
            hint="float32 gives the published results, bfloat16 is faster on a GPU",
        )
    return found


def device_of(device: str | torch.device) -> torch.device:
    """The device of a name; `auto` is the first GPU where there is one.

    Raises: AdaptError for one that is not here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise _no_device(str(device), "is the name of no device") from error
    if found.type not in DEVICES:
        raise _no_device(str(device), "is not one that Kronos runs on")
    count = torch.cuda.device_count() if found.type == "cuda" else 1
    if count == 0:
        raise _no_device(str(device), "is not to be had: this torch sees no CUDA device")
    if (found.index or 0) >= count:
        raise _no_device(str(device), f"is not to be had: there are {count}, counted from 0")
    return found


def _no_device(device: str, reason: str) -> AdaptError:
    return AdaptError(
        f"`{device}` {reason}", where="device", hint="`cpu`, `cuda`, `cuda:N` or `auto`"
    )


def _read_tensors(checkpoint: Checkpoint, directory: Path) -> Iterator[tuple[str, str, Tensor]]:
    """File, name and values of every tensor, in fp32 or as they are stored.

    Raises: CheckpointError where a file is no longer what its header said.
    """
    for file in checkpoint.weights.files:
        path = directory / file
        is_safe = checkpoint.weights.format == "safetensors"
        for name, tensor in _read_safetensors(path) if is_safe else _read_pickle(path):
            if name in checkpoint.weights.tensors:
                yield file, name, tensor


def _read_safetensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            for name in opened.keys():  # noqa: SIM118 (it is no mapping)
                yield name, opened.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the weight file cannot be read: {error}", where=str(path)
        ) from error


def _read_pickle(path: Path) -> Iterator[tuple[str, Tensor]]:
    try:
        with path.open("rb") as file:
            is_legacy = file.read(1) == LEGACY_START
        loaded = torch.load(path, map_location="cpu", mmap=not is_legacy, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"the weight file cannot be read without running what is in it: {first}",
            where=str(path),
            hint="take a copy with model.safetensors",
        ) from error
    for name, tensor in loaded.items():
        if isinstance(tensor, Tensor):
            yield name, tensor.detach()


def _is_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite; a sum is read once and needs no memory."""
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _keep_tables(model: nn.Module, stored: Mapping[str, Tensor], found: Readable) -> None:
    """Have frequencies as a file stores them in fp32; in fewer bits they are better computed.

    Raises: CheckpointError where it stores those of another base.
    """
    for name, computed in model.named_buffers():
        kept = stored.get(name)
        if kept is None or not kept.is_floating_point():
            continue
        is_full = kept.dtype == torch.float32
        tolerance = FREQUENCY_TOLERANCE if is_full else ROUNDED_TOLERANCE
        if not torch.allclose(kept.float(), computed, rtol=tolerance):
            raise CheckpointError(
                f"the tensor `{name}` holds other frequencies than those of the base 10000",
                where=str(found.checkpoint.directory),
                hint=fetch_again(found.checkpoint, found.part),
            )
        if is_full:
            computed.copy_(kept)
