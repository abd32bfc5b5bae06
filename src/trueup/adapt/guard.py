"""Guards every load: a model that is not what its files hold is not served.

Each check is cheap here and can be made whole by a proof (`share=1.0`). What guards cannot see is
what was wrong before them: a config that says something else than was trained (eps, theta), or a
tokenizer of another kind. Runs in whoever loads a model, after the load.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trueup.adapt.guard_buffers import check_some_buffers, unheld_buffers
from trueup.adapt.guard_fault import FORWARD, NOT_EVALUATING, NOT_FINITE, Fault
from trueup.adapt.guard_forward import check_forward
from trueup.adapt.guard_tensors import check_tensors, compare_tensors
from trueup.adapt.load_weights import MapTensor
from trueup.adapt.plan import Plan
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError


def guard(
    model: Any,
    checkpoint: Checkpoint,
    plan: Plan,
    *,
    dtype: str,
    map_tensor: MapTensor | None = None,
    is_own_code: bool = False,
    token_ids: list[int] | None = None,
) -> None:
    """Refuse a loaded model that is not as published.

    `map_tensor` is that of a mapped family; without it names are compared. `token_ids` are a
    prompt, for code that needs certain tokens in it.

    Raises: AdaptError with the code, the tensor, the file and how far off it is; CheckpointError
    for a weight file that can no longer be read.
    """
    import torch

    faults = next(
        (
            found
            for found in _checks(
                model, checkpoint, getattr(torch, dtype), map_tensor, is_own_code, token_ids
            )
            if found
        ),
        (),
    )
    if faults:
        raise _error(faults, checkpoint.directory, plan)


def _checks(
    model: Any,
    checkpoint: Checkpoint,
    dtype: Any,
    map_tensor: MapTensor | None,
    is_own_code: bool,
    token_ids: list[int] | None,
) -> Iterator[tuple[Fault, ...]]:
    """From what names a tensor to what only shows that something is wrong."""
    yield check_eval(model)
    compared = compare_tensors(model, checkpoint, map_tensor, dtype)
    yield compared.faults
    yield check_some_buffers(model, unheld_buffers(model, compared.unexplained))
    faults = check_forward(model, token_ids, is_own_code=is_own_code)
    if faults:
        # A sample may have passed over the tensor that is to blame.
        whole = check_tensors(model, checkpoint, map_tensor, dtype, share=1.0)
        yield tuple(each for each in whole if each.code == NOT_FINITE) or faults


def check_eval(model: Any) -> tuple[Fault, ...]:
    """Modules in training mode, where dropout would draw numbers, and parameters to be trained."""
    training = [name for name, module in model.named_modules() if module.training]
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    return (
        *_not_evaluating(training, "is in training mode"),
        *_not_evaluating(trained, "requires a gradient"),
    )


def _not_evaluating(names: list[str], what: str) -> Iterator[Fault]:
    if names:
        more = f", and {len(names) - 1} more with it" if len(names) > 1 else ""
        yield Fault(code=NOT_EVALUATING, name=names[0] or "the model", what=what + more)


def _error(faults: tuple[Fault, ...], directory: Path, plan: Plan) -> AdaptError:
    first = faults[0]
    quoted = first.name if " " in first.name else f"`{first.name}`"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    origin = f", from `{first.source}`" if first.source not in (None, first.name) else ""
    origin += f" of `{first.file}`" if first.file else ""
    where = str(directory / first.file) if first.file else str(directory)
    if first.is_in_file:
        return AdaptError(
            f"{first.code}: the weight file itself is damaged, or was published so: "
            f"{quoted}{origin} {first.what}{more}",
            where=where,
            hint="copy or download the file again, and compare its digest with the publisher's",
            code=first.code,
        )
    return AdaptError(
        f"{first.code}: the loaded model is not the published one: {quoted}{origin} "
        f"{first.what}{more}",
        where=where,
        hint=_hint(first, plan),
        code=first.code,
    )


def _hint(fault: Fault, plan: Plan) -> str:
    if fault.code == FORWARD and plan.dtype != "float32":
        return "try it with `--dtype float32`"
    return f"trueup verify {shlex.quote(plan.model.source)}"
