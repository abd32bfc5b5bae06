"""What cannot lie: every tensor against its file, every computed buffer against the CPU's.

Runs in the child that loaded the model, before anything is asked of it: some models change what
they hold in their first forward pass.
"""

from __future__ import annotations

from typing import Any

from trueup.adapt.guard import check_eval
from trueup.adapt.guard_buffers import check_all_buffers, computed_tensors, unheld_buffers
from trueup.adapt.guard_fault import Fault
from trueup.adapt.guard_tensors import compare_tensors
from trueup.adapt.load import mapped_family
from trueup.adapt.planned_files import checkpoint_of
from trueup.proof.job import Job

EPS_NAMES = ("eps", "variance_epsilon", "epsilon")


def inspect_model(model: Any, job: Job) -> dict[str, Any]:
    """How much was compared, what could not be, and every deviation, as JSON."""
    import torch

    checkpoint = checkpoint_of(job.plan)
    family = None if job.side == "reference" else mapped_family(job.plan)
    map_tensor = None if family is None else family.map_tensor(checkpoint)
    dtype = getattr(torch, job.dtype)
    compared = compare_tensors(model, checkpoint, map_tensor, dtype, share=1.0)
    unheld = unheld_buffers(model, compared.unexplained)
    faults = (
        *check_eval(model),
        *compared.faults,
        *check_all_buffers(model, unheld),
    )
    return {
        "tensors": len(dict(model.named_parameters())) - len(compared.unexplained) + len(unheld),
        "buffers": len(computed_tensors(model, unheld)),
        "not_compared": [name for name in compared.unexplained if name not in unheld],
        "eps": norm_eps(model),
        "deviations": [_shape(each) for each in faults],
    }


def norm_eps(model: Any) -> list[float]:
    """Each eps that a normalisation of the model has, by whichever name, in order."""
    found = (getattr(module, name, None) for module in model.modules() for name in EPS_NAMES)
    return sorted({each for each in found if isinstance(each, float)})


def _shape(fault: Fault) -> dict[str, Any]:
    told = {"code": fault.code, "name": fault.name, "what": fault.what, "amount": fault.amount}
    return {**told, "is_in_file": fault.is_in_file}
