"""Options of `trueup verify` that cannot work, told before there is any work."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.adapt.wishes import INT8, NO_WISHES, OPTIONS, Wishes
from trueup.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from trueup.adapt.planning import PlannedFacts

REFERENCE_PYTHON = "--reference-python"


def check_options(arguments: argparse.Namespace) -> Path | None:
    """The interpreter of the reference that the user names, None for none.

    Raises: UsageError for a dtype that cannot be proven, or a path that is not what it is to be.
    """
    if arguments.dtype == INT8:
        raise UsageError(
            "int8 is made to differ from what was published: `trueup plan` shows by how much",
            where="--dtype",
            hint="float32, bfloat16 and float16 can be proven",
        )
    reference: Path | None = arguments.reference
    if reference is not None and not reference.is_file():
        what = "is a folder" if reference.is_dir() else "is not there"
        raise UsageError(
            f"`{reference}` {what}",
            where="--reference",
            hint="give a file that `trueup verify --record` wrote",
        )
    record: Path | None = arguments.record
    if record is not None and not record.absolute().parent.is_dir():
        raise UsageError(f"`{record.absolute().parent}` is no folder", where="--record")
    python: Path | None = arguments.reference_python
    return None if python is None else _interpreter(python.expanduser())


def _interpreter(python: Path) -> Path:
    from trueup.adapt.isolated import against_packages
    from trueup.environment.packages import read_environment

    try:
        against = against_packages(read_environment(python), str(python))
    except ConfigError as error:
        raise UsageError(error.cause, where=REFERENCE_PYTHON, hint=error.hint) from error
    if against:
        raise UsageError(
            against[0],
            where=REFERENCE_PYTHON,
            hint="give an environment that the model's authors would use, or leave it out: "
            "`trueup env build MODEL` makes one",
        )
    return python / "bin" / "python" if python.is_dir() else python


def check_wishes(facts: PlannedFacts, wishes: Wishes, revision: str | None) -> None:
    """Refuse wishes that nothing can come of, where the plan without one of them would run.

    Raises: UsageError with the option.
    """
    from trueup.adapt.planning import plan_with_facts

    if facts.plan.route != "refused":
        return
    for name, flag in OPTIONS.items():
        usual = getattr(NO_WISHES, name)
        if getattr(wishes, name) == usual:
            continue
        option: dict[str, Any] = {name: usual}
        without = replace(wishes, **option)
        plan = plan_with_facts(facts.plan.model.source, without, revision=revision).plan
        if plan.route != "refused":
            raise UsageError(
                "; ".join(facts.plan.why),
                where=flag,
                hint=f"leave it out: the route is then {plan.route}, in {plan.dtype} on "
                f"{plan.device}",
            )
