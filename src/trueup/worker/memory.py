"""A process's own memory, as the system counts it."""

from __future__ import annotations

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
