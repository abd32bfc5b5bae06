"""What goes wrong with the real llamafactory, each cause made, and what is told of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.llamafactory.conftest import Models
from tests.llamafactory.worker import Bench, counted, ended, streamed, until
from trueup.config.limit_settings import LimitSettings
from trueup.errors import BackendError

pytestmark = pytest.mark.llamafactory

# What torchvision does at import; its compiled part, which does not load beside the torch of
# another release, is what would have made the operator.
TORCHVISION = """import torch
__version__ = "0.20.0"
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold): ...
"""


async def test_a_torchvision_that_does_not_match_is_told(
    real: Bench, llamafactory_python: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    # transformers imports torchvision beside Pillow alone.
    files = {"torchvision/__init__.py": TORCHVISION, "PIL/ImageOps.py": "",
             "PIL/__init__.py": "",
             "PIL/Image.py": "class Resampling: ...\nclass Image: ...\n"}  # fmt: skip
    for name in ("torchvision", "pillow"):
        files[f"{name}-11.0.0.dist-info/METADATA"] = f"Name: {name}\nVersion: 11.0.0\n"
    for file, text in files.items():
        (path := real.folder / "first" / file).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(real.folder / "first"))
    told = {"python": str(llamafactory_python), "base_model_path": str(models.base)}
    async with real.backend(**told, template="qwen") as backend:
        with pytest.raises(BackendError, match="torchvision does not match torch in") as caught:
            await backend.load()
    assert caught.value.hint == "reinstall torchvision there, or remove it"


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


async def test_a_base_model_that_llamafactory_does_not_find_is_told(
    real: Bench, llamafactory_python: Path
) -> None:
    told = {"python": str(llamafactory_python), "base_model_path": "nobody/has-this"}
    async with real.backend(**told, template="qwen") as backend:
        with pytest.raises(BackendError, match="base model `nobody/has-this` not found"):
            await backend.load()


async def test_no_token_and_answers_without_an_end(
    real: Bench, llamafactory_python: Path, models: Models
) -> None:
    told = {"python": str(llamafactory_python), "base_model_path": str(models.base)}
    limits = LimitSettings(between_tokens_seconds=2.0)
    async with real.backend(**told, template="qwen", limits=limits) as backend:
        hints = []
        for _ in range(5):
            answer = await streamed(backend, "hi", temperature=0, max_tokens=120)
            assert answer.finish_reason == "length"
            hints.append(answer.hint)
        (hint,) = [each for each in hints if each]
        assert "check that `template` and `default_system` are those of the training" in hint

        pid = (await backend.health()).pid
        assert pid is not None
        psutil.Process(pid).suspend()
        left = asyncio.create_task(streamed(backend, "hi", max_tokens=2))
        await counted(backend, leases=1)
        behind = asyncio.create_task(streamed(backend, "hi", max_tokens=2))
        await counted(backend, leases=1, queued=1)
        left.cancel()
        with pytest.raises(BackendError, match="no token within 2 s of `far`"):
            await behind
        await ended(pid)


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
