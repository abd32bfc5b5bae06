"""Looks at the directories of a model before anything heavy is imported."""

from __future__ import annotations

import os
import shutil
from typing import Any

from .faults import SpecFault

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")


def check_paths(spec: dict[str, Any]) -> None:
    """See that the directories are there; what may be a hub id is left to LlamaFactory.

    Raises: SpecFault.
    """
    check_base(spec["base_model_path"])
    check_adapter(spec.get("adapter_path") or "")


def check_base(base: str) -> None:
    """See that a base model is there; raises SpecFault."""
    if is_path(base) and not os.path.isdir(os.path.expanduser(base)):
        raise SpecFault("BaseModelMissing", base)


def check_adapter(adapters: str) -> None:
    """See that adapters are there; raises SpecFault."""
    for adapter in adapters.split(","):  # LlamaFactory takes several
        adapter = adapter.strip()
        folder = os.path.expanduser(adapter)
        if os.path.isdir(folder):
            if not os.path.isfile(os.path.join(folder, "adapter_config.json")):
                raise SpecFault("AdapterConfigMissing", adapter)
        elif adapter and is_path(adapter):
            raise SpecFault("AdapterMissing", adapter)


def find_cli(name: str | None) -> str:
    """Where `llamafactory-cli` is; raises SpecFault."""
    name = name or "llamafactory-cli"
    found = shutil.which(os.path.expanduser(name))
    if found is None:
        raise SpecFault("CliMissing", name, path=os.environ.get("PATH", ""))
    return found


def is_path(name: str) -> bool:
    """Whether a name can only be a path: a hub id is `owner/name`."""
    return name.startswith(("/", "./", "../", "~")) or name.count("/") > 1


def weights_bytes(base: str) -> int | None:
    """The size of a model's weights on disk; None where they are not here."""
    folder = os.path.expanduser(base)
    if not os.path.isdir(folder):
        return None
    sizes: dict[str, int] = {}
    for name in os.listdir(folder):
        kind = os.path.splitext(name)[1]
        if kind in WEIGHTS:
            sizes[kind] = sizes.get(kind, 0) + os.path.getsize(os.path.join(folder, name))
    # Some models have their weights in two formats.
    return next((sizes[kind] for kind in WEIGHTS if kind in sizes), None)
