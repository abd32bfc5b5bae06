"""Reports of our own bugs: one text file a crash, ready to paste, without secrets."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from trueup.config.home import trueup_home

REPORTED_PACKAGES = ("trueup", "transformers", "torch", "huggingface_hub", "safetensors")


def save_report(words: Sequence[str], error: BaseException) -> Path:
    """Write versions, command and traceback to a file; returns its path.

    Falls back to the temporary directory where TRUEUP_HOME cannot be written.
    """
    lines = [
        f"command: trueup {' '.join(words)}",
        f"python: {sys.version.split()[0]} on {platform.platform()}",
        *(f"{name}: {_version(name)}" for name in REPORTED_PACKAGES),
        "",
        *traceback.format_exception(error),
    ]
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 1_000_000}.txt"
    for folder in (trueup_home() / "crashes", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("\n".join(lines), encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path("(nowhere could be written)")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
