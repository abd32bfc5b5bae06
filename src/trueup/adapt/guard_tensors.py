"""Compares the tensors of a loaded model with its weight files.

Reads both as they are: what a loader says of itself is not asked. Mapped layouts are compared by
their mapping, all others by name (`guard_names.py`); what the library merges or turns around while
loading is searched for by its numbers (`guard_merged.py`).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trueup.adapt.guard_fault import NOT_FINITE, TENSOR, Fault
from trueup.adapt.guard_merged import Unnamed, find_merged, find_split, merged_faults, sampled
from trueup.adapt.guard_names import Names, layer_number, state_of
from trueup.adapt.load_weights import MapTensor, read_tensors, unit_rows
from trueup.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch

# So much of a tensor is compared at a time, and of a large one in a sample.
CHUNK_BYTES = 32 * 1024**2
SAMPLE_BYTES = 16 * 1024
# Outside the layers and in the first and the last of them a sample has so many blocks.
EDGE_BLOCKS = 4
GUARD_SHARE = 0.01
Block = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Rows of a model's tensor that must equal rows of a file's, from these starts on.

    `rows` is None where the whole tensors must; `has_unit_rows` as in a mapping's `Part`.
    """

    target: str
    source_start: int = 0
    target_start: int = 0
    rows: int | None = None
    has_unit_rows: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorComparison:
    """Faults, and the model's tensors that no tensor of a file was found for."""

    faults: tuple[Fault, ...]
    unexplained: tuple[str, ...]


@dataclass(slots=True)
class _Comparing:
    """The state of one check."""

    state: dict[str, torch.Tensor]
    dtype: torch.dtype
    share: float
    last_layer: int
    faults: dict[str, Fault] = field(default_factory=dict)
    matched: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)


def check_tensors(
    model: torch.nn.Module,
    checkpoint: Checkpoint,
    map_tensor: MapTensor | None,
    dtype: torch.dtype,
    share: float = GUARD_SHARE,
) -> tuple[Fault, ...]:
    """Tensors of `model` that are not what `checkpoint` holds, converted to `dtype` exactly.

    With `share` 1.0 every number is compared; with less, a sample that depends on the names
    alone: tensors of up to 16 KiB whole, and of every larger one that share of its rows (16 KiB
    at most), four such blocks in the first and the last layer and outside the layers. Numbers
    that are not finite are faults too. Run it before the first forward pass: some models change
    their weights in it. `map_tensor` is None for models of the library's own layout.

    Raises: CheckpointError for a file that cannot be read.
    """
    return compare_tensors(model, checkpoint, map_tensor, dtype, share).faults


def compare_tensors(
    model: torch.nn.Module,
    checkpoint: Checkpoint,
    map_tensor: MapTensor | None,
    dtype: torch.dtype,
    share: float = GUARD_SHARE,
) -> TensorComparison:
    """As `check_tensors`, and which tensors of the model could not be compared."""
    state = state_of(model)
    comparing = _Comparing(
        state=state,
        dtype=dtype,
        share=share,
        last_layer=max((layer_number(name) for name in state), default=0),
    )
    unnamed: list[Unnamed] = []
    names = Names(model, state)
    place = _by_mapping(map_tensor) if map_tensor is not None else _by_name(names, state)
    files = read_tensors(checkpoint.weights, checkpoint.directory, allows_legacy=True)
    for name, file, tensor in files:
        pieces = place(name, tensor)
        for piece in pieces:
            _compare(comparing, name, file, tensor, piece)
        is_off = any(piece.target in comparing.faults for piece in pieces)
        if map_tensor is None and (not pieces or (is_off and names.is_converted(name))):
            for piece in pieces:
                del comparing.faults[piece.target]
            unnamed.append((name, file, tensor))
    return _searched(comparing, unnamed)


def _searched(comparing: _Comparing, unnamed: list[Unnamed]) -> TensorComparison:
    """What was found by name, and by its numbers after that."""
    is_whole = comparing.share >= 1
    state, matched = comparing.state, comparing.matched
    by_layer: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        if name not in matched:
            by_layer.setdefault(layer_number(name), {})[name] = tensor
    unnamed = unnamed if is_whole else sampled(unnamed)
    merged = [
        find_merged(by_layer.get(layer_number(each[0]), {}), *each, is_whole=is_whole)
        for each in unnamed
    ]
    found = matched | comparing.faults.keys()
    found |= {each.target for each in merged if each.target is not None}
    left = [each for each, place in zip(unnamed, merged, strict=True) if place.target is None]
    split = find_split(state, _unexplained(state, found), left, is_whole=is_whole)
    holders = {each.target for each in split}
    merged = [each for each in merged if each.name not in holders]
    found |= {each.name for each in split if each.target is not None}
    # Beyond the last layer lie those that only training needed.
    merged = [each for each in merged if layer_number(each.name) <= comparing.last_layer]
    return TensorComparison(
        faults=(
            *_untied(comparing),
            *merged_faults(merged, comparing.sources),
            *merged_faults(split, ()),
        ),
        unexplained=_unexplained(state, found),
    )


def _by_mapping(map_tensor: MapTensor) -> Callable[[str, torch.Tensor], Sequence[Piece]]:
    def place(name: str, tensor: torch.Tensor) -> Sequence[Piece]:
        pieces: list[Piece] = []
        for part in map_tensor(name) or ():
            done = 0
            for start, stop in part.rows:
                rows = stop - start
                pieces.append(
                    Piece(target=part.target, source_start=start, target_start=done, rows=rows)
                )
                done += rows
            if not part.rows:
                pieces.append(Piece(target=part.target, has_unit_rows=part.has_unit_rows))
        return pieces

    return place


def _by_name(
    names: Names, state: dict[str, torch.Tensor]
) -> Callable[[str, torch.Tensor], Sequence[Piece]]:
    def place(name: str, tensor: torch.Tensor) -> Sequence[Piece]:
        target = names.target(name)
        if target is None or state[target].shape != tensor.shape:
            return ()
        return (Piece(target=target),)

    return place


def _compare(
    comparing: _Comparing, name: str, file: str, source: torch.Tensor, piece: Piece
) -> None:
    target = comparing.state.get(piece.target)
    if target is None:
        what = "is not in the model"
        fault = Fault(code=TENSOR, name=piece.target, what=what, source=name, file=file)
        comparing.faults.setdefault(piece.target, fault)
        return
    if piece.rows is not None:
        source = source[piece.source_start : piece.source_start + piece.rows]
        target = target[piece.target_start : piece.target_start + piece.rows]
    if source.shape != target.shape:
        what = f"has the shape {list(target.shape)}, and the file's {list(source.shape)}"
        fault = Fault(code=TENSOR, name=piece.target, what=what, source=name, file=file)
        comparing.faults.setdefault(piece.target, fault)
        return
    for start, stop in _blocks(comparing, piece.target, name, target):
        there = source[start:stop] if source.dim() else source
        here = target[start:stop] if target.dim() else target
        there = unit_rows(there.to(here.dtype)) if piece.has_unit_rows else there
        found = difference(there, here.detach().cpu(), comparing.dtype)
        if found is not None:
            code, what, amount = found
            row = start + piece.target_start
            fault = Fault(
                code=code,
                name=piece.target,
                what=f"{what} (from row {row} on)" if source.dim() else what,
                amount=amount,
                source=name,
                file=file,
                is_in_file=code == NOT_FINITE and not _is_finite(there),
            )
            comparing.faults.setdefault(piece.target, fault)
            return
    comparing.matched.add(piece.target)
    comparing.sources.add(name)


def _blocks(
    comparing: _Comparing, target: str, source: str, tensor: torch.Tensor
) -> Iterator[Block]:
    """Rows to compare."""
    rows = tensor.shape[0] if tensor.dim() else 1
    row_bytes = max(1, tensor.nbytes // max(rows, 1))
    if comparing.share >= 1 or tensor.nbytes <= SAMPLE_BYTES:
        step = max(1, CHUNK_BYTES // row_bytes)
        yield from ((start, min(start + step, rows)) for start in range(0, rows, step))
        return
    taken = max(1, min(int(rows * comparing.share), SAMPLE_BYTES // row_bytes))
    layer = layer_number(target)
    blocks = EDGE_BLOCKS if layer in (-1, 0, comparing.last_layer) else 1
    for number in range(blocks):
        start = zlib.crc32(f"{target} {source} {number}".encode()) % (rows - taken + 1)
        yield start, start + taken


def difference(
    there: torch.Tensor, here: torch.Tensor, dtype: torch.dtype
) -> tuple[str, str, float | None] | None:
    """How a model's numbers differ from a file's; None where they do not. Both on the CPU.

    A tensor that the library keeps in another dtype than the model's is allowed to be converted
    once or by way of the model's.
    """
    import torch

    is_number = here.is_floating_point()
    if is_number and not _is_finite(here):
        return NOT_FINITE, f"holds `{_first_odd(here)}`", None
    expected = there.to(here.dtype)
    if torch.equal(expected, here):
        return None
    if (
        is_number
        and there.is_floating_point()
        and torch.equal(there.to(dtype).to(here.dtype), here)
    ):
        return None
    distance = (expected.double() - here.double()).abs().flatten()
    worst = int(distance.argmax())
    off = int((distance > 0).sum())
    what = (
        f"holds `{float(here.flatten()[worst]):.6g}` where the file has "
        f"`{float(expected.flatten()[worst]):.6g}`; {off} of {distance.numel()} numbers compared "
        "differ"
    )
    return TENSOR, what, float(distance[worst])


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether all are numbers: the least and the greatest are none where any is, in one reading."""
    import torch

    return not tensor.numel() or all(map(math.isfinite, map(float, torch.aminmax(tensor))))


def _first_odd(tensor: torch.Tensor) -> float:
    import torch

    return float(tensor[~torch.isfinite(tensor)].flatten()[0])


def _untied(comparing: _Comparing) -> Iterator[Fault]:
    """Faults, but for tensors that are tied to one which is as its file says.

    A file may hold a second copy of a tied tensor that no release reads.
    """
    matched = {id(comparing.state[name]) for name in comparing.matched}
    for name, fault in comparing.faults.items():
        if id(comparing.state.get(name)) not in matched:
            yield fault


def _unexplained(state: dict[str, torch.Tensor], found: set[str]) -> tuple[str, ...]:
    tied = {id(state[name]) for name in found if name in state}
    return tuple(name for name, tensor in state.items() if id(tensor) not in tied)
