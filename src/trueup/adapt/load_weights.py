"""Puts a checkpoint's tensors into a model built without memory, one after the other.

Safetensors and zip pickles are mapped from the file, so anonymous memory grows by what the model
keeps and by one tensor at most. Every tensor is accounted for. Runs in whoever loads a model.
"""

from __future__ import annotations

import pickle
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.adapt.native.family import Part
from trueup.checkpoint.checkpoint import Weights
from trueup.errors import AdaptError, CheckpointError

if TYPE_CHECKING:
    import torch

Progress = Callable[[float], None]
MapTensor = Callable[[str], tuple[Part, ...] | None]
SHOWN_NAMES = 3
PICKLE_START = b"\x80"


@dataclass(slots=True)
class _Filling:
    """The state of one load: tensors by target name, and how many rows each still lacks."""

    wanted: dict[str, torch.nn.Parameter]
    dtype: torch.dtype
    device: torch.device
    filled: dict[str, torch.Tensor] = field(default_factory=dict)


def fill_weights(
    model: torch.nn.Module,
    weights: Weights,
    directory: Path,
    map_tensor: MapTensor,
    *,
    dtype: torch.dtype,
    device: torch.device,
    progress: Progress | None = None,
) -> None:
    """Give every parameter of `model` its values, in `dtype` on `device`.

    On the CPU a tensor that needs no conversion stays mapped from its file.

    Raises: AdaptError for a tensor too many, too few or of another shape; CheckpointError for a
    file that cannot be read.
    """
    filling = _Filling(wanted=dict(model.named_parameters()), dtype=dtype, device=device)
    done_bytes = 0
    for name, file, tensor in read_tensors(weights, directory):
        parts = map_tensor(name)
        if parts is None:
            raise AdaptError(
                f"the tensor `{name}` is not part of the layout that the config describes",
                where=str(directory / file),
            )
        _check_rows(name, tensor, parts, directory / file)
        for part in parts:
            _place(filling, name, tensor, part, directory / file)
        done_bytes += tensor.nbytes
        if progress is not None:
            progress(min(done_bytes / max(weights.size_bytes, 1), 1.0))
    _attach(model, filling, directory)


def read_tensors(
    weights: Weights, directory: Path, *, allows_legacy: bool = False
) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Name, file and mapped values of every tensor, file after file.

    With `allows_legacy` pickles of torch before 1.6 are read too, into memory.

    Raises: CheckpointError where a file cannot be read as what its name says.
    """
    for file in weights.files:
        path = directory / file
        if weights.format == "safetensors":
            tensors = _read_safetensors(path)
        else:
            tensors = _read_pickle(path, is_mapped=not (allows_legacy and _is_legacy(path)))
        for name, tensor in tensors:
            yield name, file, tensor


def _read_safetensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            for name in opened.keys():  # noqa: SIM118 (it is no mapping)
                yield name, opened.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"the weight file cannot be read: {error}",
            where=str(path),
            hint=f"trueup check {shlex.quote(str(path.parent))}",
        ) from error


def _read_pickle(path: Path, *, is_mapped: bool) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    try:
        loaded = torch.load(path, map_location="cpu", mmap=is_mapped, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "the pickle holds more than tensors, and nothing else is unpickled",
            where=str(path),
            hint="use a copy of the model with safetensors files",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).partition("\n")[0]
        raise CheckpointError(
            f"the weight file cannot be mapped as a zip pickle: {first}",
            where=str(path),
            hint=_rewrite_hint(path) if _is_legacy(path) else "fetch the file again",
        ) from error
    for name in list(loaded):
        tensor = loaded.pop(name)
        if isinstance(tensor, torch.Tensor):
            yield name, tensor.detach()


def _is_legacy(path: Path) -> bool:
    """Whether it is a pickle of torch before 1.6, no zip archive."""
    try:
        with path.open("rb") as file:
            return file.read(1) == PICKLE_START
    except OSError:
        return False


def _rewrite_hint(path: Path) -> str:
    return (
        "written in the format of torch before 1.6; rewrite it (this reads tensors only): "
        'python -c "import sys, torch; path = sys.argv[1]; torch.save(torch.load('
        f"path, map_location='cpu', weights_only=True), path)\" {shlex.quote(str(path))}"
    )


def _check_rows(name: str, tensor: torch.Tensor, parts: tuple[Part, ...], path: Path) -> None:
    """Every row of a split tensor goes somewhere, and none is asked for that is not there."""
    taken = sum(stop - start for part in parts for start, stop in part.rows)
    if taken and taken != _rows(tensor):
        targets = ", ".join(f"`{part.target}`" for part in parts)
        raise AdaptError(
            f"the tensor `{name}` has {_rows(tensor)} rows, expected {taken} for {targets}",
            where=str(path),
        )


def _place(filling: _Filling, name: str, source: torch.Tensor, part: Part, path: Path) -> None:
    wanted = filling.wanted.get(part.target)
    if wanted is None or part.target in filling.filled:
        state = "twice in the files" if wanted is not None else "unknown to the config"
        raise AdaptError(f"the tensor `{name}` is {state}", where=str(path))
    rows = sum(stop - start for start, stop in part.rows) if part.rows else _rows(source)
    found = (rows, *source.shape[1:]) if source.dim() else ()
    if found != tuple(wanted.shape):
        raise AdaptError(
            f"the tensor `{name}` has the shape {list(source.shape)}, which does not give "
            f"`{part.target}` its {list(wanted.shape)}",
            where=str(path),
        )
    filling.filled[part.target] = part_values(source, part, filling.dtype, filling.device)


def part_values(
    source: torch.Tensor, part: Part, dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """What `part` makes of a tensor of the file; not a copy where nothing is changed."""
    import torch

    pieces = [source[start:stop] for start, stop in part.rows] if part.rows else [source]
    is_kept = source.dtype == dtype and device.type == "cpu"
    if is_kept and len(pieces) == 1 and pieces[0].is_contiguous():
        target = pieces[0]
    else:
        rows = sum(_rows(piece) for piece in pieces)
        shape = (rows, *source.shape[1:]) if source.dim() else ()
        target = torch.empty(shape, dtype=dtype, device=device)
        start = 0
        for piece in pieces:
            target[start : start + len(piece)].copy_(piece) if piece.dim() else target.copy_(piece)
            start += _rows(piece)
    return unit_rows(target.cpu()).to(device) if part.has_unit_rows else target


def unit_rows(tensor: torch.Tensor) -> torch.Tensor:
    """Every row divided by its length in the tensor's dtype; the same bits on every device."""
    import torch

    return torch.nn.functional.normalize(tensor)


def _rows(tensor: torch.Tensor) -> int:
    return tensor.shape[0] if tensor.dim() else 1


def _attach(model: torch.nn.Module, filling: _Filling, directory: Path) -> None:
    import torch

    missing = [name for name in filling.wanted if name not in filling.filled]
    tied = _tied_names(model)
    missing = [name for name in missing if name not in tied]
    refuse_missing(missing, directory)
    for name, tensor in filling.filled.items():
        owner, _, last = name.rpartition(".")
        parameter = torch.nn.Parameter(tensor, requires_grad=False)
        setattr(model.get_submodule(owner), last, parameter)


def refuse_missing(missing: list[str], directory: Path) -> None:
    """Raises: AdaptError that names tensors of a model which no file holds, if there are any."""
    if missing:
        more = f" and {len(missing) - SHOWN_NAMES} more" if len(missing) > SHOWN_NAMES else ""
        listing = ", ".join(f"`{name}`" for name in missing[:SHOWN_NAMES])
        raise AdaptError(
            f"the weight files hold nothing for {listing}{more}",
            where=str(directory),
            hint=f"trueup check {shlex.quote(str(directory))}",
        )


def _tied_names(model: torch.nn.Module) -> set[str]:
    if not getattr(model.config, "tie_word_embeddings", False):
        return set()
    return {"lm_head.weight"}
