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
    text = "\n".join(lines)
    for find_folder in (_crashes, tempfile.gettempdir):
        try:
            path = Path(find_folder()) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # A word of the command line need not be text at all.
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except Exception:
            continue
        return path
    return Path("(nowhere could be written)")


def _crashes() -> Path:
    return trueup_home() / "crashes"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
    except Exception as error:
        return type(error).__name__
