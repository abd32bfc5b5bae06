"""A PEFT adapter in a directory, and its base model where that is on this machine. Asks no hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from trueup.checkpoint.checkpoint import Adapter, Problem, TensorInfo, Weights, WeightsFormat
from trueup.checkpoint.json_file import read_json
from trueup.checkpoint.source import Source, hub_cache
from trueup.checkpoint.weights import read_named, read_weights

CONFIG = "adapter_config.json"
FILES: tuple[tuple[str, WeightsFormat], ...] = (
    ("adapter_model.safetensors", "safetensors"),
    ("adapter_model.bin", "pickle"),
)
BASE_FILES = ("config.json", "model.safetensors", "model.safetensors.index.json",
              "pytorch_model.bin", "pytorch_model.bin.index.json")  # fmt: skip


def read_adapter(
    source: Source, files: Mapping[str, int]
) -> tuple[Adapter | None, tuple[Problem, ...]]:
    """The adapter in the directory, None where there is none, and what is wrong with its files."""
    if CONFIG not in files:
        return None, ()
    directory = source.directory
    config, problem = read_json(directory, CONFIG)
    problems = [problem] if problem is not None else []
    weights, more = _weights(source, files)
    base = config.get("base_model_name_or_path")
    base = base if isinstance(base, str) and base.strip() else None
    found = next(iter(_candidates(directory, base)), None) if base else None
    tensors: Mapping[str, TensorInfo] = {}
    if found is not None:
        tensors = read_weights(found, _sizes(found))[0].tensors
    adapter = Adapter(
        config=config,
        weights=weights,
        base=base,
        base_directory=found,
        base_tensors=tensors,
        has_own_model="config.json" in files,
    )
    return adapter, (*problems, *more)


def _weights(source: Source, files: Mapping[str, int]) -> tuple[Weights, tuple[Problem, ...]]:
    for name, weights_format in FILES:
        if name in files:
            return read_named(source.directory, files, source.open, weights_format, name)
    return Weights(format="none"), ()


def _candidates(directory: Path, base: str) -> Iterator[Path]:
    """Where the base could be: as named, beside the adapter, in the cache."""
    if "\0" in base:
        return
    name = Path(base).name
    near = (directory / base, directory.parent / base, directory.parent / name)
    places = [*([Path(base)] if Path(base).is_absolute() else []), *near]
    repository = hub_cache() / f"models--{base.replace('/', '--')}"
    places += _snapshots(repository) if base.count("/") <= 1 and ".." not in base else []
    for place in places:
        try:
            if place.resolve() != directory.resolve() and any(_sizes(place)):
                yield place
        except (OSError, RuntimeError):
            continue


def _snapshots(repository: Path) -> list[Path]:
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        found = sorted((repository / "snapshots").iterdir())
    except (OSError, UnicodeDecodeError):
        return []
    return sorted(found, key=lambda each: each.name != main)


def _sizes(place: Path) -> dict[str, int]:
    """The files of a base model that its weights are read from."""
    found: dict[str, int] = {}
    for name in BASE_FILES:
        try:
            found[name] = (place / name).stat().st_size
        except OSError:
            continue
    return found
