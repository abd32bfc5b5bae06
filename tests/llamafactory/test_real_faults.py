"""What goes wrong with the real llamafactory, each cause made, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.llamafactory.conftest import Models
from tests.llamafactory.worker import Bench, until
from trueup.errors import BackendError

pytestmark = pytest.mark.llamafactory


async def test_a_worker_that_is_killed_while_it_loads_is_told(
    real: Bench, llamafactory_python: Path, models: Models
) -> None:
    told = {"python": str(llamafactory_python), "base_model_path": str(models.base)}
    async with real.backend(**told, template="qwen") as backend:
        loading = asyncio.create_task(backend.load())
        found: list[psutil.Process] = []

        def imports_torch() -> bool:
            found[:] = _model_processes(real.folder)
            return loading.done() or any("libtorch" in m.path for p in found for m in _maps(p))

        await until(imports_torch)
        (model,) = found
        model.kill()
        with pytest.raises(BackendError, match=r"was killed \(often out of memory\)"):
            await loading


def _model_processes(folder: Path) -> list[psutil.Process]:
    """The processes with a model whose zipapp lies in this folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (words := process.info["cmdline"] or [])[-1:] == ["model"]
        and any(str(folder) in word for word in words)
    ]


def _maps(process: psutil.Process) -> list[Any]:
    try:
        return list(process.memory_maps())
    except psutil.Error:
        return []
