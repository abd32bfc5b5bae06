"""Labels: what really happens to each model in each environment, stage by stage.

A stage whose prerequisite failed is not run: it is unscored. Labels are frozen before any rule
is tuned on them; `frozen` is the moment they were made.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.accuracy.environment import Environment, running
from benchmarks.accuracy.stages import NotApplicable, auto_class

SCHEMA_VERSION = 1
# In the order in which they are run, each with what it needs.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "import.config": (),
    "import.model": ("import.config",),  # which is read first
    "import.tokenizer": (),
    "config": ("import.config",),
    "tokenizer": ("import.tokenizer",),
    "init": ("import.model", "config"),
    "load": ("init",),
    "forward": ("load",),
    "generate.cached": ("forward",),
    "generate.uncached": ("forward",),
    "save": ("load",),
    "silent": ("forward",),
}
PASSED = ("ok", "not applicable")
CODE = (".py", ".json", ".model", ".txt", ".tiktoken")


def models_in(folder: Path) -> tuple[Path, ...]:
    """The model directories of a folder: those with a config.json or Python files."""
    found = (path for path in sorted(folder.iterdir()) if path.is_dir())
    return tuple(path for path in found if (path / "config.json").is_file())


def family(directory: Path) -> str:
    """Variants of one code base share a family: `name__variant` or a `.family` file."""
    named = directory / ".family"
    if named.is_file():
        return named.read_text("utf-8").strip()
    return directory.name.split("__")[0]


def labels(models: Sequence[Path], pythons: Sequence[str], work: Path) -> dict[str, Any]:
    """The labels of models x environments; weights that are missing are made in `work`."""
    copies = {model.name: _copy(model, work) for model in models}
    _make_weights(copies.values(), pythons)
    environments: dict[str, Any] = {}
    rows: dict[str, Any] = {name: _described(copy) for name, copy in copies.items()}
    for python in pythons:
        with running(python) as environment:
            environments[environment.name] = {
                "python": python,
                "packages": dict(environment.packages),
            }
            for name, copy in copies.items():
                print(f"{environment.name} {name}", file=sys.stderr)
                rows[name]["environments"][environment.name] = stages_of(copy, environment)
    return {
        "schema_version": SCHEMA_VERSION,
        "frozen": datetime.now(UTC).isoformat(timespec="seconds"),
        "environments": environments,
        "models": rows,
    }


def _copy(model: Path, work: Path) -> Path:
    """A copy to run: no run may write into what was given."""
    copy = work / model.name
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(model, copy)
    return copy


def _make_weights(copies: Any, pythons: Sequence[str]) -> None:
    missing = [copy for copy in copies if not _has_weights(copy)]
    for python in pythons:
        if not missing:
            return
        with running(python) as environment:
            for copy in missing:
                environment.run("weights", copy)
        missing = [copy for copy in missing if not _has_weights(copy)]


def _has_weights(directory: Path) -> bool:
    return any(directory.glob("*.safetensors")) or any(directory.glob("pytorch_model*.bin"))


def _described(directory: Path) -> dict[str, Any]:
    try:
        loader = auto_class(directory)
    except NotApplicable:
        loader = ""
    return {
        "family": family(directory),
        "auto_class": loader,
        "has_weights": _has_weights(directory),
        "digest": digest(directory),
        "environments": {},
    }


def digest(directory: Path) -> str:
    """Of the names and contents of the files that decide what happens."""
    total = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.suffix in CODE):
        total.update(str(path.relative_to(directory)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def stages_of(directory: Path, environment: Environment) -> dict[str, Any]:
    """The outcome of every stage of one model in one environment."""
    outcomes: dict[str, Any] = {}
    for stage, needs in NEEDS.items():
        behind = [need for need in needs if outcomes[need]["outcome"] not in PASSED]
        if behind:
            first = outcomes[behind[0]]
            outcomes[stage] = {"outcome": "unscored", "because": first.get("because", behind[0])}
        elif stage == "load" and not _has_weights(directory):
            outcomes[stage] = {"outcome": "unscored", "because": "no weights"}
        else:
            outcome = environment.run(stage, directory)
            same = _same_cause(outcome, outcomes)
            outcomes[stage] = {"outcome": "unscored", "because": same} if same else outcome
    return outcomes


def _same_cause(outcome: Mapping[str, Any], earlier: Mapping[str, Any]) -> str | None:
    """An earlier stage that failed of the very same cause: AutoTokenizer reads the config too."""
    for stage, other in earlier.items():
        if outcome["outcome"] == other["outcome"] == "failed" and all(
            outcome[key] == other[key] for key in ("exception", "message", "frame")
        ):
            return stage if not stage.startswith("generate") else None
    return None
