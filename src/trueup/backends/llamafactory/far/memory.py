"""What memory there is, and what a process has of it; None where the system does not say."""

from __future__ import annotations


def free_bytes() -> int | None:
    """The memory of this machine that can be had now."""
    return _kilobytes("/proc/meminfo", "MemAvailable:")


def memory_bytes(pid: int | None) -> int | None:
    """The resident memory of a process."""
    return None if pid is None else _kilobytes(f"/proc/{pid}/status", "VmRSS:")


def _kilobytes(path: str, name: str) -> int | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None
