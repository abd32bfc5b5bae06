"""Finds a file's tensor inside a larger one of the model by its numbers.

The library stacks experts, joins projections and turns weights around while it loads, each
release in its own way: what is looked for are the numbers, whatever the way. A tensor that is not
found is a fault only where others of the same kind are.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueup.adapt.guard_fault import TENSOR, Fault
from trueup.adapt.guard_names import layer_number

if TYPE_CHECKING:
    import torch

_NUMBER = re.compile(r"\d+")
TELLING_NUMBERS = 8
# A file's tensor without a name in the model: its name, file and numbers.
Unnamed = tuple[str, str, "torch.Tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Where a file's tensor was found; `target` is None where it was not.

    `off` is set where only some of its rows were: the largest difference.
    """

    name: str
    file: str
    target: str | None = None
    off: float | None = None


def sampled(unnamed: Sequence[Unnamed]) -> list[Unnamed]:
    """Of tensors that differ by a number within their layer, such as experts, a few."""
    groups: dict[tuple[int, str], list[Unnamed]] = {}
    for each in unnamed:
        groups.setdefault((layer_number(each[0]), _kind(each[0])), []).append(each)
    chosen = []
    for (layer, kind), members in groups.items():
        start = zlib.crc32(f"{layer} {kind}".encode()) % len(members)
        places = {0, start, (start + len(members) // 2) % len(members), len(members) - 1}
        chosen += [members[place] for place in sorted(places)]
    return chosen


def find_merged(
    candidates: Mapping[str, torch.Tensor],
    name: str,
    file: str,
    tensor: torch.Tensor,
    *,
    is_whole: bool,
) -> Merged:
    """Look for a file's tensor in those of the same layer that are not found by name.

    With `is_whole` every number is compared where it is found, else three rows.
    """
    best = Merged(name=name, file=file)
    if tensor.dim() == 0 or tensor.numel() == 0 or not tensor.is_floating_point():
        return best
    source = tensor if tensor.dim() > 1 else tensor[:, None]
    source = source.flatten(0, -2)
    for target, candidate in candidates.items():
        if candidate.numel() < tensor.numel():
            continue
        for view in _views(candidate.detach(), tensor.dim()):
            if view.shape[-1] != source.shape[-1]:
                continue
            off = _search(view, source, is_whole=is_whole)
            if off == 0:
                return Merged(name=name, file=file, target=target)
            if off is not None and (best.off is None or off < best.off):
                best = Merged(name=name, file=file, target=target, off=off)
    return best


def find_split(
    state: Mapping[str, torch.Tensor],
    names: Sequence[str],
    sources: Sequence[Unnamed],
    *,
    is_whole: bool,
) -> list[Merged]:
    """The other way round: look for tensors of the model in larger ones of the files."""
    found = []
    for name in names:
        layer = layer_number(name)
        for source, file, tensor in sources:
            if layer_number(source) != layer or tensor.numel() < state[name].numel():
                continue
            there = {source: tensor.to(state[name].dtype)}
            here = state[name].detach().cpu()
            each = find_merged(there, name, file, here, is_whole=is_whole)
            if each.target is not None:
                found.append(each)
                break
        else:
            found.append(Merged(name=name, file=""))
    return found


def merged_faults(merged: Sequence[Merged], named: Iterable[str]) -> Iterator[Fault]:
    """Tensors that differ where they were found, or are missing where their like are found.

    `named` are those that were found by name.
    """
    found_kinds = {_kind(each.name) for each in merged if each.target is not None}
    if any(each.target is None for each in merged):
        found_kinds |= {_kind(each) for each in named}
    for each in merged:
        if each.target is None and _kind(each.name) in found_kinds:
            what = "is nowhere in the model, unlike those of the other layers"
            yield Fault(code=TENSOR, name=each.name, what=what, source=each.name, file=each.file)
        elif each.target is not None and each.off is not None:
            yield Fault(
                code=TENSOR,
                name=each.target,
                what=f"holds other rows than `{each.name}` of the file",
                amount=each.off,
                source=each.name,
                file=each.file,
            )


def _kind(name: str) -> str:
    return _NUMBER.sub("*", name)


def _views(candidate: torch.Tensor, dims: int) -> Iterator[torch.Tensor]:
    """The candidate as [blocks, rows, columns], and with its last two dimensions swapped."""
    if dims == 1:
        if candidate.dim() <= 2:  # biases, also of experts: no weights, which may be large
            yield candidate.reshape(1, -1, 1)
    elif candidate.dim() == 2:
        yield candidate[None]
        yield candidate.T[None]
    elif candidate.dim() == 3:
        if dims == 3:
            yield candidate.reshape(1, -1, candidate.shape[-1])
        yield candidate
        yield candidate.transpose(1, 2)


def _search(view: torch.Tensor, source: torch.Tensor, *, is_whole: bool) -> float | None:
    """The largest difference to `source` where it stands best; None where it stands nowhere.

    A place counts where one of three rows is equal and telling, or where all three are equal.
    """
    import torch

    rows = source.shape[0]
    if rows > view.shape[1]:
        return None
    probes = sorted({0, rows // 2, rows - 1})
    expected = source[probes].to(view.dtype)
    step = math.gcd(rows, view.shape[1])
    starts = torch.arange(0, view.shape[1] - rows + 1, step, device=view.device)
    best: float | None = None
    for number, probe in enumerate(probes):
        same = view[:, starts + probe, 0] == expected[number, 0].to(view.device)
        for block, start in same.nonzero().tolist():
            first = int(starts[start])
            found = view[block, [first + each for each in probes]].cpu()
            equal = [torch.equal(*each) for each in zip(found, expected, strict=True)]
            if not all(equal) and not (equal[number] and _is_telling(expected[number])):
                continue
            here = view[block, first : first + rows].cpu() if is_whole else found
            there = source.to(view.dtype) if is_whole else expected
            off = float((here.double() - there.double()).abs().max())
            best = off if best is None else min(best, off)
            if best == 0:
                return best
    return best


def _is_telling(row: torch.Tensor) -> bool:
    """Whether a row is hardly equal to another by chance."""
    return row.numel() >= TELLING_NUMBERS and bool((row != row[0]).any())
