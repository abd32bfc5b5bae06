"""What the machine has, from /proc, cgroups and nvidia-smi; never from torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from trueup.environment.environment import Gpu, Hardware

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
# The processor computes bfloat16 itself; without these it is emulated, slower than fp32.
NATIVE_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
NVIDIA_SECONDS = 10
MIB = 1024 * 1024


def read_hardware() -> Hardware:
    """Processors, memory (the least of the machine's and the container's) and GPUs."""
    total, available = host_memory()
    return Hardware(
        cpu_count=_cpu_count(),
        host_total_bytes=total,
        host_available_bytes=available,
        has_native_bf16=_has_native_bf16(),
        gpus=_gpus(),
    )


def host_memory() -> tuple[int, int]:
    """Total and available bytes: the least of the machine's and the container's."""
    total, available = _machine_memory()
    limit, used = _cgroup_memory()
    if limit is not None and limit < total:
        return limit, min(available, max(0, limit - used))
    return total, available


def _cpu_count() -> int:
    """Processors that this process may use: affinity and the container's quota count."""
    count = len(os.sched_getaffinity(0))
    quota = _read(CGROUPS / "cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit() and int(quota[1]):
        count = min(count, max(1, round(int(quota[0]) / int(quota[1]))))
    return max(1, count)


def _machine_memory() -> tuple[int, int]:
    sizes: dict[str, int] = {}
    for line in _read(PROC / "meminfo").splitlines():
        name, _, rest = line.partition(":")
        number = rest.split()[:1]
        if number and number[0].isdigit():
            sizes[name] = int(number[0]) * 1024
    total = sizes.get("MemTotal", 0)
    return total, sizes.get("MemAvailable", sizes.get("MemFree", total))


def _cgroup_memory() -> tuple[int | None, int]:
    """The container's limit and what is used of it, less the file cache that it can drop."""
    places = (
        (CGROUPS, "memory.max", "memory.current", "inactive_file"),
        (CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
         "total_inactive_file"),
    )  # fmt: skip
    for folder, limit_name, used_name, cache_name in places:
        limit, used = _read(folder / limit_name).strip(), _read(folder / used_name).strip()
        if not limit.isdigit():
            continue
        cached = next(
            (
                int(line.split()[1])
                for line in _read(folder / "memory.stat").splitlines()
                if line.startswith(f"{cache_name} ")
            ),
            0,
        )
        return int(limit), max(0, int(used) - cached) if used.isdigit() else 0
    return None, 0


def _has_native_bf16() -> bool:
    for line in _read(PROC / "cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            return not NATIVE_BF16_FLAGS.isdisjoint(line.split())
    return False


def _gpus() -> tuple[Gpu, ...]:
    """CUDA devices that this process may see; `CUDA_VISIBLE_DEVICES` counts."""
    if not (PROC / "driver" / "nvidia").is_dir():
        return ()
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ()
    found = _ask_nvidia_smi() or _list_driver()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        chosen = [word.strip() for word in visible.split(",")]
        if all(word.isdigit() for word in chosen):
            found = tuple(gpu for gpu in found if str(gpu.index) in chosen)
    return found


def _ask_nvidia_smi() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        answer = subprocess.run(
            [
                program,
                "--query-gpu=index,name,memory.total,memory.free",
                "--format=csv,noheader,nounits",
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=NVIDIA_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    gpus: list[Gpu] = []
    for line in answer.stdout.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 4 or not parts[0].isdigit():
            continue
        total, free = (int(part) * MIB if part.isdigit() else None for part in parts[2:])
        gpus.append(Gpu(index=int(parts[0]), name=parts[1], total_bytes=total, free_bytes=free))
    return tuple(gpus)


def _list_driver() -> tuple[Gpu, ...]:
    """Names from the driver's files where nvidia-smi is not there; sizes stay unknown."""
    try:
        folders = sorted((PROC / "driver" / "nvidia" / "gpus").iterdir())
    except OSError:
        return ()
    names = [
        next(
            (
                line.partition(":")[2].strip()
                for line in _read(folder / "information").splitlines()
                if line.startswith("Model:")
            ),
            "NVIDIA GPU",
        )
        for folder in folders
    ]
    return tuple(
        Gpu(index=index, name=name, total_bytes=None, free_bytes=None)
        for index, name in enumerate(names)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
