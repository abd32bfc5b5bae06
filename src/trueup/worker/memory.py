"""A process's own memory, as the system counts it, and what it holds of a GPU."""

from __future__ import annotations

import sys
from pathlib import Path

PRIVATE = ("Private_Clean", "Private_Dirty", "Private_Hugetlb")


def private_bytes(process: int | str = "self") -> int | None:
    """What the end of a process would give back; None where the system does not say.

    Weights that are mapped from a file count as far as they are resident and no other process
    maps them; imports that are shared with a fork-server do not.
    """
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    return sum(
        int(line.split()[1]) * 1024
        for line in text.splitlines()
        if line.partition(":")[0] in PRIVATE
    )


def device_bytes() -> int | None:
    """What this process holds of the GPUs' memory, the allocator's reserve included.

    None where it has none: torch is not imported, or CUDA was never used.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    cuda = torch.cuda
    return sum(int(cuda.memory_reserved(index)) for index in range(cuda.device_count()))
