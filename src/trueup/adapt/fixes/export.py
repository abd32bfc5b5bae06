"""Writes a repaired copy of a model's Python files, its diff and the hashes of both sides.

Nothing of the model runs. The files are the ones that the fixed route loads.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from trueup.adapt.fixes.choice import fixes_of
from trueup.adapt.fixes.repair import repaired_texts
from trueup.adapt.plan import Plan
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.errors import AdaptError

DIFF, MANIFEST = "fixes.diff", "manifest.json"
SCHEMA_VERSION = 1


def export_fixed(
    plan: Plan, checkpoint: Checkpoint, transformers: Version, directory: Path
) -> dict[str, Any]:
    """Write the files into `directory`, new or empty; returns the manifest.

    Raises: AdaptError for a plan of another route, a directory that is not empty, or one that
    cannot be written.
    """
    directory = directory.expanduser()
    if plan.route != "fixed":
        raise AdaptError(
            f"nothing was exported: the plan's route is `{plan.route}`, expected `fixed`",
            where=plan.model.directory,
        )
    refuse_full(directory)
    texts = repaired_texts(plan.fixes, checkpoint, transformers)
    manifest = _manifest(plan, checkpoint, transformers, texts)
    partial = directory.parent / f".{directory.name}.partial-{os.getpid()}"
    try:
        for path, text in texts.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_bytes(text.encode())
        (partial / DIFF).write_text(diff(checkpoint, texts), encoding="utf-8")
        shown = json.dumps(manifest, indent=2, ensure_ascii=False)
        (partial / MANIFEST).write_text(f"{shown}\n", encoding="utf-8")
        partial.rename(directory)
    except OSError as error:
        raise AdaptError(
            f"the repaired code cannot be written: {error.strerror or error}", where=str(directory)
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def diff(checkpoint: Checkpoint, texts: Mapping[str, str]) -> str:
    """What the fixes change, as a unified diff that `patch -p1` takes."""
    parts = []
    for path, text in sorted(texts.items()):
        before = checkpoint.remote_code[path].source
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            text.splitlines(keepends=True),
            fromfile=f"a/{path}",
            tofile=f"b/{path}",
        )
        for line in lines:
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def refuse_full(directory: Path) -> None:
    """Raises: AdaptError for a directory of an export that holds something or is none."""
    if directory.is_dir() and not any(directory.iterdir()):
        return
    if directory.exists() or directory.is_symlink():
        raise AdaptError(
            "the directory of an export must be new or empty, and this one is not",
            where=str(directory),
        )


def _manifest(
    plan: Plan, checkpoint: Checkpoint, transformers: Version, texts: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {"source": plan.model.source, "revision": plan.model.revision},
        "transformers": str(transformers),
        "fixes": [
            {"name": fix.title, "does": fix.does, "answers": list(fix.answers)}
            for fix in fixes_of(plan.fixes)
        ],
        "files": [
            {
                "path": path,
                "source_sha256": checkpoint.remote_code[path].sha256,
                "written_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "is_changed": text != checkpoint.remote_code[path].source,
            }
            for path, text in sorted(texts.items())
        ],
    }
