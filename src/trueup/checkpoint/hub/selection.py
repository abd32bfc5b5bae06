"""Which files of a repository are read, which are downloaded to run it, and which never."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SMALL_SUFFIXES = (".json", ".py", ".model", ".txt", ".jinja", ".tiktoken", ".vocab", ".spm", ".bpe")
SMALL_BYTES = 64 * 1024 * 1024
# Below the top: configs of Sentence Transformers' modules, packages of remote code.
INNER_SUFFIXES = (".json", ".py", ".txt", ".jinja")
INNER_BYTES = 1024 * 1024
INNER_DEPTH, INNER_FILES = 2, 200
# Copies for other frameworks, and what a training left behind.
NEVER = re.compile(
    r"\.|trainer_state\.json$|"
    r"(onnx|openvino|coreml|original|runs|logs?|samples?|global_step\d*|checkpoint-\d+)/"
)
MODULE_WEIGHTS = re.compile(r"\d+_\w+/(model\.safetensors|pytorch_model\.bin)")
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


def small_files(sizes: Mapping[str, int]) -> list[str]:
    """The files that say what a model is, without its weights, sorted."""
    top = [
        name
        for name, size in sizes.items()
        if "/" not in name
        and name.endswith(SMALL_SUFFIXES)
        and size <= SMALL_BYTES
        and NEVER.match(name) is None
    ]
    inner = [
        name
        for name, size in sizes.items()
        if 0 < name.count("/") <= INNER_DEPTH
        and name.endswith(INNER_SUFFIXES)
        and size <= INNER_BYTES
        and NEVER.match(name) is None
    ]
    inner.sort(key=lambda name: (name.count("/"), name))
    return sorted(filter(_is_plain, [*top, *inner[:INNER_FILES]]))


def further_weights(sizes: Mapping[str, int]) -> list[str]:
    """Weights beside those of the model itself: of an adapter, of a module with its own folder."""
    found = [name for name in sizes if MODULE_WEIGHTS.fullmatch(name)]
    safe = {name.rpartition("/")[0] for name in found if name.endswith(".safetensors")}
    found = [
        name
        for name in found
        if name.endswith(".safetensors") or name.rpartition("/")[0] not in safe
    ]
    adapter = [name for name in ADAPTER_WEIGHTS if name in sizes and "adapter_config.json" in sizes]
    return sorted(filter(_is_plain, [*found, *adapter[:1]]))


def plain(names: Iterable[str]) -> list[str]:
    """Those names that stay within a folder, whatever a server says."""
    return [name for name in names if _is_plain(name)]


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)
