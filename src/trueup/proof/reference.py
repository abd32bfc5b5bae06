"""What a plan is compared with, and why there may be nothing.

1. Where the model brings code: that code unchanged, in the environment that it works with. It runs
   only with the user's consent, from the copy that was agreed to.
2. Else the library's own class, in the release that the config names.
3. Where neither can be had: unproven, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from trueup.adapt.forecast import FORECAST
from trueup.adapt.isolate.planned import planned_environment
from trueup.adapt.planning import PlannedFacts
from trueup.checkpoint.checkpoint import Checkpoint
from trueup.doctor.examine import examine
from trueup.environment.environment import Environment
from trueup.environment.packages import read_environment
from trueup.errors import TrueUpError
from trueup.proof.process import Interpreter, other_interpreter, this_interpreter
from trueup.trust.code import read_code
from trueup.trust.copy import trusted_code

BETWEEN = "--"
OWN_HINT = "trueup env build MODEL makes an environment that the code works in"
MODEL_CLASSES = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModel")


class UnprovenError(TrueUpError):
    """There is nothing to compare with; nothing speaks against the plan either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Where a reference runs; `words` say so to people.

    `code` is the hash of the model's own code, None for the library's class.
    """

    interpreter: Interpreter
    code: str | None
    words: str


def choose_reference(facts: PlannedFacts, python: Path | None, folder: Path) -> Reference:
    """The reference of a plan; links are made in `folder`, which outlives the comparison.

    `python` is an interpreter that the user names for it; the doctor must find no error in what
    the model's code does there.

    Raises: UnprovenError with the reason; AdaptError where consent is needed.
    """
    checkpoint = facts.checkpoint
    references = (checkpoint.auto_map.get(name, "") for name in MODEL_CLASSES)
    elsewhere = next((each for each in references if BETWEEN in each), None)
    if elsewhere is not None:
        repository = elsewhere.partition(BETWEEN)[0]
        raise UnprovenError(
            f"its code is in another repository (`{elsewhere}`), which has commits of its own: "
            "these files do not say which of them is the reference",
            where=str(checkpoint.directory / "config.json"),
            hint=f"copy the Python files of `{repository}` beside config.json, and leave "
            f"`{repository}{BETWEEN}` out in its `auto_map`",
        )
    if not _has_own_model(checkpoint):
        return _library(facts, python, folder)
    code = trusted_code(checkpoint)
    chosen = python or _built(facts, None)
    there = read_environment(chosen)
    version = there.packages.get("transformers")
    if python is not None:
        _check_works(checkpoint, there)
    return Reference(
        interpreter=other_interpreter(chosen, folder),
        code=code.digest,
        words=f"the model's own code in transformers {version}",
    )


def _check_works(checkpoint: Checkpoint, there: Environment) -> None:
    """Refuse a release in which the model's code breaks, or is known to compute something else.

    Raises: UnprovenError with the first finding in a file of the code.
    """
    for each in examine(checkpoint, there):
        if each.severity == "error" and (each.where.path or "").endswith(".py"):
            raise UnprovenError(
                f"the model's own code is no reference in transformers "
                f"{there.packages.get('transformers')}: {each.code}: {each.cause}",
                where=str(each.where),
                hint=OWN_HINT,
            )


def other_hint(reference: Reference, python: Path | None) -> str | None:
    """What to do where a reference failed in an interpreter that the user named."""
    if python is None:
        return None
    if reference.code is None:
        return "give another --reference-python, of the release that saved the model"
    return OWN_HINT


def _has_own_model(checkpoint: Checkpoint) -> bool:
    named = any(name in checkpoint.auto_map for name in MODEL_CLASSES)
    return named and bool(read_code(checkpoint).files)


def _library(facts: PlannedFacts, python: Path | None, folder: Path) -> Reference:
    checkpoint = facts.checkpoint
    here = facts.environment.packages.get("transformers")
    wanted = checkpoint.config.get("transformers_version")
    if wanted is None and facts.plan.embedding is not None:
        # As CodeBERT's: an architecture so old that every release has had it since.
        wanted = here
    if facts.plan.kind == FORECAST:
        raise UnprovenError(
            "Kronos is no class of transformers, and its public code is no part of a checkpoint: "
            "there is nothing to compare with but the outputs that its repository published",
            where=facts.plan.model.directory,
            hint="trueup verify MODEL --kronos-golden DIR, with the published weights of "
            "Kronos-small; docs/parity.md has what was compared with the public code",
        )
    if python is None and not isinstance(wanted, str):
        raise UnprovenError(
            "config.json names no `transformers_version`, so which release is the reference is "
            "not known",
            where=str(checkpoint.directory / "config.json"),
            hint="trueup verify MODEL --reference-python PATH",
        )
    if python is None and wanted != here:
        python = _built(facts, _release(str(wanted), checkpoint))
    version = here if python is None else read_environment(python).packages.get("transformers")
    interpreter = this_interpreter() if python is None else other_interpreter(python, folder)
    return Reference(
        interpreter=interpreter,
        code=None,
        words=f"the library's class in transformers {version}",
    )


def _release(text: str, checkpoint: Checkpoint) -> str:
    """The release that a config names; of a development version, the one that it became."""
    try:
        return Version(text).base_version
    except InvalidVersion as error:
        raise UnprovenError(
            f"`transformers_version` is `{text[:40]}`, which is no version",
            where=str(checkpoint.directory / "config.json"),
            hint="trueup verify MODEL --reference-python PATH",
        ) from error


def _built(facts: PlannedFacts, transformers: str | None) -> Path:
    """The interpreter of the environment that was built for the model, or for a release.

    Raises: UnprovenError where there is none.
    """
    planned = planned_environment(facts.checkpoint, facts.environment, transformers=transformers)
    if isinstance(planned, str):
        raise UnprovenError(
            f"there is no environment for the reference: {planned}",
            where=facts.plan.model.directory,
            hint="trueup verify MODEL --reference-python PATH",
        )
    if planned.built is None or not planned.is_built:
        fault = None if planned.built is None else planned.built.fault
        raise UnprovenError(
            f"the environment of the reference, with transformers {planned.request.transformers}, "
            + (f"has to be built anew: {fault}" if fault else "is not built yet"),
            where=facts.plan.model.directory,
            hint=planned.command,
        )
    return planned.built.interpreter
