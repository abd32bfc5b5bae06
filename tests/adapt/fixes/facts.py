"""Code of models, made by hand, for the tables of fixes."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from packaging.version import Version

from tests.adapt.facts import plain_checkpoint
from trueup.adapt.fixes.choice import choose_fixes
from trueup.adapt.fixes.repair import repaired_texts
from trueup.checkpoint.checkpoint import Checkpoint, RemoteModule

AUTO_MAP = {
    "AutoConfig": "configuration_x.XConfig",
    "AutoModelForCausalLM": "modeling_x.XForCausalLM",
    "AutoTokenizer": "tokenization_x.XTokenizer",
}
FILES = {"config": "configuration_x.py", "model": "modeling_x.py", "tokenizer": "tokenization_x.py"}


def checkpoint_of(settings: Mapping[str, Any] | None = None, **texts: str) -> Checkpoint:
    """A checkpoint whose own code is `config=`, `model=` and `tokenizer=`.

    `settings` stand in its config.json.
    """
    code: Mapping[str, RemoteModule] = {
        FILES[kind]: RemoteModule(
            path=FILES[kind],
            source=text,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            tree=ast.parse(text),
        )
        for kind, text in texts.items()
    }
    return replace(
        plain_checkpoint(model_type="x", auto_map=AUTO_MAP, **(settings or {})),
        auto_map=AUTO_MAP,
        remote_code=code,
    )


def chosen(version: str, **texts: str) -> tuple[str, ...]:
    """The names of the fixes that the code takes on transformers `version`."""
    choice = choose_fixes(checkpoint_of(**texts), Version(version), ())
    return tuple(fix.name for fix in choice.fixes)


def repaired(
    name: str,
    version: str = "5.23.0",
    settings: Mapping[str, Any] | None = None,
    **texts: str,
) -> str:
    """The code with one fix, every file after the other."""
    checkpoint = checkpoint_of(settings, **texts)
    done = repaired_texts([f"{name}@1"], checkpoint, Version(version))
    return "\n".join(done[path] for path in sorted(done))
