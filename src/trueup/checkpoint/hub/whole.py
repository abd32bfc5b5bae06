"""Which files of a commit are in the cache, and whether they are all that is read and run of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from trueup.checkpoint.hub import cache, selection
from trueup.checkpoint.hub.listing import Listing, kept
from trueup.checkpoint.remote_code import join_auto_maps
from trueup.checkpoint.weights import weight_files

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json")


def is_whole(name: str, commit: str) -> bool:
    """Whether the cache has all that is read and run of a commit, as far as can be told here."""
    directory = cache.snapshot(name, commit)
    listing = kept(name, commit)
    if listing is None:
        return _looks_whole(directory)
    wanted = [*selection.small_files(_sizes(listing)), *wanted_weights(directory, listing)]
    return all((directory / each).exists() for each in wanted)


def missing_small(directory: Path, listing: Listing) -> list[str]:
    """The small files that are not here."""
    return [
        name for name in selection.small_files(_sizes(listing)) if not (directory / name).exists()
    ]


def wanted_weights(directory: Path, listing: Listing) -> list[str]:
    """The weight files that would be loaded; the small files must be here."""
    sizes = _sizes(listing)
    chosen = weight_files(directory, sizes)
    return [
        name
        for name in dict.fromkeys((*chosen, *selection.further_weights(sizes)))
        if name in sizes
    ]


def _sizes(listing: Listing) -> Mapping[str, int]:
    return {name: file.size_bytes for name, file in listing.files.items()}


def _looks_whole(directory: Path) -> bool:
    """Whether a snapshot that others downloaded has weights, a config, a tokenizer and its code."""
    try:
        local = dict.fromkeys(os.listdir(directory), 0)
        config = json.loads((directory / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    weights = weight_files(directory, local)
    modules = {
        f"{reference.partition('.')[0]}.py"
        for reference in join_auto_maps(config if isinstance(config, dict) else {}).values()
        if "--" not in reference
    }
    return (
        bool(weights)
        and any(name in local for name in TOKENIZER_FILES)
        and all((directory / name).exists() for name in (*weights, *modules))
    )
