"""The plans of the models that `trueup serve` runs itself, and the end of those that cannot run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trueup.cli.building import with_environment
from trueup.cli.settings import WISHES, flag_of
from trueup.config.settings import ModelSettings, Settings
from trueup.doctor.render.command import command
from trueup.errors import AdaptError, CheckpointError, ConfigError, TrueUpError, UsageError

if TYPE_CHECKING:
    from trueup.adapt.plan import Plan
    from trueup.checkpoint.hub.watch import Watch


def plan_models(
    models: Sequence[ModelSettings],
    watch: Watch | None = None,
    *,
    is_run: bool = True,
    builds: Callable[[str], None] | None = None,
) -> dict[str, Plan]:
    """The plans by served name, in order, refused ones among them; nothing is loaded.

    What is on a hub is downloaded if it `is_run` and can be. Environments are built where `builds`
    is there, which is told of progress, and the user has agreed to the code that runs in them.

    Raises:
        TrueUpError: a checkpoint cannot be read, or two models have one name.
    """
    if not models:
        return {}
    from trueup.adapt.planning import plan_with_facts
    from trueup.adapt.wishes import wishes_of

    plans: dict[str, Plan] = {}
    for model in models:
        try:
            make = partial(
                plan_with_facts,
                model.source,
                wishes_of(model),
                revision=model.revision,
                watch=watch,
                is_run=is_run,
            )
            plan = with_environment(make, builds).plan
        except TrueUpError as error:
            raise _placed(model, error) from None
        name = model.name or plan.model.id
        if name in plans:
            raise ConfigError(
                f"two models are called `{name}`",
                where=model.source,
                hint="give them names in a configuration file: trueup serve --config FILE",
            )
        plans[name] = replace(plan, model=replace(plan.model, id=name))
    return plans


def check_ready(models: Sequence[ModelSettings], plans: Mapping[str, Plan]) -> None:
    """Look for what the user has to do before a model can be loaded, without loading it.

    Raises: AdaptError where code may not run yet or an environment is not there.
    """
    from trueup.adapt.isolate.store import interpreter_of
    from trueup.checkpoint.files import read_checkpoint
    from trueup.checkpoint.source import resolve
    from trueup.trust.copy import trusted_code

    for model, plan in zip(models, plans.values(), strict=True):
        if plan.route == "refused":
            continue
        if plan.consent == "needed":
            trusted_code(read_checkpoint(resolve(model.source, revision=model.revision)))
        if plan.environment is not None:
            try:
                interpreter_of(plan.environment)
            except AdaptError as error:
                error.where = error.where or plan.model.directory
                raise


def refusals(settings: Settings, plans: Mapping[str, Plan]) -> dict[str, AdaptError]:
    """Why each model cannot be run, by name: it has no route, or no proof where one is required.

    What is only unproven answers with that. A model without a route may be in the chain of a role:
    what stands beside it there answers.

    Raises:
        AdaptError: nobody stands in for one without a route, or nothing else is served.
    """
    refused = {
        name: model
        for model, (name, plan) in zip(settings.models, plans.items(), strict=True)
        if plan.route == "refused" or (settings.server.require_proof and not _is_proven(plan))
    }
    able = {name for name in plans if name not in refused}
    able.update(each.name for each in settings.backends)
    covered = {
        name for role in settings.roles if able.intersection(role.chain) for name in role.chain
    }
    alone = [
        name
        for name in refused
        if name not in covered and (plans[name].route == "refused" or not able)
    ]
    if alone:
        raise _refused((refused[name], plans[name]) for name in alone)
    return {name: _refused([(model, plans[name])]) for name, model in refused.items()}


def _placed(model: ModelSettings, error: TrueUpError) -> TrueUpError:
    """An error of a model, with the line of the configuration file or the flag it comes from."""
    key = "source" if isinstance(error, CheckpointError) else error.where or ""
    if not model.places:
        is_flag = isinstance(error, ConfigError) and key in WISHES
        return UsageError(error.cause, where=flag_of(key), hint=error.hint) if is_flag else error
    place = model.places.get(key) or model.places[""]
    error.where = place if error.where in (None, key) else f"{place} ({error.where})"
    return error


def _is_proven(plan: Plan) -> bool:
    return plan.proof.is_of_load


def _refused(refused: Iterable[tuple[ModelSettings, Plan]]) -> AdaptError:
    told = tuple(refused)
    return AdaptError(
        "\n".join(
            _refused_words(plan) if plan.route == "refused" else _unproven_words(plan)
            for _, plan in told
        ),
        where=", ".join(model.places.get("") or plan.model.directory for model, plan in told),
        hint="; ".join(dict.fromkeys(_refusal_hint(model, plan) for model, plan in told)),
    )


def _refused_words(plan: Plan) -> str:
    """Why a model has no route; several reasons are lines."""
    head = f"`{plan.model.id}` cannot be run here:"
    return f"{head} {plan.why[0]}" if len(plan.why) == 1 else "\n- ".join((head, *plan.why))


def _unproven_words(plan: Plan) -> str:
    reason = f": {plan.proof.reason}" if plan.proof.reason else ""
    if plan.proof.state == "proven":
        reason = " layer by layer alone: the load itself was not asked, it did not fit into memory"
    return (
        f"`{plan.model.id}` is not served, because proof is required and its proof is "
        f"`{plan.proof.state}`{reason}"
    )


def _refusal_hint(model: ModelSettings, plan: Plan) -> str:
    """The command to go on with; a proof holds for route, dtype and device as they are served."""
    from trueup.adapt.wishes import options_of, wishes_of

    options = options_of(wishes_of(model), model.revision)
    if plan.route == "refused":
        return command("plan", plan.model.source, options)
    served = {"--route": plan.route, "--dtype": plan.dtype, "--device": plan.device}
    if plan.proof.state == "proven":
        from trueup.proof.proving import loaded_bytes

        served["--memory-gb"] = f"{math.ceil(loaded_bytes(plan) / 10**8) / 10:g}"
    return command("verify", plan.model.source, {**served, **options, **served})
