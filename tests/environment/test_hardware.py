from pathlib import Path

import psutil
import pytest

from trueup.environment import hardware
from trueup.environment.environment import Gpu
from trueup.environment.hardware import read_hardware

GIB = 1024**3


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up machine of 16 GiB, 12 of them available."""
    for name in ("proc", "cgroup"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(hardware, "PROC", tmp_path / "proc")
    monkeypatch.setattr(hardware, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "proc" / "meminfo").write_text(
        f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {12 * GIB // 1024} kB\nNonsense\n"
    )
    (tmp_path / "proc" / "cpuinfo").write_text("processor: 0\nflags\t\t: sse avx512f\n")
    return tmp_path


def test_the_real_machine_is_what_psutil_says() -> None:
    found = read_hardware()
    assert found.host_total_bytes <= psutil.virtual_memory().total
    assert 0 < found.host_available_bytes <= found.host_total_bytes
    assert found.cpu_count >= 1


def test_a_machine_without_limits_has_all_of_its_memory(machine: Path) -> None:
    found = read_hardware()
    assert (found.host_total_bytes, found.host_available_bytes) == (16 * GIB, 12 * GIB)
    assert not found.has_native_bf16
    assert found.gpus == ()


@pytest.mark.parametrize(
    ("files", "total", "available"),
    [
        ({"memory.max": "max", "memory.current": "5"}, 16, 12),
        ({"memory.max": str(4 * GIB), "memory.current": str(GIB)}, 4, 3),
        (
            {
                "memory.max": str(4 * GIB),
                "memory.current": str(4 * GIB),
                "memory.stat": f"anon 1\ninactive_file {2 * GIB}\n",
            },
            4,
            2,
        ),
        ({"memory.max": str(64 * GIB), "memory.current": "0"}, 16, 12),
        (
            {
                "memory/memory.limit_in_bytes": str(2 * GIB),
                "memory/memory.usage_in_bytes": str(GIB),
                "memory/memory.stat": "total_inactive_file 0\n",
            },
            2,
            1,
        ),
    ],
)
def test_the_limit_of_a_container_counts(
    machine: Path, files: dict[str, str], total: int, available: int
) -> None:
    for name, content in files.items():
        path = machine / "cgroup" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    found = read_hardware()
    assert (found.host_total_bytes, found.host_available_bytes) == (total * GIB, available * GIB)


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_a_processor_that_computes_bf16_is_recognised(machine: Path, flag: str) -> None:
    (machine / "proc" / "cpuinfo").write_text(f"flags\t\t: sse {flag} x\n")
    assert read_hardware().has_native_bf16


def test_a_processor_quota_counts(machine: Path) -> None:
    (machine / "cgroup" / "cpu.max").write_text("100000 100000\n")
    assert read_hardware().cpu_count == 1


def nvidia(machine: Path, answer: str | None) -> None:
    folder = machine / "proc" / "driver" / "nvidia" / "gpus" / "0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA H100\nIRQ: 5\n")
    if answer is not None:
        (machine / "bin").mkdir()
        (machine / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{answer}\n")
        (machine / "bin" / "nvidia-smi").chmod(0o755)


def test_gpus_are_those_of_nvidia_smi(machine: Path) -> None:
    nvidia(machine, 'echo "0, NVIDIA H100, 81559, 80000"; echo "1, NVIDIA H100, [N/A], [N/A]"')
    first, second = read_hardware().gpus
    assert first == Gpu(
        index=0, name="NVIDIA H100", total_bytes=81559 * 2**20, free_bytes=80000 * 2**20
    )
    assert (second.total_bytes, second.free_bytes) == (None, None)


@pytest.mark.parametrize("answer", [None, "exit 9", "echo garbage"])
def test_without_nvidia_smi_gpus_have_names_and_no_sizes(machine: Path, answer: str | None) -> None:
    nvidia(machine, answer)
    assert read_hardware().gpus == (
        Gpu(index=0, name="NVIDIA H100", total_bytes=None, free_bytes=None),
    )


@pytest.mark.parametrize(
    ("visible", "indices"), [("", []), ("-1", []), ("1", [1]), ("0,1", [0, 1])]
)
def test_hidden_gpus_are_not_there(
    machine: Path, monkeypatch: pytest.MonkeyPatch, visible: str, indices: list[int]
) -> None:
    nvidia(machine, 'echo "0, A, 1, 1"; echo "1, B, 1, 1"')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.index for gpu in read_hardware().gpus] == indices
