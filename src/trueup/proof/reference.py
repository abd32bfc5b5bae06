"""What a plan is compared with, and why there may be nothing.

1. Where the model brings code: that code unchanged, in the environment that it works with. It runs
   only with the user's consent, from the copy that was agreed to.
2. Else the library's own class, in the release that the config names.
3. Where neither can be had: unproven, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trueup.adapt.planning import PlannedFacts
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.environment.packages import read_environment
from trueup.errors import ConfigError, TrueUpError
from trueup.proof.process import Interpreter, other_interpreter, this_interpreter
from trueup.trust.code import read_code
from trueup.trust.copy import TrustedCode, trusted_code

MODEL_CLASSES = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModel")


class UnprovenError(TrueUpError):
    """There is nothing to compare with; nothing speaks against the plan either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a reference runs and what it is loaded from; `words` say so to people."""

    interpreter: Interpreter
    directory: Path
    runs_own_code: bool
    words: str


def choose_reference(facts: PlannedFacts, python: Path | None, folder: Path) -> Reference:
    """The reference of a plan; links are made in `folder`, which outlives the comparison.

    `python` is an interpreter that the user names for it.

    Raises: UnprovenError with the reason; AdaptError where consent is needed.
    """
    checkpoint = facts.checkpoint
    if _has_own_model(checkpoint):
        code = trusted_code(checkpoint)
        chosen = python or _environment_for_own_code(facts)
        version = read_environment(chosen).packages.get("transformers")
        directory = _staged(checkpoint, code, folder)
        words = f"the model's own code in transformers {version}"
        interpreter = other_interpreter(chosen, folder)
        return Reference(
            interpreter=interpreter, directory=directory, runs_own_code=True, words=words
        )
    return _library(facts, python, folder)


def _has_own_model(checkpoint: Checkpoint) -> bool:
    named = any(name in checkpoint.auto_map for name in MODEL_CLASSES)
    return named and bool(read_code(checkpoint).files)


def _library(facts: PlannedFacts, python: Path | None, folder: Path) -> Reference:
    checkpoint = facts.checkpoint
    wanted = checkpoint.config.get("transformers_version")
    if python is None and not isinstance(wanted, str):
        raise UnprovenError(
            "config.json names no `transformers_version`, so which release is the reference is "
            "not known",
            where=str(checkpoint.directory / "config.json"),
            hint="trueup verify MODEL --reference-python PATH",
        )
    here = facts.environment.packages.get("transformers")
    if python is None and wanted != here:
        python = _environment_for_version(facts, str(wanted))
    version = here if python is None else read_environment(python).packages.get("transformers")
    interpreter = this_interpreter() if python is None else other_interpreter(python, folder)
    return Reference(
        interpreter=interpreter,
        directory=checkpoint.directory,
        runs_own_code=False,
        words=f"the library's class in transformers {version}",
    )


def _environment_for_own_code(facts: PlannedFacts) -> Path:
    raise UnprovenError(
        "no environment is known in which the model's own code runs unchanged",
        where=facts.plan.model.directory,
        hint="trueup verify MODEL --reference-python PATH",
    )


def _environment_for_version(facts: PlannedFacts, version: str) -> Path:
    raise UnprovenError(
        f"there is no environment with transformers {version}, in which the model was saved",
        where=facts.plan.model.directory,
        hint="trueup verify MODEL --reference-python PATH",
    )


def _staged(checkpoint: Checkpoint, code: TrustedCode, folder: Path) -> Path:
    """A folder of links: Python files of the agreed copy, everything else of the model's."""
    references = [each for each in checkpoint.auto_map.values() if "--" in each]
    if references:
        raise UnprovenError(
            f"its code is in another repository (`{references[0]}`), which is not compared yet",
            where=str(checkpoint.directory),
        )
    directory = folder / "reference_model"
    try:
        for path in code.directory().rglob("*.py"):
            _link(path, directory / path.relative_to(code.directory()))
        for name in checkpoint.files:
            if not name.endswith(".py"):
                _link(checkpoint.directory / name, directory / name)
    except OSError as error:
        raise ConfigError(
            f"the model's files cannot be linked: {error.strerror or error}", where=str(directory)
        ) from error
    return directory


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source.absolute())
